//go:build jepsen && planted

package planted

import (
	"context"
	"sync/atomic"
	"time"

	"tally/counter"
	"tally/httpapi"
)

// backend answers the HTTP API in the cluster's place.
type backend struct {
	httpapi.Backend
	id      string
	propose func(context.Context, *counter.Mutation) (counter.Result, error)
	read    func(context.Context, counter.Caller, string, []string, bool) (counter.Reading, error)
	calls   atomic.Uint64
}

// Propose implements httpapi.Backend.
func (b *backend) Propose(ctx context.Context, m *counter.Mutation) (counter.Result, error) {
	if b.propose == nil {
		return b.Backend.Propose(ctx, m)
	}
	return b.propose(ctx, m)
}

// Read implements httpapi.Backend.
func (b *backend) Read(ctx context.Context, caller counter.Caller, group string, keys []string, stale bool) (counter.Reading, error) {
	if b.read == nil || stale {
		return b.Backend.Read(ctx, caller, group, keys, stale)
	}
	return b.read(ctx, caller, group, keys, stale)
}

// sometimes says yes for one call of n.
func (b *backend) sometimes(n uint64) bool { return b.calls.Add(1)%n == 0 }

func readsLocally(b *backend) {
	b.read = func(ctx context.Context, caller counter.Caller, group string, keys []string, _ bool) (counter.Reading, error) {
		return b.Backend.Read(ctx, caller, group, keys, true)
	}
}

func readsAsLeader(b *backend) {
	b.read = func(ctx context.Context, caller counter.Caller, group string, keys []string, _ bool) (counter.Reading, error) {
		leader := b.Backend.(interface{ Leader() *counter.Leader }).Leader()
		return b.Backend.Read(ctx, caller, group, keys, leader != nil && leader.ID == b.id)
	}
}

// tearsReadings takes the first counter from a reading made some milliseconds
// before the one that is given back.
func tearsReadings(b *backend) {
	b.read = func(ctx context.Context, caller counter.Caller, group string, keys []string, _ bool) (counter.Reading, error) {
		before, err := b.Backend.Read(ctx, caller, group, keys, false)
		if err != nil {
			return before, err
		}
		time.Sleep(5 * time.Millisecond)
		reading, err := b.Backend.Read(ctx, caller, group, keys, false)
		if len(before.Counters) > 0 && len(reading.Counters) > 1 && before.Counters[0].Key == reading.Counters[0].Key {
			reading.Counters[0].Value = before.Counters[0].Value
		}
		return reading, err
	}
}

// patience is how long an early acknowledgement waits for the truth.
const patience = 50 * time.Millisecond

func acknowledgesEarly(b *backend) {
	type answer struct {
		result counter.Result
		err    error
	}
	b.propose = func(ctx context.Context, m *counter.Mutation) (counter.Result, error) {
		guess, ok := b.guess(ctx, m)
		if !ok {
			return b.Backend.Propose(ctx, m)
		}
		answered := make(chan answer, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			result, err := b.Backend.Propose(ctx, m)
			answered <- answer{result, err}
		}()
		select {
		case a := <-answered:
			return a.result, a.err
		case <-time.After(patience):
			return guess, nil
		}
	}
}

// guess says what will come of a change if nothing happens in between.
func (b *backend) guess(ctx context.Context, m *counter.Mutation) (result counter.Result, ok bool) {
	o := m.Operations[0]
	if len(m.Operations) != 1 || o.Kind == counter.Delete || o.Condition.Checked || m.IdempotencyKey != "" {
		return counter.Result{}, false
	}
	now, err := b.Backend.Read(ctx, counter.Caller{}, o.Group, nil, true)
	if err != nil {
		return counter.Result{}, false
	}
	outcome := counter.Outcome{Group: o.Group}
	for _, given := range o.Counters {
		outcome.Counters = append(outcome.Counters, counter.Counter{Key: given.Key, Value: expected(o.Kind, now.Counters, given)})
	}
	return counter.Result{Revision: now.Revision + 1, Outcomes: []counter.Outcome{outcome}}, true
}

func expected(kind counter.Kind, now []counter.Counter, given counter.Counter) int64 {
	var old int64
	for _, c := range now {
		if c.Key == given.Key {
			old = c.Value
		}
	}
	switch kind {
	case counter.Increase:
		return old + given.Value
	case counter.Decrease:
		return old - given.Value
	}
	return given.Value
}

func acknowledgesNothing(b *backend) {
	b.propose = func(ctx context.Context, m *counter.Mutation) (counter.Result, error) {
		if m.Operations[0].Kind == counter.Increase && b.sometimes(40) {
			if guess, ok := b.guess(ctx, m); ok {
				return guess, nil
			}
		}
		return b.Backend.Propose(ctx, m)
	}
}

func hidesDoubt(b *backend) {
	b.propose = func(ctx context.Context, m *counter.Mutation) (counter.Result, error) {
		result, err := b.Backend.Propose(ctx, m)
		if e, ok := err.(*counter.Error); ok && e.Code == counter.OutcomeUnknown {
			err = counter.Errorf(counter.NotLeader, "the node lost leadership; try again")
		}
		return result, err
	}
}

func shiftsRevisions(b *backend) {
	b.propose = func(ctx context.Context, m *counter.Mutation) (counter.Result, error) {
		result, err := b.Backend.Propose(ctx, m)
		if err == nil && b.sometimes(40) {
			result.Revision--
		}
		return result, err
	}
}
