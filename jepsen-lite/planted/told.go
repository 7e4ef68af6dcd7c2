//go:build jepsen && planted

package planted

import (
	"slices"

	"tally/counter"
	"tally/fsm"
)

// told changes what the hub of watchers and the call limit are told of the log.
type told struct {
	fsm.Publisher
	Meter    fsm.Meter
	publish  func(revision uint64, events []counter.Event)
	restored func(revision uint64)
	note     func(user string, atMs int64)
	changes  int             // published so far that had events
	held     []counter.Event // to be told with the next change
}

// Publish implements fsm.Publisher.
func (t *told) Publish(revision uint64, events []counter.Event) {
	if t.publish == nil || len(events) == 0 {
		t.Publisher.Publish(revision, events)
		return
	}
	t.changes++
	t.publish(revision, events)
}

// Restored implements fsm.Publisher.
func (t *told) Restored(revision uint64) {
	if t.restored == nil {
		t.Publisher.Restored(revision)
		return
	}
	t.restored(revision)
}

// meter is told as an fsm.Meter.
type meter struct{ *told }

// Note implements fsm.Meter.
func (m meter) Note(user string, atMs int64) {
	if m.note == nil {
		m.Meter.Note(user, atMs)
		return
	}
	m.note(user, atMs)
}

// often is after how many changes with events one is told wrongly.
const often = 20

func dropEvents(t *told) {
	t.publish = func(revision uint64, events []counter.Event) {
		if t.changes%often == 0 {
			events = events[1:]
		}
		t.Publisher.Publish(revision, events)
	}
}

func repeatEvents(t *told) {
	t.publish = func(revision uint64, events []counter.Event) {
		if t.changes%often == 0 {
			events = append(slices.Clone(events), events[len(events)-1])
		}
		t.Publisher.Publish(revision, events)
	}
}

func swapEvents(t *told) {
	t.publish = func(revision uint64, events []counter.Event) {
		if t.changes%often == 0 {
			t.held, events = slices.Clone(events), nil
		} else if t.held != nil {
			t.held, events = nil, append(slices.Clone(events), t.held...)
		}
		t.Publisher.Publish(revision, events)
	}
}

func hideRestores(t *told) { t.restored = func(uint64) {} }

func forgetCalls(t *told) { t.note = func(string, int64) {} }
