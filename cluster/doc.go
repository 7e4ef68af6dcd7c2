// Package cluster is one Raft node: it founds or joins a cluster, knows who
// leads, turns mutations into log entries on whichever node they arrive, and
// says from which log index on a read is linearizable.
//
// A write goes Propose -> (forward to the leader) -> proposer -> raft.Apply ->
// fsm.Machine -> outcome; one with an idempotency key that is known or in flight
// goes no further than the proposer. A read goes Read -> rounds -> (leader's
// confirmation) -> fsm.Machine.WaitApplied -> fsm.Machine.Read.
//
// The goroutines of a Node, all waited for by Close:
//
//	proposer.run      the only caller of raft.Apply: checks, stamps and proposes in one order
//	proposer.answer   waits for the futures in that same order
//	lead              watches who leads; opens each term that this node leads
//	exchange.run      asks the other members once a second what they are and know
//	watchDisk         refuses mutations before the disk is full
//	boundLog          takes a snapshot when the log has grown by many bytes
//	found or join     only while the node has no state
//	catchUp           until the node has once served a linearizable read
//
// It never calls raft.Barrier, raft.VerifyLeader or raft.Restore: what they put
// in the log does not reach the state machine, and an acknowledgement that
// VerifyLeader accepts may be older than the call (see readindex.go). It never
// retries a mutation that may have been applied, unless it carries an
// idempotency key, with which it counts once.
package cluster
