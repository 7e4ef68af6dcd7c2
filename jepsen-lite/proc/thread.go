//go:build linux

package proc

import (
	"fmt"
	"runtime"
	"syscall"
)

// thread is an operating system thread of its own that starts processes. A
// child inherits the network namespace of the thread that starts it, and the
// kernel's parent-death signal is bound to that thread, not to its process: so it
// lives as long as the machine it starts nodes for.
type thread struct {
	work chan func()
	done chan struct{}
}

// startThread starts a thread. With isolated it has a new network namespace,
// which exists as long as the thread or one of its children does.
func startThread(isolated bool) (*thread, error) {
	t := &thread{work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error, 1)
	go t.run(isolated, ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return t, nil
}

func (t *thread) run(isolated bool, ready chan<- error) {
	defer close(t.done)
	// Never unlocked: the runtime ends the thread with the goroutine, so that
	// nobody else ever runs in this namespace.
	runtime.LockOSThread()
	if isolated {
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			ready <- fmt.Errorf("new network namespace: %w", err)
			return
		}
	}
	ready <- nil
	for f := range t.work {
		f()
	}
}

// do runs f on the thread and waits for it.
func (t *thread) do(f func()) {
	finished := make(chan struct{})
	t.work <- func() { defer close(finished); f() }
	<-finished
}

// close ends the thread, and with it every child that has asked for it.
func (t *thread) close() {
	close(t.work)
	<-t.done
}
