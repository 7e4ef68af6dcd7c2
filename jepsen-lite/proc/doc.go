//go:build linux

// Package proc runs a cluster of real tallyd processes and can do to it what
// happens to machines: end, pause and restart processes, cut and disturb links,
// take disks away, shift clocks.
//
// The words: a Machine is a place with an address, a disk and a clock; it stays
// for the whole run. A node runs on it, under an ID that is never given to
// another; when a node has been removed from the cluster, the next one on that
// machine has the next ID.
//
// As root, every machine has a network namespace of its own and an ext4 file
// system on a loop device. The run itself is in a network and a mount namespace
// that the kernel takes away with its last process, so that nothing of it can be
// left behind, whatever ends it. Otherwise the machines are addresses of the
// loopback interface with plain folders, and Capabilities says what cannot be
// done there.
//
// The package decides nothing: what is broken when, and whether it has bitten,
// is the matter of package nemesis.
package proc
