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
		// The variables, and every symbol of what lies in jepsen-lite.
		for _, trace := range []string{"JEPSEN_JOURNAL", "JEPSEN_CLOCK", "jepsen-lite"} {
			if found := bytes.Contains(binary, []byte(trace)); found != build.hooks {
				t.Errorf("%s contains %q: %t", build.name, trace, found)
			}
		}
	}
}
