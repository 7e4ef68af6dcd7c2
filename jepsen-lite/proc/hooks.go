//go:build linux

package proc

// The hooks of the test build of tallyd (build tag jepsen) as a node's
// environment. They have no TALLY_ prefix: they are no settings of the product.
const (
	// EnvJournal names the file to which the node appends what it applies. It is
	// outside of the disk that faults are made on.
	EnvJournal = "JEPSEN_JOURNAL"
	// EnvClock names a file with the milliseconds, in decimal, by which the node's
	// wall clock is wrong. It is read again at least every 100 ms; a missing file
	// is 0.
	EnvClock = "JEPSEN_CLOCK"
)
