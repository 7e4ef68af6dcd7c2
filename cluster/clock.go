package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tally/counter"
)

// clockSkewMax is how far a node's clock may be off before the node says so.
const clockSkewMax = 5 * time.Second

// clock tells the time that commands are stamped with: the median of the
// voters' wall clocks as they were last exchanged, advanced by this node's
// monotonic clock. One wrong clock, the leader's own included, moves nothing;
// a clock that jumps is noticed at the next exchange and outvoted.
//
// Each voter's wall clock is kept as its distance from this node's monotonic
// time, so it goes on running while the voter cannot be asked.
type clock struct {
	wall    func() time.Time // this node's wall clock
	started time.Time        // where its monotonic time begins

	mu        sync.Mutex
	distances map[string]time.Duration // wall clock since 1970 minus monotonic time, by node ID

	median atomic.Int64 // the distance that counts, in nanoseconds
	skew   atomic.Int64 // this node's own distance minus the median, in nanoseconds
}

func newClock(self string, wall func() time.Time) *clock {
	c := &clock{wall: wall, started: time.Now(), distances: map[string]time.Duration{}}
	c.settle(self, []string{self}, 0)
	return c
}

// elapsed is this node's monotonic time.
func (c *clock) elapsed() time.Duration { return time.Since(c.started) }

// nowMs returns the time to stamp with, in Unix milliseconds.
func (c *clock) nowMs() int64 {
	return (time.Duration(c.median.Load()) + c.elapsed()).Milliseconds()
}

// observe takes a voter's wall clock, read somewhere between the moments when
// it was asked and when its answer came.
func (c *clock) observe(id string, wallMs int64, asked, answered time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.distances[id] = time.Duration(wallMs)*time.Millisecond - (asked+answered)/2
}

// knows returns how many of the voters' clocks are known.
func (c *clock) knows(voters []string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := 0
	for _, id := range voters {
		if _, ok := c.distances[id]; ok {
			known++
		}
	}
	return known
}

// settle reads this node's own wall clock and takes the median of the voters'
// whose clocks are known. Of two middle ones it is the earlier, because log time
// never goes back, unless log time says that this one is behind: then it would
// stand still, and new idempotency keys would seem to come from the future.
func (c *clock) settle(self string, voters []string, logTimeMs int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := time.Duration(c.wall().UnixNano()) - c.elapsed()
	c.distances[self] = own
	var known []time.Duration
	for _, id := range voters {
		if distance, ok := c.distances[id]; ok {
			known = append(known, distance)
		}
	}
	median := own
	if len(known) > 0 {
		slices.Sort(known)
		median = known[(len(known)-1)/2]
		if behind := time.Duration(logTimeMs)*time.Millisecond - (median + c.elapsed()); behind > clockSkewMax {
			median = known[len(known)/2]
		}
	}
	c.median.Store(int64(median))
	c.skew.Store(int64(own - median))
}

// ownSkew is how far this node's wall clock is ahead of the median.
func (c *clock) ownSkew() time.Duration { return time.Duration(c.skew.Load()) }

// check tells people how the clock is. A wrong one keeps nobody from serving.
func (c *clock) check() counter.Check {
	skew := c.ownSkew().Round(time.Millisecond)
	check := counter.Check{Name: "clock", OK: true, Detail: fmt.Sprintf("%v from the voters' median", skew)}
	if skew.Abs() > clockSkewMax {
		check.Detail += "; set it right"
	}
	return check
}
