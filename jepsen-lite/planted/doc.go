//go:build jepsen && planted

// Package planted has the mistakes that the nodes of one build make on purpose,
// one of them at a time, to show that the checkers notice. scripts/planted.sh
// plays all of them.
//
// They sit between the parts of a node, where the node lets a test put something
// of its own, so that the parts themselves stay as they are:
//
//	machine.go   what Raft drives instead of the state machine, under the journal:
//	             the journal says truly what was committed and what was answered
//	backend.go   what the HTTP API asks instead of the cluster
//	told.go      what the watch hub and the call limit are told
//	disk.go      what Raft keeps on disk
//
// A few can only be made inside, where internal/planted is asked. Where
// it makes sense a mistake is made now and then: one that shows in every answer
// proves little.
package planted
