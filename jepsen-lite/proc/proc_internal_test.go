//go:build linux

package proc

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProcessesEndAsTheySay(t *testing.T) {
	for _, test := range []struct {
		name   string
		script string
		signal syscall.Signal // sent once it runs; 0 is none
		want   Exit
	}{
		{"by itself", "echo last words; exit 70", 0, Exit{Code: 70, Words: "last words"}},
		{"killed", "echo ready; exec sleep 60", syscall.SIGKILL, Exit{Code: -1, Signal: syscall.SIGKILL, Words: "ready"}},
		{"killed while paused", "echo ready; kill -STOP $$; exec sleep 60", syscall.SIGKILL, Exit{Code: -1, Signal: syscall.SIGKILL, Words: "ready"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, log := mustLaunch(t, test.script)
			if test.signal != 0 {
				awaitTrue(t, "it says that it runs", func() bool { return strings.Contains(read(t, log), "ready") })
				if err := p.signal(test.signal); err != nil {
					t.Fatal(err)
				}
			}
			mustEnd(t, p)
			got := p.exit
			if got.Code != test.want.Code || got.Signal != test.want.Signal || got.Words != test.want.Words || got.Node != "n1" {
				t.Errorf("exit %+v, want %+v", got, test.want)
			}
		})
	}
}

// A node whose thread is gone, as when the run was killed, ends with it.
func TestNodesEndWithTheirThread(t *testing.T) {
	thread, err := startThread(false)
	if err != nil {
		t.Fatal(err)
	}
	p := mustLaunchOn(t, thread, filepath.Join(t.TempDir(), "log"), "exec sleep 60")
	thread.close()
	mustEnd(t, p)
	if p.exit.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v, want SIGKILL", p.exit)
	}
}

func TestProcessState(t *testing.T) {
	// A name with a parenthesis and a space, which proc(5) does not quote.
	name := filepath.Join(t.TempDir(), "a) Z b")
	copyFile(t, "/bin/sleep", name)
	cmd := exec.Command(name, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	awaitTrue(t, "state S", func() bool { return processState(cmd.Process.Pid) == 'S' })
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitTrue(t, "state T", func() bool { return processState(cmd.Process.Pid) == 'T' })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitTrue(t, "state Z", func() bool { return processState(cmd.Process.Pid) == 'Z' })
	_ = cmd.Wait() // it was killed, which is an error
	if s := processState(cmd.Process.Pid); s != 0 {
		t.Errorf("state %q of a process that is gone", s)
	}
}

func TestSocketsAreFoundByTheirAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	inode := socketInode(c.LocalAddr())
	if inode == "" || !hasSocket(os.Getpid(), inode) || hasSocket(os.Getpid(), inode+"0") {
		t.Errorf("inode %q of %v is not found as ours", inode, c.LocalAddr())
	}
}

func TestRunFolder(t *testing.T) {
	for path, want := range map[string]string{
		"/a/jepsen-lite-run-1/disks/m1.img":           "/a/jepsen-lite-run-1",
		"/a/jepsen-lite-run-1":                        "/a/jepsen-lite-run-1",
		"/a/jepsen-lite-run-1/disks/m1.img (deleted)": "/a/jepsen-lite-run-1",
		"/a/other/jepsen-lite/m1.img":                 "",
		"":                                            "",
		"/":                                           "",
	} {
		if got := runFolder(path); got != want {
			t.Errorf("runFolder(%q) = %q, want %q", path, got, want)
		}
	}
}

// Only what nobody uses is a leftover.
func TestDisksOfEndedRunsAreRemoved(t *testing.T) {
	parent := t.TempDir()
	ended, running, other := filepath.Join(parent, RunPrefix+"ended"), filepath.Join(parent, RunPrefix+"running"), filepath.Join(parent, "other")
	for _, dir := range []string{ended, running, other} {
		if err := os.MkdirAll(filepath.Join(dir, "disks"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := Lock(running)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if second, err := Lock(running); err == nil {
		second.Close()
		t.Error("a folder was locked twice")
	}
	found, err := RemoveLeftovers(parent)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(found, " "), ended) {
		t.Errorf("found %v, want %s in it", found, ended)
	}
	for dir, want := range map[string]bool{ended: false, running: true, other: true} {
		if _, err := os.Stat(filepath.Join(dir, "disks")); (err == nil) != want {
			t.Errorf("%s still has disks: %v, want %v", dir, err == nil, want)
		}
	}
}

func mustLaunch(t *testing.T, script string) (*process, string) {
	t.Helper()
	thread, err := startThread(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(thread.close)
	log := filepath.Join(t.TempDir(), "log")
	return mustLaunchOn(t, thread, log, script), log
}

func mustLaunchOn(t *testing.T, on *thread, log, script string) *process {
	t.Helper()
	p, err := launch(on, log, os.Environ(), []string{"/bin/sh", "-c", script}, Exit{Machine: "m1", Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const patience = 20 * time.Second

func mustEnd(t *testing.T, p *process) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("pid %d has not ended within %v", p.pid, patience)
	}
}

func awaitTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestThreadsThatHangDoNotLive(t *testing.T) {
	for states, want := range map[string]bool{"D": true, "DZ": true, "DX": true, "DS": false, "RD": false, "DT": false} {
		if got := noneLives([]byte(states)); got != want {
			t.Errorf("%s: none lives is %t", states, got)
		}
	}
	if own := threadStates("/proc/self"); len(own) < 2 || noneLives(own) {
		t.Errorf("the threads of this process are in states %q", own)
	}
}
