//go:build jepsen && planted

package planted_test

import (
	"os"
	"strings"
	"testing"

	"tally/jepsen-lite/planted"
	"tally/node"
)

// What is not played proves nothing.
func TestScriptPlaysEveryBug(t *testing.T) {
	script, err := os.ReadFile("../../scripts/planted.sh")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, bug := range planted.Bugs() {
		if seen[bug.Name] || bug.Does == "" {
			t.Errorf("%q is there twice, or nobody knows what it does", bug.Name)
		}
		seen[bug.Name] = true
		if !strings.Contains(string(script), "\n"+bug.Name+" ") {
			t.Errorf("scripts/planted.sh does not play %s", bug.Name)
		}
	}
}

func TestUnknownBugIsRefused(t *testing.T) {
	if _, err := planted.Plant(&node.Config{}, "no-such-bug"); err == nil {
		t.Error("a bug that does not exist was planted")
	}
}
