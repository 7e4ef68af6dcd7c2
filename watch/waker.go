package watch

import "sync/atomic"

// waker is how the writer, or who else indexes, hands the waking of watchers to another goroutine.
// What it holds is bounded by the number of chains: each is on the stack at
// most once, however many events arrive before its watchers are woken.
type waker struct {
	top      atomic.Pointer[chain] // of the stack of chains to wake
	everyone atomic.Bool           // wake all watchers of all chains
	work     chan struct{}         // holds one element when there is something to do
	done     chan struct{}         // closed when the goroutine has ended
}

func newWaker() waker {
	return waker{work: make(chan struct{}, 1), done: make(chan struct{})}
}

// enqueue puts c on the stack, unless it is there. Only who indexes calls it, so
// that an attempt fails only when the waker has just taken the whole stack.
func (w *waker) enqueue(c *chain) {
	if c.queued.Swap(true) {
		return // the waker has yet to look at its cursors, and will find this event published
	}
	for {
		c.below = w.top.Load()
		if w.top.CompareAndSwap(c.below, c) {
			return
		}
	}
}

func (w *waker) wakeAll() {
	w.everyone.Store(true)
	w.start()
}

func (w *waker) start() {
	select {
	case w.work <- struct{}{}:
	default:
	}
}

// wakeWatchers is the hub's goroutine.
func (h *Hub) wakeWatchers() {
	defer close(h.waker.done)
	for range h.waker.work {
		h.lookIfOwed()
		for c := h.waker.top.Swap(nil); c != nil; {
			below := c.below
			c.below = nil
			c.queued.Store(false) // before the cursors are looked at: what comes now is for the next round
			c.wake()
			c = below
		}
		if h.waker.everyone.Swap(false) {
			h.chains.Range(func(_, c any) bool {
				c.(*chain).wake()
				return true
			})
		}
		if h.closed.Load() {
			return
		}
	}
}
