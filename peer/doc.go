// Package peer is the node-to-node port of Tally: one listening address that
// carries Raft's own streams and the calls that nodes make to each other.
//
//	             Network (TCP, or pipes in tests)
//	                        |
//	                  hello, both ways          who are you, may you
//	           /             |              \
//	     kind raft      kind entries       kind calls
//	votes, snapshots    entries of logs,   batched frames,
//	(the library's)     one at a time      many calls under way
//
// Every connection begins with a hello in which both sides say who they are and
// either may refuse the other. Nothing reaches the decoder of the Raft library
// before both have agreed: that decoder takes orders from whoever can reach it,
// and a malformed message can end the process.
//
// The port says of every failed call whether the remote node may have seen it
// ([Definite]); a forwarded change is repeated or given up on that word alone.
//
// The port never looks into what calls carry, never repeats a call, never keeps
// anything on disk, and does not encrypt: who can change the traffic between
// nodes can change the cluster, so that network has to be trusted.
//
// Goroutines, all waited for by Close: one that accepts; one for each accepted
// connection, which exchanges hellos and, for calls, goes on to read requests
// and run handlers, and for entries to hand them to Raft; one that hands Raft
// all else; one that writes replies; for each connection this node
// opened for calls, one that reads and one that writes; and one for each
// connection that is being opened. Those of raft.NetworkTransport end when
// their connections are closed.
package peer
