package watch

import (
	"strings"
	"sync"
	"sync/atomic"

	"tally/counter"
)

// run is a row of neighbouring events of one group in one revision. All but the
// links and the encoding is fixed before it is published.
type run struct {
	revision uint64
	start    int // index of the first event within its revision
	events   []counter.Event
	chain    *chain

	// older and newer are the neighbours in the chain. The writer sets them,
	// readers follow them. Both are nil in a run that has been dropped.
	older, newer atomic.Pointer[run]
	// following is the next run in the ring. It is the writer's.
	following *run

	encodeOnce sync.Once
	encoded    []byte
}

// own gives the run strings that are no slices of something larger, so that the
// ring occupies what it is charged: the group ID is that of the chain, and
// another string that the event before has, or the older run of the group, is
// that one's. Only others are copied. older may be nil.
func (r *run) own(older *run) {
	var before counter.Event
	for i := range r.events {
		e := &r.events[i]
		if older != nil && i < len(older.events) {
			before.Key, before.User = older.events[i].Key, older.events[i].User
		}
		e.Group = r.chain.group
		e.Key = copyOf(e.Key, before.Key)
		e.User = copyOf(e.User, before.User)
		before = *e
	}
}

// copyOf returns own if it is equal to text, and else a copy of text.
func copyOf(text, own string) string {
	if text == own {
		return own
	}
	return strings.Clone(text)
}

// encode returns the bytes for all events of the run, the same for everybody.
func (r *run) encode(encode func([]counter.Event) []byte) []byte {
	r.encodeOnce.Do(func() { r.encoded = encode(r.events) })
	return r.encoded
}

// What is charged for a run and for an event apart from its strings: what they
// occupy, and what an event's encoding has besides the strings.
const (
	runBytes   = 128
	eventBytes = 224
)

// bytes is what the run is charged. Strings count twice: they are in the event
// and in its encoding.
func (r *run) bytes() int64 {
	sum := runBytes
	for i := range r.events {
		e := &r.events[i]
		sum += eventBytes + 2*(len(e.Group)+len(e.Key)+len(e.User))
	}
	return int64(sum)
}

// ring is all runs in log order. It is the writer's, but for the two figures,
// which the metrics read.
type ring struct {
	oldest, newest *run
	events, bytes  atomic.Int64
}

func (q *ring) append(r *run) {
	if q.newest == nil {
		q.oldest = r
	} else {
		q.newest.following = r
	}
	q.newest = r
	q.events.Add(int64(len(r.events)))
	q.bytes.Add(r.bytes())
}

func (q *ring) removeOldest() *run {
	r := q.oldest
	q.oldest, r.following = r.following, nil
	if q.oldest == nil {
		q.newest = nil
	}
	q.events.Add(-int64(len(r.events)))
	q.bytes.Add(-r.bytes())
	return r
}

// endOfRun returns where the row of events of one group that begins at start ends.
func endOfRun(events []counter.Event, start int) int {
	end := start + 1
	for end < len(events) && events[end].Group == events[start].Group {
		end++
	}
	return end
}

func countRuns(events []counter.Event) (count int) {
	for start := 0; start < len(events); count++ {
		start = endOfRun(events, start)
	}
	return count
}
