package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tally/node"
)

// Exit codes, as --help lists them. Supervisors match on them: never renumber.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	// exitFailStop is EX_SOFTWARE of sysexits.h.
	exitFailStop = 70
	// exitSecondSignal is what a shell reports for a process ended by SIGINT.
	exitSecondSignal = 130
)

// lastWordsTimeout is how long the process waits for its output when it ends.
// An output nobody reads must not keep a node alive that has to be dead for the
// others to go on.
const lastWordsTimeout = 100 * time.Millisecond

// usageError is a mistake in flags, environment or configuration file: starting
// again without changing them is of no use.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// failStop ends the process because the node must not live on. It does not
// return.
func (p *program) failStop(err error, logs *logWriter) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		logs.Flush(lastWordsTimeout / 2)
		fmt.Fprintf(p.Stderr, "tallyd: this node ends itself: %v\n", err)
	}()
	select {
	case <-said:
	case <-time.After(lastWordsTimeout):
	}
	if errors.Is(err, node.ErrNotAdmitted) {
		p.Exit(exitFailure)
	}
	p.Exit(exitFailStop)
}

// stopOnSignal returns a context that ends, with the signal as its cause, at
// the first SIGINT, SIGTERM or SIGHUP. A second signal ends the process at once.
//
// Signals that the parent had ignored stay ignored: that is how nohup and
// background jobs keep a node alive when their terminal goes away.
func stopOnSignal(parent context.Context, exit func(int)) (context.Context, func()) {
	// A reader of our log that goes away must not take the node with it.
	signal.Ignore(syscall.SIGPIPE)

	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		first, ok := <-signals
		if !ok {
			return
		}
		cancel(fmt.Errorf("signal: %v", first))
		if _, ok := <-signals; ok {
			exit(exitSecondSignal)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}
