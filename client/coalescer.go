package client

import (
	"context"
	"sync"
	"time"

	"tally/counter"
)

// flightsMax is how many batches of a coalescer may be on their way at once.
// While that many are, additions gather for the next: the slower the cluster,
// the more leave together.
const flightsMax = 4

// coalescer lets additions leave together. An addition joins the round that
// gathers; the round leaves as one batch when its window is over, or when it is
// full.
type coalescer struct {
	client  *Client
	window  time.Duration
	senders sync.WaitGroup // one for each batch on its way

	mu      sync.Mutex
	closed  bool
	gather  *round   // what additions join, nil if none came since the last round left
	due     bool     // the window of gather is over
	full    []*round // they wait for a flight, the oldest first
	flights int
}

// round is what leaves together: at most counter.BatchOperationsMax cells, each
// of which is one operation.
type round struct {
	deadline time.Time
	window   *time.Timer
	cells    []*cell
	newest   map[name]*cell
}

// name is what additions must have in common to be one operation. Those that
// increase and those that decrease are kept apart: then the value moves one way
// from the first to the last of an operation, and if it fits at the end it fits
// after each of them.
type name struct {
	group, key string
	decreases  bool
}

func newCoalescer(client *Client, window time.Duration) *coalescer {
	return &coalescer{client: client, window: window}
}

// add is Counter.Add.
func (c *coalescer) add(ctx context.Context, to *Counter, delta int64) (int64, error) {
	joined, at, err := c.join(to, delta)
	if err != nil {
		return 0, err
	}
	if err := c.wait(ctx, joined, at); err != nil {
		return 0, err
	}
	return joined.answer(at)
}

// wait waits for the answers to a cell's additions.
func (c *coalescer) wait(ctx context.Context, joined *cell, at int) error {
	if ctx.Done() == nil { // one channel to wait for costs half of what two do
		<-joined.done
		return nil
	}
	select {
	case <-joined.done:
		return nil
	case <-ctx.Done():
		return c.leave(ctx, joined, at)
	}
}

// join adds delta to a cell that is not on its way yet, and returns its place there.
func (c *coalescer) join(to *Counter, delta int64) (joined *cell, at int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := &to.up
	if delta < 0 {
		newest = &to.down
	}
	if joined = *newest; joined == nil || joined.sealed || !joined.fits(delta) {
		if joined, err = c.cellLocked(name{to.group, to.key, delta < 0}, delta); err != nil {
			return nil, 0, err
		}
		*newest = joined
	}
	return joined, joined.join(delta), nil
}

// cellLocked returns a cell of the round that gathers, with room for delta.
func (c *coalescer) cellLocked(n name, delta int64) (*cell, error) {
	if c.closed {
		return nil, errClosed()
	}
	if c.gather != nil {
		if one := c.gather.newest[n]; one != nil && one.fits(delta) {
			return one, nil
		}
	}
	// Who joins a cell has names that were found good when it was made.
	if err := checkNames(n.group, []string{n.key}); err != nil {
		return nil, err
	}
	return c.roomLocked().open(n), nil
}

// roomLocked returns the round that gathers, with room for another cell.
func (c *coalescer) roomLocked() *round {
	if c.gather != nil && len(c.gather.cells) == counter.BatchOperationsMax {
		c.full = append(c.full, c.gather)
		c.gather, c.due = nil, false
		c.departLocked()
	}
	if c.gather == nil {
		r := &round{deadline: time.Now().Add(c.client.config.timeout), newest: make(map[name]*cell)}
		c.gather = r
		r.window = time.AfterFunc(c.window, func() { c.expire(r) })
	}
	return c.gather
}

func (r *round) open(n name) *cell {
	one := &cell{name: n, done: make(chan struct{})}
	r.cells = append(r.cells, one)
	r.newest[n] = one
	return one
}

// expire lets the round leave, unless it has.
func (c *coalescer) expire(r *round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gather == r {
		c.due = true
		c.departLocked()
	}
}

// departLocked sends what is full or due, as far as there are flights.
func (c *coalescer) departLocked() {
	for c.flights < flightsMax {
		var r *round
		switch {
		case len(c.full) > 0:
			r, c.full = c.full[0], c.full[1:]
		case c.due:
			r, c.gather, c.due = c.gather, nil, false
		default:
			return
		}
		cells := r.sealLocked()
		if len(cells) == 0 {
			continue
		}
		c.flights++
		c.senders.Go(func() { c.carry(cells, r.deadline) })
	}
}

// sealLocked returns the cells that are to be sent: those from which not
// everybody has withdrawn. From now on nobody joins or withdraws.
func (r *round) sealLocked() []*cell {
	r.window.Stop()
	var cells []*cell
	for _, one := range r.cells {
		one.sealed = true
		if one.waiting > 0 {
			cells = append(cells, one)
		}
	}
	return cells
}

// carry sends the cells and then lets others take the flight.
func (c *coalescer) carry(cells []*cell, deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	(&flight{client: c.client, ctx: ctx}).send(cells)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flights--
	c.departLocked()
}

// leave withdraws an addition whose caller waits no more, or says that it is too
// late for that. It returns nil if the answer has come meanwhile.
func (c *coalescer) leave(ctx context.Context, from *cell, at int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-from.done:
		return nil
	default:
	}
	if from.sealed {
		return withCause(ctx, counter.Errorf(counter.OutcomeUnknown, "the addition has left with others and is not answered yet; it may be made"))
	}
	from.withdraw(at)
	return withCause(ctx, errWithdrawn)
}

// close sends what has gathered and waits until everything is answered.
func (c *coalescer) close() {
	c.mu.Lock()
	c.closed = true
	c.due = c.gather != nil
	c.departLocked()
	c.mu.Unlock()
	c.senders.Wait()
}
