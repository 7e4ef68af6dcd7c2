package storage

import (
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// guard is fail-stop: every call to a store goes through do, and after the
// first failure none gets through any more.
type guard struct {
	config   Config
	metrics  *metrics
	watchdog *watchdog

	failure atomic.Pointer[error] // the first one; set once, never cleared
	closed  atomic.Bool

	closing  sync.Once
	closeErr error // written inside closing
}

func newGuard(config Config, m *metrics) *guard {
	g := &guard{config: config, metrics: m}
	g.watchdog = startWatchdog(config.Timeout, g.overdue)
	return g
}

// do makes one call to a store. Its error is the call's if that is harmless,
// and else the one that stopped the node.
func (g *guard) do(op Operation, call func() error) error {
	if g.closed.Load() {
		return ErrClosed
	}
	if g.failure.Load() != nil {
		return g.stop()
	}
	err := g.watched(op, call)
	switch {
	case err != nil && g.closed.Load():
		return ErrClosed // the files were closed under the call
	case err != nil && !op.harmless(err):
		return g.fail(op, err)
	case g.failure.Load() != nil:
		// The watchdog, or another call, declared the node dead meanwhile: a
		// success must not reach Raft, which would acknowledge it.
		return g.stop()
	case err != nil && op.counted():
		g.metrics.failed(op)
	}
	return err
}

// watched makes the call under the watchdog and turns a panic into an error.
// Package bbolt panics where it meets a damaged page, and reads its file
// through mmap(2), where a bad sector is a fault instead of an error.
func (g *guard) watched(op Operation, call func() error) (err error) {
	slot := g.watchdog.begin(op)
	defer g.watchdog.end(slot)
	defer recoverFault(debug.SetPanicOnFault(true), &err)
	return call()
}

// recoverFault is deferred with what debug.SetPanicOnFault returned.
func recoverFault(panicOnFault bool, err *error) {
	debug.SetPanicOnFault(panicOnFault)
	if reason := recover(); reason != nil {
		*err = damaged("%v", reason)
	}
}

// fail stops the node because op returned err.
func (g *guard) fail(op Operation, err error) error {
	g.metrics.failed(op)
	return g.stopFor(fmt.Errorf("storage: %s in %s failed: %w", op, g.path(op), err))
}

// overdue stops the node because op has not returned in time. The watchdog calls it.
func (g *guard) overdue(op Operation) {
	g.metrics.failed(op)
	_ = g.stopFor(fmt.Errorf("storage: %s in %s has not returned within the storage timeout of %v: %w",
		op, g.path(op), g.config.Timeout*time.Duration(op.patience()), ErrTimeout))
}

func (g *guard) stopFor(err error) error {
	g.failure.CompareAndSwap(nil, &err)
	return g.stop()
}

// stop takes the calling goroutine out of the node: see Config.Fatal.
func (g *guard) stop() error {
	err := *g.failure.Load()
	g.config.Fatal(err)
	return err
}

func (g *guard) path(op Operation) string {
	return filepath.Join(g.config.Dir, op.file(g.config.LogStore))
}

// close lets no further call through, runs release, if any, under the
// watchdog, and ends the watchdog.
func (g *guard) close(release func() error) error {
	g.closing.Do(func() {
		g.closed.Store(true)
		if release != nil {
			g.closeErr = g.watched(OpClose, release)
		}
		g.watchdog.close()
	})
	return g.closeErr
}
