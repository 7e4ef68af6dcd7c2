// Package ratelimit is the call limit of one user as a sliding log: at most
// CallsMax calls in any Window of time, 20 in 5 seconds unless told otherwise.
//
// The leader of the cluster asks it before it proposes a mutation (Admit), and
// every node tells it what the log holds (Note), so that a new leader knows the
// window of the one before it and killing a leader buys nobody a second helping:
//
//	leader:    Admit -> stamp with Verdict.AtMs -> propose -> Note when applied
//	                                                       -> Return when it definitely failed
//	follower:                                                 Note when applied
//	new leader: apply the log up to the first command of its term -> BeginTerm -> Admit
//
// A call is counted from Admit on, so calls in flight count, and Note for a call
// that was admitted here only settles it: it is never counted twice. Reads have
// a limiter of their own that is never told anything but Admit.
//
// Time is given, in Unix milliseconds, and never goes back: an earlier time than
// one seen before counts as that one. A call at t counts in every window that
// holds t and is forgotten at exactly t+Window: in no half-open interval
// [t, t+Window) of the stamps given out are there more than CallsMax calls, and
// a call at t+Window is the first that does not count the one at t.
//
// It never reads a clock, starts a goroutine, or decides who is limited: callers
// without a limit are not passed in. It forgets users who have been idle for a
// window a few at a time, as others call.
package ratelimit
