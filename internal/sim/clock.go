package sim

import (
	"sync"
	"time"
)

// clock is the wall clock of one machine.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
	drift  float64   // seconds that it gains in each second, since
	since  time.Time // virtual time
}

// now returns the time without a monotonic reading: it is the wall clock alone
// that is wrong.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	gained := time.Duration(c.drift * float64(now.Sub(c.since)))
	return now.Round(0).Add(c.offset + gained)
}

// set makes the clock wrong by an offset, and more so from now on if it drifts.
func (c *clock) set(offset time.Duration, drift float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset, c.drift, c.since = offset, drift, time.Now()
}
