package watch

import (
	"sync/atomic"

	"tally/counter"
)

// ring is all records in log order. Only the writer changes it. Who indexes
// follows it meanwhile, from oldest or from a record that it holds.
type ring struct {
	oldest atomic.Pointer[record]
	newest *record // the writer's
	// appended is the revision of the newest record there ever was.
	appended      atomic.Uint64
	events, bytes atomic.Int64
	buffer        []byte // the writer's, to pack in
}

// append appends the events of a revision, if there are any.
func (q *ring) append(revision uint64, events []counter.Event) {
	if len(events) == 0 {
		return
	}
	r := pack(revision, events, &q.buffer)
	r.before = q.appended.Load()
	q.events.Add(int64(r.events))
	q.bytes.Add(r.bytes)
	if q.newest == nil {
		q.oldest.Store(r)
	} else {
		q.newest.next.Store(r)
	}
	q.newest = r
	q.appended.Store(revision)
}

// removeOldest takes out the oldest record and cuts it off, so that who still
// holds it holds it only and not all that came after it. It can be told from the
// newest by the hub's floor, which is raised before.
func (q *ring) removeOldest() {
	r := q.oldest.Load()
	next := r.next.Load()
	q.oldest.Store(next)
	if next == nil {
		q.newest = nil
	}
	r.next.Store(nil)
	q.events.Add(-int64(r.events))
	q.bytes.Add(-r.bytes)
}
