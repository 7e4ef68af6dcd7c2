// Package sim runs whole clusters in virtual time, many simulated hours in one of
// real time, while one fault follows the other, and lets the checkers of
// jepsen-lite decide what came of it.
//
// The nodes are the product's (package node), with real Raft, real peer ports
// and real HTTP servers; below them are a network and disks in memory (packages
// pipenet and memdisk) and clocks that can be wrong. The clients are the
// workloads of jepsen-lite, over real HTTP; what they saw and what the nodes
// applied goes to the same history and journals, and to the same checkers.
//
//	plan    what a seed decides: the cluster, the workloads, the order of the faults
//	world   one run: nodes, clocks, clients, journals
//	fault   one fault, from its begin to its healing, with its proof
//	kinds   the faults there are
//	report  what came of a run, and of all
//
// A seed decides the faults, whom they hit, for how long, and what clients send.
// It does not decide which goroutine runs first: that is up to the runtime, so a
// run that is made again has the same faults and not the same every step. A
// seed that has found something is kept in the test's table all the same: it
// finds it again more often than others do.
//
// What is not simulated: processes that stand still (SIGSTOP) while their
// connections live, packets (a connection loses, repeats and reorders nothing, as
// TCP does not; what is on different connections is delayed independently), the
// formats on a real disk, and threads that run at the same time: there is one
// processor.
//
// Nothing here is part of the product.
package sim
