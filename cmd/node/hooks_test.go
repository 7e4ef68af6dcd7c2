package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What the test build has, so that faults can be made and checked, the product
// must not contain: nobody can turn on what is not there.
func TestProductHasNoHooks(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds tallyd twice")
	}
	for _, build := range []struct {
		name  string
		args  []string
		hooks bool
	}{
		{"product", nil, false},
		{"test build", []string{"-tags", "jepsen"}, true},
	} {
		path := filepath.Join(t.TempDir(), "tallyd")
		args := append([]string{"build", "-o", path}, build.args...)
		if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", build.name, err, out)
		}
		binary, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// The linker names the package of every function that it takes in.
		if found := bytes.Contains(binary, []byte("jepsen-lite")); found != build.hooks {
			t.Errorf("%s has something of jepsen-lite: %t", build.name, found)
		}
	}
}
