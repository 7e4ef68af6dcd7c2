package cluster

import (
	"slices"
	"testing"

	"tally/counter"
)

func keyed(user, key string) *proposal {
	return &proposal{mutation: &counter.Mutation{Caller: counter.Caller{User: user}, IdempotencyKey: key}}
}

func TestSecondAttemptWaitsForTheFirst(t *testing.T) {
	h := newHolds()
	first, second, third := keyed("ann", "k"), keyed("ann", "k"), keyed("ann", "k")
	if !h.enter(first) {
		t.Fatal("the first attempt must not wait")
	}
	if h.enter(second) || h.enter(third) {
		t.Fatal("a second attempt of a key in flight must wait")
	}
	if released := h.take(); len(released) != 0 {
		t.Fatalf("%d attempts released before the first was decided", len(released))
	}
	h.leave(first)
	select {
	case <-h.wake:
	default:
		t.Error("nobody was woken")
	}
	if released := h.take(); !slices.Equal(released, []*proposal{second, third}) {
		t.Errorf("released %v", released)
	}
	if !h.enter(second) || h.enter(third) {
		t.Error("after the first is decided, the next one is first")
	}
}

func TestHoldsAreScopedToTheCaller(t *testing.T) {
	h := newHolds()
	for _, p := range []*proposal{keyed("ann", "k"), keyed("bob", "k"), keyed("", "k"), keyed("ann", "l")} {
		if !h.enter(p) {
			t.Errorf("%q of %q waits for another caller or key", p.mutation.IdempotencyKey, p.mutation.User)
		}
	}
}

func TestOnlyTheStateMachineSettlesAnIndefiniteAttempt(t *testing.T) {
	for _, test := range []struct {
		err  counter.Error
		want bool
	}{
		{counter.Error{Code: counter.OutOfRange, Revision: 7}, true},
		{counter.Error{Code: counter.RevisionMismatch, Revision: 7}, true},
		{counter.Error{Code: counter.IdempotencyKeyReused, Revision: 7}, true},
		{counter.Error{Code: counter.IdempotencyKeyExpired, Revision: 7}, false},
		{counter.Error{Code: counter.NoLeader}, false},
		{counter.Error{Code: counter.Overloaded}, false},
		{counter.Error{Code: counter.InvalidRequest}, false},
	} {
		if got := settles(&test.err); got != test.want {
			t.Errorf("%s settles: %v, want %v", test.err.Code, got, test.want)
		}
	}
}
