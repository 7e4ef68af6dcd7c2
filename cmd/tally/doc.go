// Command tally is the command line of a Tally cluster: it reads and changes
// counters, watches them, looks at the cluster and changes its members, measures
// it, and shows what it is with three nodes of its own (tally demo).
//
// It is a thin skin over package client, and for the demo over package node. It
// keeps nothing on disk, and takes a token from a file or the environment, never
// from its arguments, which every user of the machine can read.
package main
