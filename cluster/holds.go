package cluster

import (
	"sync"

	"tally/counter"
)

// holds makes a second attempt of an idempotency key wait for the first: while
// the first is in the log but not applied, nobody can tell the second what
// became of it.
//
// The proposer's two goroutines share it: run enters and holds, answer releases.
type holds struct {
	wake chan struct{} // capacity 1: something was released

	mu       sync.Mutex
	inflight map[holdKey][]*proposal // attempts that wait, by what they wait for
	released []*proposal             // attempts that may be looked at again
}

// holdKey is an idempotency key with its scope.
type holdKey struct{ user, key string }

func keyOf(m *counter.Mutation) holdKey { return holdKey{m.User, m.IdempotencyKey} }

func newHolds() *holds {
	return &holds{wake: make(chan struct{}, 1), inflight: map[holdKey][]*proposal{}}
}

// enter notes p as the attempt in flight, or lets it wait for the one that is
// and reports false.
func (h *holds) enter(p *proposal) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := keyOf(p.mutation)
	waiting, held := h.inflight[key]
	if held {
		h.inflight[key] = append(waiting, p)
		return false
	}
	h.inflight[key] = nil
	return true
}

// leave says that p is decided, and releases those that waited for it.
func (h *holds) leave(p *proposal) {
	h.mu.Lock()
	key := keyOf(p.mutation)
	waiting := h.inflight[key]
	delete(h.inflight, key)
	h.released = append(h.released, waiting...)
	h.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take returns what was released and not taken yet.
func (h *holds) take() []*proposal {
	h.mu.Lock()
	defer h.mu.Unlock()
	released := h.released
	h.released = nil
	return released
}
