package watch

import (
	"container/heap"
	"slices"

	"tally/counter"
)

// Batch is what a cursor found after its position.
type Batch struct {
	// Position is where to go on: a watch that starts after it gets what comes
	// next, here or on another node. It moves on also when nothing happened to
	// the watched groups. It is a revision the hub has published, or that of a
	// reset, or the start that was asked for if that is not reached yet.
	Position uint64
	// Ahead are the groups whose own position is later than Position, for which
	// a watch must start after that instead. It is almost always nil: a reset
	// can be ahead of what the hub has published for the other groups.
	Ahead []GroupPosition
	// Changes are in log order, whole revisions; a reset stands where its
	// revision belongs, before anything later of its group.
	Changes []Change
	// More says that the batch was full: Poll has the next at once.
	More bool
}

// GroupPosition is the position of one group.
type GroupPosition struct {
	Group    string
	Position uint64
}

// Change is either a row of neighbouring events of one group and one revision,
// or a reset. A revision that names groups in turns has several of a group.
type Change struct {
	Group    string
	Revision uint64
	// Reset is the state of the group at Revision, which takes the place of all
	// that happened to it up to there. Nil for events.
	Reset *counter.Reading
	// Events are the events with the watched keys. They are shared: do not
	// change them. Nil for a reset.
	Events []counter.Event

	run *run
	hub *Hub
}

// Encoded returns the bytes that Config.Encode makes of the events, nil for a
// reset. They are shared: do not change them.
func (c *Change) Encoded() []byte {
	switch {
	case c.Reset != nil:
		return nil
	case len(c.Events) == len(c.run.events):
		return c.run.encode(c.hub.config.Encode)
	}
	return c.hub.config.Encode(c.Events)
}

// head is the next change of one subscription: its reset, or else a run.
type head struct {
	*subscription
	run *run // nil: the reset
}

func (h head) revision() uint64 {
	if h.run == nil {
		return h.position
	}
	return h.run.revision
}

// before is the log order.
func (h head) before(other head) bool {
	if h.revision() != other.revision() {
		return h.revision() < other.revision()
	}
	if h.run == nil || other.run == nil {
		return h.run == nil && other.run != nil
	}
	return h.run.start < other.run.start
}

// next is what comes after h in the same subscription; its run is nil at the end.
func (h head) next() head {
	if h.run == nil {
		return head{h.subscription, h.first()}
	}
	return head{h.subscription, h.run.newer.Load()}
}

// change is what h stands for; ok is false if none of its keys is watched.
func (h head) change(hub *Hub) (c Change, ok bool) {
	if h.run == nil {
		return Change{Group: h.chain.group, Revision: h.position, Reset: h.reset}, true
	}
	events := h.run.events
	if h.keys != nil {
		events = h.watched(events)
	}
	return Change{Group: h.chain.group, Revision: h.run.revision, Events: events, run: h.run, hub: hub}, len(events) > 0
}

// watched returns the events with the subscription's keys, without a copy if
// they are all of them.
func (s *subscription) watched(events []counter.Event) []counter.Event {
	other := func(e counter.Event) bool { return !slices.Contains(s.keys, e.Key) }
	if !slices.ContainsFunc(events, other) {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), other)
}

// merge returns the changes of all subscriptions up to a revision, in log order.
// If that is more than a batch may have, it ends earlier: upTo is then the last
// revision that it has, whole, and more is true. A batch with a reset is never
// cut short, because one position could not describe a cursor of which some
// groups have had their reset and others not.
func (c *Cursor) merge(published uint64) (changes []Change, upTo uint64, more bool) {
	heads, resets := c.heads(published)
	count := 0
	for len(heads) > 0 {
		h := heads[0]
		revision := h.revision()
		if count >= c.hub.config.BatchEventsMax && !resets && revision > upTo {
			return changes, upTo, true
		}
		upTo = revision
		if change, ok := h.change(c.hub); ok {
			changes = append(changes, change)
			count += len(change.Events)
		}
		if h.run != nil {
			h.last = h.run
		}
		if next := h.next(); next.run != nil && next.run.revision <= published {
			heads[0] = next
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	return changes, published, false
}

// heads returns the first change of each subscription that has one.
func (c *Cursor) heads(published uint64) (found heads, resets bool) {
	for i := range c.subscriptions {
		s := &c.subscriptions[i]
		if s.reset != nil {
			found = append(found, head{subscription: s})
			resets = true
		} else if r := s.first(); r != nil && r.revision <= published {
			found = append(found, head{s, r})
		}
	}
	heap.Init(&found)
	return found, resets
}

// heads is a heap: the first in log order is at index 0.
type heads []head

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].before(h[j]) }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(head)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
