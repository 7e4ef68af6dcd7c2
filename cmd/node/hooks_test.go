package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the test builds have, so that faults can be made and mistakes planted, the
// product must not contain: nobody can turn on what is not there.
func TestProductHasNoHooks(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds tallyd three times")
	}
	const hooks, mistakes = "jepsen-lite/journal", "internal/planted"
	for _, build := range []struct {
		name            string
		tags            string
		hooks, mistakes bool
	}{
		{"product", "", false, false},
		{"test build", "jepsen", true, false},
		{"build with planted mistakes", "jepsen,planted", true, true},
	} {
		path := filepath.Join(t.TempDir(), "tallyd")
		if out, err := exec.Command("go", "build", "-tags", build.tags, "-o", path, ".").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", build.name, err, out)
		}
		binary, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// The linker names the package of every function that it takes in.
		for what, want := range map[string]bool{hooks: build.hooks, mistakes: build.mistakes} {
			if found := bytes.Contains(binary, []byte(what)); found != want {
				t.Errorf("%s has something of %s: %t", build.name, what, found)
			}
		}
		// A name would be left of every question that is asked.
		for _, name := range plantedNames(t) {
			if found := bytes.Contains(binary, []byte(name)); found != build.mistakes {
				t.Errorf("%s knows the mistake %s: %t", build.name, name, found)
			}
		}
	}
}

// plantedNames returns the mistakes that scripts/planted.sh plays.
func plantedNames(t *testing.T) (names []string) {
	t.Helper()
	script, err := os.ReadFile("../../scripts/planted.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, plan, _ := strings.Cut(string(script), "<<'PLAN'\n")
	plan, _, _ = strings.Cut(plan, "PLAN\n")
	for line := range strings.Lines(plan) {
		if name, _, _ := strings.Cut(line, " "); name != "none" {
			names = append(names, name)
		}
	}
	if len(names) < 20 {
		t.Fatalf("the script plays %d mistakes", len(names))
	}
	return names
}
