//go:build jepsen && planted

package planted

import (
	"os"
	"sync"
)

// Variable is the environment variable with the name of the mistake; without it
// none is made.
const Variable = "PLANTED_BUG"

// Name is the mistake of this process, "" for none.
var Name = sync.OnceValue(func() string { return os.Getenv(Variable) })

// On says whether the mistake is to be made.
func On(name string) bool { return Name() == name }
