package peer

import (
	"sync"
	"time"
)

// logInterval is how often one kind of refused connection is logged.
const logInterval = 10 * time.Second

// seldom lets one event of each kind through in each interval.
type seldom struct {
	mu   sync.Mutex
	kind map[seldomKey]*seldomState
}

type seldomKey struct {
	direction string
	class     refusal
}

type seldomState struct {
	next    time.Time // when the next one may pass
	skipped int       // since the last one that passed
}

func newSeldom() *seldom { return &seldom{kind: make(map[seldomKey]*seldomState)} }

// allow reports whether this event passes and how many like it did not since
// the last one that did.
func (s *seldom) allow(direction string, class refusal) (skipped int, ok bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	key := seldomKey{direction, class}
	state := s.kind[key]
	if state == nil {
		state = &seldomState{}
		s.kind[key] = state
	}
	if now.Before(state.next) {
		state.skipped++
		return 0, false
	}
	skipped, state.skipped = state.skipped, 0
	state.next = now.Add(logInterval)
	return skipped, true
}
