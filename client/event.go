package client

import (
	"strconv"

	"tally/counter"
)

// Event is what a watch tells: that a change named a counter, or, as a reset,
// the whole state of a group.
type Event struct {
	// Event says what happened. Of a reset only Group and Revision are set.
	counter.Event
	// Reset is the group's state at Revision, nil unless this is a reset. A watch
	// begins with one unless it is told where to begin; later it comes when the
	// watch was away for longer than nodes remember changes. Whoever keeps a copy
	// replaces it by this.
	Reset *counter.Reading
	// Cursor is where to go on behind this event: see [From]. It is "" for all
	// but the last of those that belong together, such as the events of one
	// batch, because no watch begins between them.
	Cursor string
}

// Selection is a group to watch together with others.
type Selection struct {
	Group string
	Keys  []string // the counters to be told of; nil for all
}

func formatRevision(revision uint64) string { return strconv.FormatUint(revision, 10) }
