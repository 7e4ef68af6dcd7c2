package watch

import (
	"sync"
	"sync/atomic"

	"tally/counter"
)

// run is a row of neighbouring events of one group in one revision. All but the
// links and the encoding is fixed before readers can find it.
type run struct {
	revision uint64
	start    int // index of the first event within its revision
	events   []counter.Event
	chain    *chain

	// older and newer are the neighbours in the chain. Who indexes sets them,
	// readers follow them. Both are nil in a run that has been dropped.
	older, newer atomic.Pointer[run]
	// following is the next run in the index, and the index's own.
	following *run

	encodeOnce sync.Once
	encoded    []byte
}

// encode returns the bytes for all events of the run, the same for everybody.
func (r *run) encode(encode func([]counter.Event) []byte) []byte {
	r.encodeOnce.Do(func() { r.encoded = encode(r.events) })
	return r.encoded
}

// endOfRun returns where the row of events of one group that begins at start ends.
func endOfRun(events []counter.Event, start int) int {
	end := start + 1
	for end < len(events) && events[end].Group == events[start].Group {
		end++
	}
	return end
}
