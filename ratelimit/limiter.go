package ratelimit

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// What a Config that says nothing gets.
const (
	DefaultCallsMax = 20
	DefaultWindow   = 5 * time.Second
)

// Bounds of a Config.
const (
	// CallsMaxMax bounds what one user can cost: 4 bytes a call.
	CallsMaxMax = 10_000
	// WindowMax is far below the 2^31 ms at which the stamp of a call repeats.
	WindowMax = time.Hour
)

// looksPerCall is how many callers are looked at for having become idle, at
// most, with each call. A call puts at most one into the queue, as somebody new
// or as one who was found active: more than one, so that the queue keeps up.
const looksPerCall = 2

// Config is the figures of a limit. They need not be equal on all nodes: the
// leader's count.
type Config struct {
	// CallsMax is how many calls a user has in any Window: 1 to CallsMaxMax, 0 for DefaultCallsMax.
	CallsMax int
	// Window is whole seconds, because the header fields know no fractions: 1 s
	// to WindowMax, 0 for DefaultWindow.
	Window time.Duration
}

// Verdict is what becomes of one call.
type Verdict struct {
	// OK: the call is admitted, and counted.
	OK bool
	// AtMs is the time at which it counts, in Unix ms: the time given, or a later
	// one that was seen before. The command must be stamped with it; Note and
	// Return know the call by it.
	AtMs int64
	// Remaining is how many more calls the user has now, not counting this one.
	Remaining int
	// RetryAfter is how long until there are more than Remaining. It is positive
	// and at most the window. A call refused now is admitted then, unless another
	// of the user's takes the place.
	RetryAfter time.Duration
}

// Limiter counts the calls of all users. Every method may be called at any time
// from anywhere, and holds the lock for well under a microsecond.
type Limiter struct {
	callsMax int
	windowMs int64
	seeds    [2]maphash.Seed

	mu      sync.Mutex
	nowMs   int64  // the latest time seen; no call is later
	term    uint32 // counts BeginTerm
	callers map[userID]*caller
	queue   queue // the same callers
}

// New makes a limiter that has seen no calls.
func New(config Config) (*Limiter, error) {
	if config.CallsMax == 0 {
		config.CallsMax = DefaultCallsMax
	}
	if config.Window == 0 {
		config.Window = DefaultWindow
	}
	if config.CallsMax < 0 || config.CallsMax > CallsMaxMax {
		return nil, fmt.Errorf("ratelimit: %d calls are not 1 to %d", config.CallsMax, CallsMaxMax)
	}
	if config.Window < 0 || config.Window > WindowMax || config.Window%time.Second != 0 {
		return nil, fmt.Errorf("ratelimit: a window of %v is not whole seconds up to %v", config.Window, WindowMax)
	}
	return &Limiter{
		callsMax: config.CallsMax,
		windowMs: config.Window.Milliseconds(),
		seeds:    [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		callers:  make(map[userID]*caller),
	}, nil
}

// Admit decides on a call of user at nowMs, and counts it if it is admitted.
// What is refused leaves no trace.
func (l *Limiter) Admit(user string, nowMs int64) Verdict {
	id := l.identify(user)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advanceLocked(nowMs)
	c := l.callerLocked(id)
	admitted := len(c.calls) < l.callsMax
	if admitted {
		c.add(openCall(l.nowMs), l.nowMs, l.callsMax)
	}
	// More is left when at most callsMax-1 calls are: normally when the oldest
	// goes, but Note may have brought more than the limit allows.
	leaves := c.calls[max(0, len(c.calls)-l.callsMax)]
	return Verdict{
		OK:         admitted,
		AtMs:       l.nowMs,
		Remaining:  max(0, l.callsMax-len(c.calls)),
		RetryAfter: time.Duration(l.windowMs-leaves.age(l.nowMs)) * time.Millisecond,
	}
}

// Note tells that the log holds a call of user, in the order of the log, on
// every node, whatever the state machine made of it. atMs is the time that the
// command carries, not the log time: the log time can be later, when the leader
// before had a clock ahead of ours, and would not be known as the time at which
// Admit counted the call.
//
// A call that Admit counted here is thereby settled, not counted again; one that
// another leader admitted is counted now, even if it is over the limit.
func (l *Limiter) Note(user string, atMs int64) {
	id := l.identify(user)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advanceLocked(atMs)
	if l.nowMs-atMs >= l.windowMs {
		return // no window to come holds it, and if it was open it is forgotten
	}
	c := l.callerLocked(id)
	c.take(openCall(atMs))
	c.add(settledCall(atMs), l.nowMs, l.callsMax)
	// Beyond this the oldest cannot matter: there are callsMax settled calls
	// after it, as at most callsMax are open.
	if len(c.calls) > 2*l.callsMax {
		c.calls = slices.Delete(c.calls, 0, 1)
	}
}

// Return gives back a call that Admit counted at atMs and that definitely is not
// and will not be in the log. A call whose outcome is unknown must not be given
// back: BeginTerm does that, if this node ever leads again.
func (l *Limiter) Return(user string, atMs int64) {
	id := l.identify(user)
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.callers[id]; c != nil && l.nowMs-atMs < l.windowMs {
		c.forget(l.nowMs, l.windowMs, l.term)
		c.take(openCall(atMs))
	}
}

// BeginTerm starts a term of leadership. It must be called when this node has
// applied, and noted, the log up to the first command of its own term, before
// the first Admit of that term. What it admitted in an earlier term and has not
// noted by then was lost with that term: it is given back.
func (l *Limiter) BeginTerm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term++
	// Stamps of this term are later than all before, so that a late Return from
	// an earlier term cannot give back a call of this one.
	l.nowMs++
}

// Users is how many users are remembered: those with calls in the window, and
// some that are about to be forgotten.
func (l *Limiter) Users() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.callers)
}

// advanceLocked moves time on and forgets users who have been idle for a window.
func (l *Limiter) advanceLocked(nowMs int64) {
	l.nowMs = max(l.nowMs, nowMs)
	for range looksPerCall {
		if l.queue.first == nil || int64(uint32(l.nowMs)-l.queue.first.queued) < l.windowMs {
			return
		}
		c := l.queue.pop()
		if l.nowMs-c.touchedMs < l.windowMs {
			c.queued = uint32(l.nowMs)
			l.queue.push(c)
			continue
		}
		delete(l.callers, c.id)
	}
}

// identify makes what stands for user in memory.
func (l *Limiter) identify(user string) userID {
	return userID{maphash.String(l.seeds[0], user), maphash.String(l.seeds[1], user)}
}

// callerLocked returns a user with the calls that count now.
func (l *Limiter) callerLocked(id userID) *caller {
	c := l.callers[id]
	if c != nil {
		c.forget(l.nowMs, l.windowMs, l.term)
		return c
	}
	c = &caller{id: id, touchedMs: l.nowMs, queued: uint32(l.nowMs), term: l.term}
	l.callers[id] = c
	l.queue.push(c)
	return c
}
