// Package fsm is the deterministic state machine of Tally: the codec of the
// commands in the Raft log, the state that they build, its snapshots, and a
// thin adapter that Raft drives.
//
// Nodes that applied the same log hold the same state, to the byte. So nothing
// here may depend on anything but the log: the state has no clock, no
// randomness, no goroutine, no configuration and no output in the order of a
// map. Time and caller arrive inside the command. A refusal is a value, equal
// on every node; what cannot be understood stops the node, because going on
// would mean to disagree in silence.
//
// The parts, from the log inwards:
//
//	command.go     what a log entry says, and its bytes
//	machine.go     the adapter: locks, applied index, waiting, reads
//	state.go       the state and the commands' effects, pure
//	mutation.go    the effects of a mutation, all or nothing
//	group.go       the counters of one group in one packed string
//	shape.go       lists of keys, shared by the groups that have them
//	shards.go      all groups; copy on write while a snapshot is out
//	idempotency.go the requests decided under an idempotency key, and what is forgotten
//	baretimes.go   where in that table a key is that carries no time
//	attempt.go     what makes two attempts the same
//	replay.go      what was decided, packed; the answer to another attempt
//	pages.go       the entries of that table in order; copy on write likewise
//	epochs.go      what is shared with a snapshot and must be copied
//	hash.go        the hash of the whole state, kept up to date by each change
//	snapshot.go    the snapshot's bytes, written
//	restore.go     the same, read and verified
package fsm
