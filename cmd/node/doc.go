// Command node builds tallyd, the server of Tally: one node of a cluster.
//
// It reads flags, the environment and a configuration file, turns them into a
// node.Config, and looks after what belongs to the process and not to the node:
// signals, the log's output, the exit code, and the one global that raft's
// metrics go through. Everything else is package node, which tests and other
// programs open in the same way.
//
// It never serves a request itself and keeps nothing on disk.
package main
