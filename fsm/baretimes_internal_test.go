package fsm

import (
	"math/rand/v2"
	"testing"
)

// TestBareKeysWithEqualHalves remembers and forgets keys of few halves, so that
// they get in each other's way all the time, and compares with a plain map.
func TestBareKeysWithEqualHalves(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	limits := productLimits()
	limits.entriesMax = 40
	table := newIdempotency(limits)
	type remembered struct {
		key    digest
		timeMs int64
	}
	var order []remembered // the entries, oldest first
	for i := range int64(20_000) {
		a := attempt{key: digest{7: byte(r.IntN(3)), 15: byte(r.IntN(100))}}
		_, found := table.find(&a)
		want := false
		for _, e := range order {
			want = want || e.key == a.key
		}
		if found != want {
			t.Fatalf("step %d: key %x is found: %v, want %v", i, a.key, found, want)
		}
		if found {
			continue
		}
		table.remember(&a, i, entry{revision: 1})
		if order = append(order, remembered{a.key, i}); len(order) > limits.entriesMax {
			order = order[1:]
		}
		for _, e := range order {
			if got, found := table.find(&attempt{key: e.key}); !found || got.timeMs != e.timeMs {
				t.Fatalf("step %d: key %x of %d is found: %v of %d", i, e.key, e.timeMs, found, got.timeMs)
			}
		}
		if twins := len(table.bare.twins); i > 1000 && twins == 0 {
			t.Fatalf("step %d: no key is a twin, and nothing is tested", i)
		}
		checkIdempotency(t, table)
	}
}
