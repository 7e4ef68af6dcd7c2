package watch

import (
	"math"
	"sync"
	"sync/atomic"
)

// index has the runs of the records up to one of them, each in the chain of its
// group. While nobody watches it stays where it is and only loses what the ring
// drops; it goes on from there when somebody comes.
//
// Whoever holds mu changes it, and so do all methods here. The writer never
// waits for mu: when another has it, the waker does what the writer would have done.
type index struct {
	// complete is a published revision up to which everything is in the chains, or
	// was dropped.
	complete atomic.Uint64
	// owed says that the waker is to look after the index.
	owed atomic.Bool

	mu             sync.Mutex
	last           *record // the newest that was indexed, nil for none
	seen           uint64  // revision of the newest that was indexed or missed
	oldest, newest *run    // in log order
	running        map[string]*chain
}

// recordsAtOnce is how many records the writer indexes at most. Only the first
// watcher after a while finds more to be done, and Watch does it.
const recordsAtOnce = 16

// catchUp sees to it that everything that has been published is in the chains, or was dropped.
func (h *Hub) catchUp() {
	if h.index.complete.Load() >= h.published.Load() {
		return
	}
	h.index.mu.Lock()
	defer h.index.mu.Unlock()
	h.extend(math.MaxInt)
}

// look is the writer's care for the index after each change of the ring, if
// nobody else is busy with it.
func (h *Hub) look() {
	complete := false
	if h.index.mu.TryLock() {
		complete = h.watchers.Load() == 0 || h.extend(recordsAtOnce)
		h.trim()
		h.index.mu.Unlock()
	}
	if !complete {
		h.index.owed.Store(true)
		h.waker.start()
	}
}

// lookIfOwed is the waker's.
func (h *Hub) lookIfOwed() {
	if !h.index.owed.Swap(false) {
		return
	}
	h.index.mu.Lock()
	defer h.index.mu.Unlock()
	if h.watchers.Load() > 0 {
		h.extend(math.MaxInt)
	}
	h.trim()
}

// extend indexes what follows, at most so many records, and has their watchers
// woken. It says whether that was everything. It stops at what is not published:
// who is woken for that would find nothing and go to sleep again.
func (h *Hub) extend(recordsMax int) (all bool) {
	published := h.published.Load()
	queued := false
	for range recordsMax {
		r := h.following()
		if r == nil || r.revision > published {
			all = true
			h.index.complete.Store(published)
			break
		}
		queued = h.link(r) || queued
	}
	if queued {
		h.waker.start()
	}
	return all
}

// following returns the record after those that are indexed, nil for none.
func (h *Hub) following() *record {
	x := &h.index
	if x.last != nil {
		if next := x.last.next.Load(); next != nil {
			return next
		}
		if x.last.revision > h.floor.Load() {
			return nil // it is the newest
		}
	}
	// It has been cut off, so go on with the oldest that is left.
	missed := h.ring.appended.Load() // if nothing is left
	next := h.ring.oldest.Load()
	if next != nil {
		if next.revision <= x.seen {
			return nil // the writer is about to drop it
		}
		missed = next.before
	}
	if missed > x.seen {
		x.seen = missed
		h.forget(missed)
		h.waker.wakeAll()
	}
	return next
}

// link puts the events of a record into the chains of their groups and says
// whether one of those has watchers, who are then to be woken.
func (h *Hub) link(r *record) (watched bool) {
	x := &h.index
	events := r.unpack()
	// All runs of a revision leave the index together, so they may be one piece of memory.
	runs := make([]run, r.runs)
	start := 0
	for i := range runs {
		end := endOfRun(events, start)
		one := &runs[i]
		one.revision, one.start, one.events = r.revision, start, events[start:end:end]
		one.chain = h.chainOfRun(events[start].Group)
		one.chain.append(one)
		x.append(one)
		// A watcher that arrives after this look will find the event by itself: it
		// joins its chain before it catches up.
		if one.chain.watched.Load() {
			h.waker.enqueue(one.chain)
			watched = true
		}
		start = end
	}
	x.last, x.seen = r, r.revision
	return watched
}

func (x *index) append(r *run) {
	if x.newest == nil {
		x.oldest = r
	} else {
		x.newest.following = r
	}
	x.newest = r
}

// trim takes out the runs of what the ring has dropped.
func (h *Hub) trim() {
	x := &h.index
	for floor := h.floor.Load(); x.oldest != nil && x.oldest.revision <= floor; {
		r := x.oldest
		x.oldest, r.following = r.following, nil
		if x.oldest == nil {
			x.newest = nil
		}
		r.chain.remove(r)
		h.runGone(r.chain)
	}
}

// chainOfRun returns the chain of a group for one more run. Chains with runs
// cannot die, so that they are found in running without a look at what is shared
// with readers.
func (h *Hub) chainOfRun(group string) *chain {
	c := h.index.running[group]
	if c == nil {
		c = h.acquire(group)
		h.index.running[c.group] = c
	}
	c.runs++
	return c
}

// runGone says that a run of the chain has left the index.
func (h *Hub) runGone(c *chain) {
	if c.runs--; c.runs == 0 {
		delete(h.index.running, c.group)
		h.release(c)
	}
}
