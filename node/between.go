package node

import (
	"tally/fsm"
	"tally/httpapi"
)

// Between is what tests put between the parts of a node. Each function is given
// what one part is to the other, and returns what is to be used instead.
type Between struct {
	Backend   func(httpapi.Backend) httpapi.Backend // what the HTTP API asks
	Publisher func(fsm.Publisher) fsm.Publisher     // what is told of events
	Meter     func(fsm.Meter) fsm.Meter             // what is told of calls
}

func between[T any](put func(T) T, part T) T {
	if put == nil {
		return part
	}
	return put(part)
}
