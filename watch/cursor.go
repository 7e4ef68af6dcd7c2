package watch

import (
	"context"

	"tally/counter"
)

// Start says where the watch of a group begins.
type Start uint8

// The ways to begin.
const (
	FromState Start = iota // with a reset
	FromNow                // with the next event that is published here
	FromAfter              // with the first event after Selection.After
)

// Selection is one group to watch.
type Selection struct {
	Group string
	Keys  []string // which counters; nil for all of them
	Start Start
	// After is the position to start after, for FromAfter. If the ring does not
	// reach back to it, the watch begins with a reset. If the hub has not come
	// to it yet, nothing is given before it has.
	After uint64
}

// Cursor is one watcher's place in the log, for each of its groups. It belongs
// to one goroutine at a time.
type Cursor struct {
	hub           *Hub
	ready         chan struct{}
	subscriptions []subscription
}

// subscription is one group of a cursor.
type subscription struct {
	chain    *chain
	keys     []string
	position uint64
	// lost says that the watch must begin with a reset whatever the position is.
	lost bool
	// reset is the state at position, while the watcher has not been given it.
	reset *counter.Reading
	// last is the newest run that the watcher was given, as long as it has a
	// backlog, so that the next batch starts there and not at the end of the
	// chain. Otherwise nil: a watcher that waits must not keep old runs alive.
	last *run
}

// Watch returns a cursor for the given groups, none of them twice. The caller
// closes it. It fails with counter.TooManyWatchers or counter.ShuttingDown.
func (h *Hub) Watch(selections ...Selection) (*Cursor, error) {
	if h.closed.Load() {
		return nil, shuttingDown()
	}
	n := int64(len(selections))
	if h.watchers.Add(n) > int64(h.config.WatchersMax) {
		h.watchers.Add(-n)
		h.metrics.refused.Inc()
		return nil, h.tooManyWatchers()
	}
	h.catchUp() // first: the writer indexes from here on, but not a backlog
	c := &Cursor{hub: h, ready: make(chan struct{}, 1), subscriptions: make([]subscription, len(selections))}
	for i, selection := range selections {
		c.subscriptions[i] = h.subscribe(c, selection)
	}
	c.signal()
	return c, nil
}

// subscribe joins the chain first: from then on the chain remembers what it
// drops. What was dropped of the group before is covered by the hub's floor, so
// the floor is read afterwards.
func (h *Hub) subscribe(c *Cursor, selection Selection) subscription {
	s := subscription{chain: h.acquire(selection.Group), keys: selection.Keys}
	s.chain.join(c)
	switch selection.Start {
	case FromNow:
		s.position = h.published.Load()
	case FromAfter:
		s.position = selection.After
		s.lost = s.position < h.floor.Load()
	default:
		s.lost = true
	}
	return s
}

// Close gives back what the cursor occupies. It may be called twice.
func (c *Cursor) Close() {
	for i := range c.subscriptions {
		s := &c.subscriptions[i]
		s.chain.leave(c)
		c.hub.release(s.chain)
	}
	c.hub.watchers.Add(-int64(len(c.subscriptions)))
	c.subscriptions = nil
}

// Ready has an element when there may be something new to Poll for, or the hub
// has been closed. It is for those who wait for other things as well.
func (c *Cursor) Ready() <-chan struct{} { return c.ready }

func (c *Cursor) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// Next waits until there is a change and returns what there is, at most a batch. The end of
// the context is no error: the batch is then what there is at that time, most
// often without changes but with a new position. Errors are those of Poll.
func (c *Cursor) Next(ctx context.Context) (Batch, error) {
	for {
		batch, err := c.Poll()
		if err != nil || len(batch.Changes) > 0 || ctx.Err() != nil {
			return batch, err
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
		}
	}
}

// pollRoundsMax is how often Poll starts again because the ring has overtaken
// it. Twice is rare with a ring that holds more than some milliseconds.
const pollRoundsMax = 100

// Poll returns what there is after the cursor's position, possibly no change,
// and moves the position. It never waits for an event.
//
// It fails with counter.ShuttingDown when the hub is closed, and with
// counter.Overloaded when events come and go faster than it can read them; the
// position is then what it was, and a group that was overtaken gets its reset
// another time.
func (c *Cursor) Poll() (Batch, error) {
	select { // before anything is looked at: a signal from here on is for the next time
	case <-c.ready:
	default:
	}
	for range pollRoundsMax {
		if c.hub.closed.Load() {
			return Batch{}, shuttingDown()
		}
		// Published is loaded after the readings, so that the position that comes
		// out of this is behind as few of them as possible.
		c.readLost()
		published := c.hub.published.Load()
		c.hub.catchUp()
		changes, upTo, more := c.merge(published)
		if !c.overtaken() {
			return c.advance(changes, upTo, more), nil
		}
	}
	return Batch{}, counter.Errorf(counter.Overloaded, "events come faster than this watcher reads them; give the node a larger ring")
}

// readLost gets the state of the groups that cannot go on from their position.
func (c *Cursor) readLost() {
	for i := range c.subscriptions {
		s := &c.subscriptions[i]
		if s.overtaken(c.hub) {
			reading := c.hub.config.State(s.chain.group, s.keys)
			s.reset, s.position, s.lost, s.last = &reading, reading.Revision, false, nil
		}
	}
}

// overtaken says whether events have been dropped that some group still needs.
// It then forgets where the merge got to.
func (c *Cursor) overtaken() (overtaken bool) {
	for i := range c.subscriptions {
		overtaken = overtaken || c.subscriptions[i].overtaken(c.hub)
	}
	if overtaken {
		c.forgetLast()
	}
	return overtaken
}

func (s *subscription) overtaken(h *Hub) bool {
	return s.lost || s.position < s.chain.dropped.Load() || s.position < h.forgotten.Load()
}

func (c *Cursor) forgetLast() {
	for i := range c.subscriptions {
		c.subscriptions[i].last = nil
	}
}

// first returns the first run after the position, nil for none.
func (s *subscription) first() *run {
	if s.last != nil {
		if next := s.last.newer.Load(); next != nil {
			return next
		}
	}
	return s.chain.firstAfter(s.position)
}

// advance moves the cursor past the changes and returns them as a batch.
func (c *Cursor) advance(changes []Change, upTo uint64, more bool) Batch {
	for i := range c.subscriptions {
		s := &c.subscriptions[i]
		s.position = max(s.position, upTo)
		if s.reset != nil {
			s.reset = nil
			c.hub.metrics.resets.Inc()
		}
	}
	if more {
		c.signal()
	} else {
		c.forgetLast()
	}
	batch := Batch{Changes: changes, More: more}
	batch.Position, batch.Ahead = c.positions()
	return batch
}

// positions returns the position that holds for all groups, and those ahead of it.
func (c *Cursor) positions() (position uint64, ahead []GroupPosition) {
	for i := range c.subscriptions {
		if own := c.subscriptions[i].position; i == 0 || own < position {
			position = own
		}
	}
	for i := range c.subscriptions {
		if s := &c.subscriptions[i]; s.position > position {
			ahead = append(ahead, GroupPosition{s.chain.group, s.position})
		}
	}
	return position, ahead
}
