package fsm

import (
	"slices"

	"tally/counter"
	"tally/internal/planted"
)

// scratch is memory that the next mutation uses again. Nothing in it survives a mutation.
type scratch struct {
	cells cells
	bytes []byte
	undo  []undo
}

// undo is what a group was before an operation.
type undo struct {
	name   groupName
	before group
}

// mutate applies all operations of a mutation, which has passed its Check, in
// order, or none. Each operation, and its condition, sees what the operations
// before it did: to a group that an earlier operation of the batch changed, the
// modRevision is that of this very mutation.
func (s *state) mutate(m *counter.Mutation, events *[]counter.Event) ([]counter.Outcome, *refusal) {
	s.scratch.undo = s.scratch.undo[:0]
	changed, deleted := named(m)
	outcomes := make([]counter.Outcome, len(m.Operations))
	results := make([]counter.Counter, changed) // of all outcomes, one after the other
	if events != nil {
		*events = slices.Grow(*events, changed+deleted)
	}
	for i := range m.Operations {
		operation := &m.Operations[i]
		if count := len(operation.Counters); count > 0 {
			outcomes[i].Counters, results = results[:count:count], results[count:]
		}
		if refusal := s.operate(operation, &outcomes[i]); refusal != nil {
			if !planted.On("half-batch") {
				s.takeBack()
			}
			refusal.operation = i
			return nil, refusal
		}
		if events != nil {
			*events = s.appendEvents(*events, m, operation, &outcomes[i])
		}
	}
	return outcomes, nil
}

// named returns how many counters the operations of m name to change, and how
// many to delete. Those of a group of which all are deleted are not among them.
func named(m *counter.Mutation) (changed, deleted int) {
	for i := range m.Operations {
		changed += len(m.Operations[i].Counters)
		deleted += len(m.Operations[i].Keys)
	}
	return changed, deleted
}

// takeBack puts every group back to what it was, the last change first.
func (s *state) takeBack() {
	for i := len(s.scratch.undo) - 1; i >= 0; i-- {
		change := &s.scratch.undo[i]
		s.put(change.name, s.groups.get(change.name), change.before)
	}
}

// operate applies one operation and fills in its outcome, which has room for
// the counters of the operation.
func (s *state) operate(o *counter.Operation, outcome *counter.Outcome) *refusal {
	name := nameOf(o.Group)
	old := s.groups.get(name)
	if found := old.modRevision(); o.Condition.Checked && o.Condition.ModRevision != found {
		return &refusal{code: counter.RevisionMismatch, found: int64(found)}
	}
	outcome.Group = o.Group
	cells := &s.scratch.cells
	cells.unpack(old)
	if o.Kind == counter.Delete {
		outcome.Deleted = cells.delete(o)
		if len(outcome.Deleted) == 0 {
			return nil // nothing was there: the group has not changed
		}
	} else {
		for i, given := range o.Counters {
			value, refusal := cells.change(o.Kind, given, s.appliedIndex)
			if refusal != nil {
				refusal.counter = i
				return refusal
			}
			outcome.Counters[i] = counter.Counter{Key: given.Key, Value: value}
		}
	}
	s.store(name, old)
	return nil
}

// change sets, increases or decreases one counter and returns its new value.
func (c *cells) change(kind counter.Kind, given counter.Counter, revision uint64) (int64, *refusal) {
	at, found := c.find(given.Key)
	var old int64
	if found {
		old = c.cells[at].value
	}
	value, fits := compute(kind, old, given.Value)
	switch {
	case !fits:
		return 0, &refusal{code: counter.OutOfRange, found: old}
	case found:
		c.cells[at].value, c.cells[at].modRevision = value, revision
	case c.count == counter.GroupCountersMax:
		return 0, &refusal{code: counter.TooManyCounters}
	default:
		c.insert(at, cell{key: given.Key, value: value, modRevision: revision})
	}
	return value, nil
}

// compute returns the new value and whether it is an int64.
func compute(kind counter.Kind, old, operand int64) (value int64, fits bool) {
	switch kind {
	case counter.Increase:
		value = old + operand
		return value, (value > old) == (operand > 0)
	case counter.Decrease:
		// Not old + (-operand): the smallest int64 has no negative.
		value = old - operand
		return value, (value < old) == (operand > 0)
	default:
		return operand, true
	}
}

// delete removes the counters that the operation names and returns the keys of
// those that existed: in the caller's order, or sorted when it names all.
func (c *cells) delete(o *counter.Operation) []string {
	deleted := []string{}
	if o.All {
		for _, cell := range c.list() {
			deleted = append(deleted, cell.key)
		}
		c.count = 0
		return deleted
	}
	for _, key := range o.Keys {
		if at, found := c.find(key); found {
			c.remove(at)
			deleted = append(deleted, key)
		}
	}
	return deleted
}

// store packs the changed counters of a group that was old before.
func (s *state) store(name groupName, old group) {
	var g group
	if s.scratch.cells.count > 0 {
		g.shape = s.shapeOf(old.shape)
	}
	// The ID is a part of the command, which can be long and would live as long
	// as the group. That goes for known groups too: a Go map takes over the key
	// of every assignment. So both are replaced together, and are one string.
	s.scratch.bytes = append(s.scratch.bytes[:0], name.id...)
	if g.exists() {
		s.scratch.bytes = s.scratch.cells.appendPacked(s.scratch.bytes, s.appliedIndex)
	}
	both := string(s.scratch.bytes)
	name.id, g.packed = both[:len(name.id)], both[len(name.id):]
	s.scratch.undo = append(s.scratch.undo, undo{name: name, before: old})
	s.put(name, old, g)
}

// shapeOf returns the shape of the counters in the scratch. known is the one
// they had before, if any.
func (s *state) shapeOf(known *shape) *shape {
	cells := &s.scratch.cells
	if known != nil && !cells.keysChanged {
		return known
	}
	s.scratch.bytes = cells.appendKeys(s.scratch.bytes[:0])
	return s.shapes.intern(s.scratch.bytes, cells.count)
}

// appendEvents appends one event for each key that the operation changed or
// could have changed, in order.
func (s *state) appendEvents(events []counter.Event, m *counter.Mutation, o *counter.Operation, outcome *counter.Outcome) []counter.Event {
	event := counter.Event{Revision: s.appliedIndex, Kind: o.Kind, Group: o.Group, User: m.User, TimeMs: s.timeMs}
	for i, c := range outcome.Counters {
		event.Key, event.Value = c.Key, c.Value
		if o.Kind != counter.Set {
			event.Delta = o.Counters[i].Value
		}
		events = append(events, event)
	}
	for _, key := range outcome.Deleted {
		event.Key = key
		events = append(events, event)
	}
	return events
}
