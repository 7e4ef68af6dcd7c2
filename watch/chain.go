package watch

import (
	"strings"
	"sync"
	"sync/atomic"
)

// chain is what the hub knows of one group: its runs, newest first, and its
// watchers. It exists as long as it has any of either.
type chain struct {
	group string
	// uses counts cursors, and one more if there are runs. A chain that has come
	// down to none is dead, which is a negative count: it is on its way out of
	// Hub.chains and nobody may use it again.
	uses atomic.Int64
	runs int // in the index, whose own this is

	// newest is set by who indexes, and nil when there is no run.
	newest atomic.Pointer[run]
	// dropped is the revision of the newest run that was taken out of this
	// chain. It is raised before the run is unlinked, so that a reader that
	// looks at it last knows whether it missed anything.
	dropped atomic.Uint64

	// queued says that the chain is on the waker's stack, below is what it lies
	// on there.
	queued atomic.Bool
	below  *chain

	// watched says whether there are cursors, for who indexes, which can be the
	// writer, who must not wait for mu. It is written under mu.
	watched atomic.Bool

	mu      sync.Mutex
	cursors map[*Cursor]struct{}
}

// acquire returns the chain of a group and counts one more use of it. Readers
// and who indexes meet here without a lock that one could hold against another.
func (h *Hub) acquire(group string) *chain {
	for {
		if found, ok := h.chains.Load(group); ok {
			c := found.(*chain)
			if c.use() {
				return c
			}
			h.chains.CompareAndDelete(group, c) // whoever killed it may not have got to it yet
		}
		c := &chain{group: strings.Clone(group)}
		c.uses.Store(1)
		if _, loaded := h.chains.LoadOrStore(c.group, c); !loaded {
			h.groups.Add(1)
			return c
		}
	}
}

// release ends one use of a chain.
func (h *Hub) release(c *chain) {
	if c.unuse() {
		h.chains.CompareAndDelete(c.group, c)
		h.groups.Add(-1)
	}
}

const deadChain = -1

// use counts one more use, unless the chain is dead.
func (c *chain) use() bool {
	for {
		n := c.uses.Load()
		if n == deadChain {
			return false
		}
		if c.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unuse counts one use less and says whether that was the end of the chain.
func (c *chain) unuse() (dead bool) {
	return c.uses.Add(-1) == 0 && c.uses.CompareAndSwap(0, deadChain)
}

// append makes r the newest run. Only who indexes calls it.
func (c *chain) append(r *run) {
	if last := c.newest.Load(); last != nil {
		r.older.Store(last)
		last.newer.Store(r)
	}
	c.newest.Store(r)
}

// remove takes out r, which must be the oldest run. Only who indexes calls it.
func (c *chain) remove(r *run) {
	c.dropped.Store(r.revision)
	if next := r.newer.Load(); next != nil {
		next.older.Store(nil)
		r.newer.Store(nil)
	} else {
		c.newest.Store(nil)
	}
}

// firstAfter returns the oldest run after position, nil for none. It takes as
// many steps as there are such runs. The runs that it leads to are complete only
// if nothing after position was dropped meanwhile, which the caller checks when
// it is through with them.
func (c *chain) firstAfter(position uint64) (first *run) {
	for r := c.newest.Load(); r != nil && r.revision > position; r = r.older.Load() {
		first = r
	}
	return first
}

func (c *chain) join(cursor *Cursor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cursors == nil {
		c.cursors = make(map[*Cursor]struct{}, 1)
	}
	c.cursors[cursor] = struct{}{}
	c.watched.Store(true)
}

func (c *chain) leave(cursor *Cursor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cursors, cursor)
	if len(c.cursors) == 0 {
		c.cursors = nil // a map keeps the size it once had
		c.watched.Store(false)
	}
}

// wake signals the chain's cursors.
func (c *chain) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for cursor := range c.cursors {
		cursor.signal()
	}
}
