package ratelimit

import "slices"

// call is the time of one call, packed because there may be 20 million of them:
//
//	31             1  0
//	+---------------+--+
//	| Unix ms % 2^31|o |   o: open
//	+---------------+--+
//
// An open call was admitted here and is not known to be in the log. The time is
// unambiguous because a caller's calls are younger than two windows whenever
// they are looked at, see caller.forget.
type call uint32

const (
	openBit = 1
	ageMask = 1<<31 - 1
)

func openCall(atMs int64) call    { return call(uint32(atMs)<<1 | openBit) }
func settledCall(atMs int64) call { return call(uint32(atMs) << 1) }

func (c call) open() bool { return c&openBit != 0 }

// age is how long before nowMs the call was, in ms.
func (c call) age(nowMs int64) int64 {
	return int64((uint32(nowMs) - uint32(c)>>1) & ageMask)
}

// userID stands for a user's name: two hashes of it with seeds that nobody
// knows. A name of any length costs the same, and is compared without fetching
// it from memory. Among a million users the odds that any two share one,
// and so their calls, are 1 to 10^26.
type userID [2]uint64

// caller is one user and the calls that count: one cache line.
type caller struct {
	id        userID
	calls     []call // by time, oldest first
	touchedMs int64  // when a call was last added; no call is later
	term      uint32 // the term of the open calls

	queued uint32  // when it was last put into the queue, in Unix ms % 2^32
	next   *caller // in the queue
}

// forget drops the calls that no longer count: those that have left the window,
// and those still open from an earlier term.
func (c *caller) forget(nowMs, windowMs int64, term uint32) {
	if nowMs-c.touchedMs >= windowMs {
		c.calls = c.calls[:0] // also keeps ages far below 2^31, where they repeat
	}
	if c.term != term {
		c.calls = slices.DeleteFunc(c.calls, call.open)
		c.term = term
	}
	left := 0
	for left < len(c.calls) && c.calls[left].age(nowMs) >= windowMs {
		left++
	}
	if left > 0 {
		c.calls = slices.Delete(c.calls, 0, left)
	}
}

// add inserts a call by its time, after those of the same time.
func (c *caller) add(added call, nowMs int64, callsMax int) {
	c.grow(callsMax)
	c.touchedMs = nowMs
	at := len(c.calls)
	for at > 0 && c.calls[at-1].age(nowMs) < added.age(nowMs) {
		at--
	}
	c.calls = slices.Insert(c.calls, at, added)
}

// grow makes room for one call. Left to append, the 20 calls of a user at the
// limit would take room for 32.
func (c *caller) grow(callsMax int) {
	if len(c.calls) < cap(c.calls) {
		return
	}
	room := max(4, 2*cap(c.calls))
	if len(c.calls) < callsMax {
		room = min(room, callsMax)
	}
	c.calls = append(make([]call, 0, room), c.calls...)
}

// take removes one call that equals taken, if there is one.
func (c *caller) take(taken call) {
	if i := slices.Index(c.calls, taken); i >= 0 {
		c.calls = slices.Delete(c.calls, i, i+1)
	}
}
