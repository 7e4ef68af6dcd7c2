//go:build linux || darwin

package storage_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"tally/storage"
	"tally/storage/memdisk"
)

const (
	pausedProcess = "TALLY_TEST_PAUSED_PROCESS" // set in the process that is paused
	pausedTimeout = 500 * time.Millisecond
)

// A real process is stopped in the middle of a store call, for three times the
// timeout, and goes on with the call. It must live.
func TestPausedProcess(t *testing.T) {
	if os.Getenv(pausedProcess) != "" {
		appendUntilTold(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestPausedProcess$")
	child.Env = append(os.Environ(), pausedProcess+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	expectLine(t, lines, "appending")

	signal(t, child, syscall.SIGSTOP)
	fmt.Fprintln(in, "finish")    // the first thing it finds when it wakes up
	time.Sleep(3 * pausedTimeout) // the fault itself, not a wait for something
	signal(t, child, syscall.SIGCONT)

	expectLine(t, lines, "appended")
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

func signal(t *testing.T, child *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := child.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// expectLine reads up to a line that begins with want; the child says "fatal"
// if the watchdog took the pause for a slow disk.
func expectLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), want) {
			return
		}
		if strings.HasPrefix(lines.Text(), "fatal") {
			t.Fatal(lines.Text())
		}
	}
	t.Fatalf("the child ended without saying %q", want)
}

// appendUntilTold is the child: its append returns when a line comes in.
func appendUntilTold(t *testing.T) {
	disk := memdisk.New()
	store, err := storage.Assemble(disk.Open(), storage.Config{NodeID: "n1", Timeout: pausedTimeout, Fatal: func(err error) {
		fmt.Println("fatal:", err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Call: func() {
		fmt.Println("appending")
		bufio.NewScanner(os.Stdin).Scan()
	}})
	if err := call(storage.OpStoreLogs, store); err == nil {
		fmt.Println("appended")
	}
	mustClose(t, store)
}
