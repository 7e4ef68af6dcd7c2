// Package watch keeps the newest committed events in memory and hands them to
// any number of readers, each from its own position: every event once, in log
// order, all of one revision together, or else a reset that says "this is the
// state, go on from here". There is never a silent gap.
//
// # Types
//
// A Hub is written by the one goroutine that applies the log. A Cursor is what
// one watcher holds: its groups, with a position and perhaps a choice of keys
// for each. It is no queue: nothing is copied to a watcher until it asks, so a
// watcher that stops reading costs the writer nothing and a fixed amount of
// memory. What a Cursor gives is a Batch of Changes.
//
// # Data path
//
// The events of one revision are cut into runs, each of neighbouring events of
// one group. A run is linked twice: into the ring, which holds everything in
// log order and is where the oldest revision is dropped when a limit is passed,
// and into the chain of its group, where a watcher finds its events without
// looking at those of others:
//
//	ring, oldest first   [7 a] -> [8 b] -> [9 a] -> [9 c] -> [9 a] -> [12 b]
//	chain of a           [7 a] <---------> [9 a] <---------> [9 a]
//	chain of b                    [8 b] <--------------------------> [12 b]
//	chain of c                                      [9 c]
//
// The writer links the runs of a revision and only then stores the revision as
// published. A reader loads what is published first, so it sees all of a
// revision or nothing of it. It goes back along the chains of its groups to its
// position, merges forward, and checks last that the ring has not overtaken it;
// if it has, what was merged is thrown away and the group starts with a reset.
//
// Runs that the ring drops are cut out of both lists in both directions, so
// that who still holds one holds that one only and not all that came after it.
//
// # Waking
//
// The writer must take constant time for an event, whoever watches. It takes no
// lock that a reader takes, and it wakes nobody: even closing one channel on
// which 10,000 goroutines wait makes each of them runnable on the goroutine that
// closes. It puts the group's chain on a lock-free stack for the hub's one
// goroutine, the waker, which signals the cursors of that group and of no other.
//
// # What is never done here
//
// The package knows nothing of HTTP, of Raft or of who may watch what, sets no
// timer, and holds no state of the groups: for a reset it asks Config.State.
//
// Goroutines: the waker, owned by the Hub; Close waits for it.
package watch
