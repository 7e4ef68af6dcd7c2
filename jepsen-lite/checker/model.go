package checker

import (
	"math"
	"slices"
	"strings"

	"tally/jepsen-lite/history"
)

// The model says what changes do to a group: the promises of the API, written
// down a second time and as plainly as can be. It shares no code with the state
// machine under test.

// The codes of refusals that the state machine decides.
const (
	outOfRange       = "out_of_range"
	tooManyCounters  = "too_many_counters"
	revisionMismatch = "revision_mismatch"
	keyReused        = "idempotency_key_reused"
	keyExpired       = "idempotency_key_expired"
)

// groupCountersMax is how many counters a group can have.
const groupCountersMax = 20

// group is the state of one group. It is never changed: a change makes another.
type group struct {
	modRevision uint64 // 0: the group has no counters
	counters    []history.Counter
}

func (g group) find(key string) (at int, found bool) {
	return slices.BinarySearchFunc(g.counters, key, func(c history.Counter, key string) int { return strings.Compare(c.Key, key) })
}

// equal says that two groups cannot be told apart.
func (g group) equal(h group) bool {
	return g.modRevision == h.modRevision && slices.Equal(g.counters, h.counters)
}

// selected returns the counters with the given keys, all of them for none.
func (g group) selected(keys []string) []history.Counter {
	if len(keys) == 0 {
		return g.counters
	}
	var list []history.Counter
	for _, c := range g.counters {
		if slices.Contains(keys, c.Key) {
			list = append(list, c)
		}
	}
	return list
}

// change returns the group after one operation at a revision, with what is
// answered: an outcome, or the code of a refusal.
func (g group) change(p history.Part, revision uint64) (after group, outcome history.Outcome, code string) {
	if p.IfRevision != nil && *p.IfRevision != g.modRevision {
		return g, outcome, revisionMismatch
	}
	outcome.Group = p.Group
	if p.Kind == history.Delete {
		after, outcome.Deleted = g.without(p, revision)
		return after, outcome, ""
	}
	after = group{modRevision: revision, counters: slices.Clone(g.counters)}
	for _, given := range p.Counters {
		at, found := after.find(given.Key)
		var old int64
		if found {
			old = after.counters[at].Value
		}
		value, fits := compute(p.Kind, old, given.Value)
		switch {
		case !fits:
			return g, history.Outcome{}, outOfRange
		case found:
			after.counters[at].Value = value
		case len(after.counters) == groupCountersMax:
			return g, history.Outcome{}, tooManyCounters
		default:
			after.counters = slices.Insert(after.counters, at, history.Counter{Key: given.Key, Value: value})
		}
		outcome.Counters = append(outcome.Counters, history.Counter{Key: given.Key, Value: value})
	}
	return after, outcome, ""
}

// without returns the group after a delete, and which keys are gone: in the
// order in which they were named, or in their own where all were meant.
func (g group) without(p history.Part, revision uint64) (after group, deleted []string) {
	named := p.Keys
	if p.All {
		named = nil
		for _, c := range g.counters {
			named = append(named, c.Key)
		}
	}
	after = group{modRevision: revision, counters: slices.Clone(g.counters)}
	for _, key := range named {
		if at, found := after.find(key); found {
			after.counters = slices.Delete(after.counters, at, at+1)
			deleted = append(deleted, key)
		}
	}
	switch {
	case len(deleted) == 0:
		return g, nil // nothing was there, and nothing has changed
	case len(after.counters) == 0:
		return group{}, deleted
	}
	return after, deleted
}

// compute returns the new value and whether it is an int64. It compares with the
// ends, moved towards 0: so nothing here overflows itself.
func compute(kind history.Kind, old, operand int64) (value int64, fits bool) {
	switch kind {
	case history.Increase:
		if operand > 0 && old > math.MaxInt64-operand || operand < 0 && old < math.MinInt64-operand {
			return 0, false
		}
		return old + operand, true
	case history.Decrease:
		if operand < 0 && old > math.MaxInt64+operand || operand > 0 && old < math.MinInt64+operand {
			return 0, false
		}
		return old - operand, true
	}
	return operand, true
}

// groups are the states of some groups by name. Groups without counters are absent.
type groups map[string]group

// change applies the parts of one request in order, all of them or none.
func (s groups) change(parts []history.Part, revision uint64) (outcomes []history.Outcome, code string) {
	before := make(groups, len(parts))
	for _, p := range parts {
		old := s[p.Group]
		if _, seen := before[p.Group]; !seen {
			before[p.Group] = old
		}
		after, outcome, code := old.change(p, revision)
		if code != "" {
			for name, old := range before {
				s.put(name, old)
			}
			return nil, code
		}
		s.put(p.Group, after)
		outcomes = append(outcomes, outcome)
	}
	return outcomes, ""
}

func (s groups) put(name string, g group) {
	if len(g.counters) == 0 {
		delete(s, name)
		return
	}
	s[name] = g
}
