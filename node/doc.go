// Package node is one Tally node, wired: it opens the storage, the state
// machine, the Raft node and the HTTP server in the order in which they need
// each other, and closes them in reverse. tallyd, the demo and the tests run
// the same Node.
//
// It is the only package that sees all the others. It never reads flags, the
// environment or files of configuration: its caller does, and hands it a Config.
package node
