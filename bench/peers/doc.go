// Command peers runs the same work against Tally and against etcd, Redis and a
// handler that does nothing, in turn, on one machine, and prints the ratios.
//
//	scripts/bench.sh peers
//
// A round runs every contender of a work once; rounds repeat, A B A B, so that
// the hour and the neighbours weigh on all alike. Only ratios of one run mean
// anything. All systems are up all the time, and idle while another is measured.
//
// Closed loops (each connection sends its next request when the last one was
// answered) give rates; open loops (requests are due at fixed times, and their
// latency counts from when they were due) give the curve of latency over rate.
//
// It is a module of its own so that the clients of the peers are no dependency
// of the product. It starts its own nodes, on loopback, and ends them.
package main
