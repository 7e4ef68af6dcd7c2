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
// The writer packs the events of one revision into a record and links it into
// the ring, which holds everything in log order and is where the oldest revision
// is dropped when a limit is passed. Most events are never asked for, so nothing
// else is done while nobody watches.
//
// Where somebody watches, records are indexed: their events are cut into runs,
// each of neighbouring events of one group, and a run is linked into the chain of
// its group, where a watcher finds its events without looking at those of others:
//
//	ring, oldest first    [7 a] -> [8 b] -> [9 a c a] -> [12 b]
//	index, oldest first   [7 a] -> [8 b] -> [9 a] -> [9 c] -> [9 a] -> [12 b]
//	chain of a            [7 a] <---------> [9 a] <---------> [9 a]
//	chain of b                     [8 b] <--------------------------> [12 b]
//	chain of c                                       [9 c]
//
// The writer itself indexes what it publishes. Only the first watcher after a
// while in which there was none finds a backlog, and indexes it, which takes tens
// of milliseconds for a full ring. The writer waits for no reader: if it
// finds the index busy it leaves a note for the waker.
//
// A record is linked before its revision is stored as published, and nothing is
// indexed before that. A reader loads what is published first, then sees to it
// that the index has come that far, and looks at nothing later: it sees all of a
// revision or nothing of it. It goes back along the chains of its groups to its
// position, merges forward, and checks last that the ring has not overtaken it;
// if it has, what was merged is thrown away and the group starts with a reset.
//
// Records and runs that are dropped are cut out of all lists in both directions,
// so that who still holds one holds that one only and not all that came after it.
//
// # Waking
//
// The writer must take constant time for an event, whoever watches. It waits for no
// lock that a reader takes, and it wakes nobody: even closing one channel on
// which 10,000 goroutines wait makes each of them runnable on the goroutine that
// closes. Who indexes puts the group's chain on a lock-free stack for the hub's one
// goroutine, the waker, which signals the cursors of that group and of no other.
//
// # What is never done here
//
// The package knows nothing of HTTP, of Raft or of who may watch what, sets no
// timer, and holds no state of the groups: for a reset it asks Config.State.
//
// Goroutines: the waker, owned by the Hub; Close waits for it.
package watch
