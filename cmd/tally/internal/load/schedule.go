package load

import (
	"math/rand/v2"
	"sync"
	"time"
)

// schedule says when each request of an open loop is due. Whether anybody is
// free to send it does not change it.
type schedule struct {
	even bool
	mean float64 // of the intervals, in nanoseconds

	mu   sync.Mutex
	rand *rand.Rand
	at   float64 // nanoseconds from start to the last one that was taken
	base time.Time
}

func newSchedule(c Config, start time.Time) *schedule {
	return &schedule{
		even: c.Even,
		mean: float64(time.Second) / c.Rate,
		rand: rand.New(rand.NewPCG(c.Seed, 0)),
		base: start,
	}
}

// next takes the next request; ok is false if it would be due at or after end.
func (s *schedule) next(end time.Time) (due time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	interval := s.mean
	if !s.even {
		interval *= s.rand.ExpFloat64()
	}
	s.at += interval
	due = s.base.Add(time.Duration(s.at))
	return due, due.Before(end)
}
