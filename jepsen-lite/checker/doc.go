// Package checker decides from what clients, watchers and nodes have written
// down whether the cluster kept its promises in one run.
//
// A run's folder has the history (package history) and the journals of the nodes
// (package journal), which are the committed log as each node applied it:
//
//	history.jsonl
//	journals/<node ID>.jsonl
//
// Every check is valid, invalid or unknown, and so is the run: it is valid only
// if all checks are. Unknown is no pass: a checker that ran out of time, a run
// that was broken off, or one in which too little happened, has shown nothing.
//
//	journals    the nodes applied one log: equal commands and answers at equal indexes, none left out
//	hashes      equal state hashes at equal indexes, of all nodes, all the time
//	replay      a model of the counters, fed the log, gives every answer that nodes and clients got,
//	            and every reading, to its revision; nothing acknowledged is missing, nothing that
//	            failed is there, nothing was made up or applied twice
//	real time   the order of the log is that of time: what came back before another was sent is before it
//	linear      porcupine finds an order for each group without looking at revisions
//	bounds      a counter is between what was acknowledged and what was sent
//	tickets     no number is given twice, and later callers get greater ones
//	once        requests with a key count once, and all their answers are the same
//	watch       watchers are told of everything, once, in order and whole
//	limit       no user got more changes into the log than the call limit allows
//	faults      every fault ended and has been proved
//	floors      enough was asked, and enough of it was answered
//	complete    the run came to its end, and every node was read after it
//
// Replay is linear in the length of the history, so it sees all of it. Linear,
// bounds, tickets and the sums of once know nothing of the log, or no more than
// which of the unknown requests are in it: they are the second opinion.
package checker
