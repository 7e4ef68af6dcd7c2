package storage

import (
	"sync"
	"time"
)

// ticksPerTimeout is how finely the watchdog looks: a call that is overdue is
// noticed within a twentieth of the timeout.
const ticksPerTimeout = 20

// watchdog notices calls that do not return. It counts its own ticks and never
// compares clocks: while the process is paused (SIGSTOP, a suspended machine)
// or starved there are no ticks, and time.Ticker makes up for none of them, so
// a pause is not taken for a slow disk.
type watchdog struct {
	overdue func(Operation) // called at most once, without mu
	stop    chan struct{}   // closed by close
	done    chan struct{}   // closed by run's end

	mu    sync.Mutex
	ticks uint64
	calls []watchedCall // free entries have no operation
	free  []int         // indexes of free entries: no allocation for a call
}

type watchedCall struct {
	operation Operation
	overdue   uint64 // the tick at which the call is overdue
}

// startWatchdog starts the goroutine; close ends it.
func startWatchdog(timeout time.Duration, overdue func(Operation)) *watchdog {
	w := newWatchdog(overdue)
	go func() {
		defer close(w.done)
		ticker := time.NewTicker(max(timeout/ticksPerTimeout, 1))
		defer ticker.Stop()
		w.run(ticker.C)
	}()
	return w
}

func newWatchdog(overdue func(Operation)) *watchdog {
	return &watchdog{overdue: overdue, stop: make(chan struct{}), done: make(chan struct{})}
}

// run counts ticks until close, or until a call is overdue.
func (w *watchdog) run(ticks <-chan time.Time) {
	for {
		select {
		case <-w.stop:
			return
		case <-ticks:
			if op, found := w.tick(); found {
				w.overdue(op)
				return
			}
		}
	}
}

// tick counts one tick and returns a call that is overdue.
func (w *watchdog) tick() (Operation, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ticks++
	for _, call := range w.calls {
		if call.operation != "" && w.ticks >= call.overdue {
			return call.operation, true
		}
	}
	return "", false
}

// begin is called before op, and end with its result after it.
func (w *watchdog) begin(op Operation) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	// One tick more than the timeout has, because the first may come at once.
	call := watchedCall{operation: op, overdue: w.ticks + ticksPerTimeout*op.patience() + 1}
	if len(w.free) == 0 {
		w.calls = append(w.calls, call)
		return len(w.calls) - 1
	}
	slot := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	w.calls[slot] = call
	return slot
}

func (w *watchdog) end(slot int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[slot] = watchedCall{}
	w.free = append(w.free, slot)
}

// close ends the goroutine and waits for it.
func (w *watchdog) close() {
	close(w.stop)
	<-w.done
}
