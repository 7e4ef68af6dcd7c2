//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A run that is told to stop, or killed, in the middle of a fault leaves no
// process, no mount, no loop device and no interface; and says that it knows nothing.
func TestBrokenOffRunLeavesNothing(t *testing.T) {
	program, tallyd := build(t)
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		code   int
	}{
		{"interrupted", syscall.SIGINT, 2},
		{"terminated", syscall.SIGTERM, 2},
		{"killed", syscall.SIGKILL, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := t.TempDir()
			// Hung disks as root; without rights, whatever can be done there.
			cmd := exec.Command(program, "--binary", tallyd, "--out", out, "--time", "1m", "--nemesis", "disk-hang,pause-all")
			fault := "disk-hang"
			if os.Geteuid() != 0 {
				fault = "pause-all"
			}
			said := &bytes.Buffer{} // read only after the end of the run
			cmd.Stdout, cmd.Stderr = said, said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			awaitFault(t, out, fault)
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := receive(t, ended); !errors.As(err, &exit) || exit.ExitCode() != test.code {
				t.Errorf("ended with %v, want code %d:\n%s", err, test.code, said)
			}
			awaitNothing(t, out)
		})
	}
}

// Nodes that end as soon as they are started have done what they must not.
func TestNodesThatEndAtOnceAreAViolation(t *testing.T) {
	program, _ := build(t)
	out := t.TempDir()
	said, err := exec.Command(program, "--binary", "/bin/false", "--out", out, "--time", "1s").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want code 1:\n%s", err, said)
	}
	awaitNothing(t, out)
}

// build builds the program and a test build of tallyd.
func build(t *testing.T) (program, tallyd string) {
	t.Helper()
	dir := t.TempDir()
	program, tallyd = filepath.Join(dir, "jepsen-lite"), filepath.Join(dir, "tallyd")
	for _, args := range [][]string{
		{"build", "-o", program, "tally/jepsen-lite"},
		{"build", "-tags", "jepsen", "-o", tallyd, "tally/cmd/node"},
	} {
		if text, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, text)
		}
	}
	return program, tallyd
}

// patience is how long a run may take to play a fault, and how long to end.
const patience = time.Minute

func receive(t *testing.T, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatalf("the run has not ended within %v", patience)
		return nil
	}
}

// awaitFault waits until the history of the run below dir says that a fault of
// the kind has begun.
func awaitFault(t *testing.T, dir, kind string) {
	t.Helper()
	begin := `"kind":"` + kind + `","phase":"begin"`
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(dir, "*", "history.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if history, err := os.ReadFile(file); err == nil && strings.Contains(string(history), begin) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s has begun within %v", kind, patience)
		}
	}
}

// awaitNothing waits until nothing of a run below dir is left. What a killed run
// leaves is taken away by the kernel and by processes that notice its end.
func awaitNothing(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left := leftovers(t, dir)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v", left)
		}
	}
}

func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	var left []string
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range programs {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir) {
			left = append(left, link+" "+target)
		}
	}
	images, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range images {
		if image, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(image), dir) {
			left = append(left, file+" "+string(image))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	interfaces, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts) + string(interfaces)) {
		if strings.Contains(line, dir) || strings.Contains(line, "tallybr") {
			left = append(left, line)
		}
	}
	return left
}
