package fsm_test

import (
	"math"
	"slices"
	"testing"

	"tally/counter"
	"tally/fsm"
)

// note is what a meter is told of one call.
type note struct {
	user string
	atMs int64
}

// meter is a fsm.Meter that keeps all it is told.
type meter []note

func (m *meter) Note(user string, atMs int64) { *m = append(*m, note{user, atMs}) }

// The meter hears of every call under a limit that is in the log, in that order,
// with the time that the leader gave it, and of no other.
func TestMeterHearsOfLimitedCalls(t *testing.T) {
	var heard meter
	n := newNode(t, fsm.Config{Meter: &heard})
	call := func(caller counter.Caller, atMs int64, key string, operation counter.Operation) {
		c := mutation(operation)
		c.TimeMs, c.Mutation.Caller, c.Mutation.IdempotencyKey = atMs, caller, key
		n.apply(c)
	}
	ann, bob := counter.Caller{User: "ann", Limited: true}, counter.Caller{User: "bob", Limited: true}
	one := increase("g", by("a", 1))

	call(ann, 5000, "", one)
	call(bob, 5001, "", set("g", by("max", math.MaxInt64)))
	call(bob, 5002, "", increase("g", by("max", 1)))         // refused by the state machine
	call(ann, 5003, "k", one)                                // under a key,
	call(ann, 5004, "k", one)                                // and again: replayed
	call(counter.Caller{User: "service"}, 5005, "", one)     // not limited
	call(counter.Caller{Limited: true}, 5006, "", one)       // has no name
	n.apply(fsm.Command{Type: fsm.TypeTerm, ClusterID: "c"}) // log time is far ahead now
	call(ann, 5007, "", one)                                 // of a leader whose clock is behind

	want := meter{{"ann", 5000}, {"bob", 5001}, {"bob", 5002}, {"ann", 5003}, {"ann", 5004}, {"ann", 5007}}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
	if n.TimeMs() <= 5007 {
		t.Errorf("log time is %d: the last call shows nothing", n.TimeMs())
	}
}
