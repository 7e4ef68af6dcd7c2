// Package storage is what Raft keeps on disk, with the wrappers that make a
// failing or hanging disk end the node instead of wedging the cluster.
//
// Open opens a data directory:
//
//	LOCK          held with flock(2) as long as the directory is in use
//	node.json     whose directory this is: see Identity
//	log.bolt      the Raft log; or log.wal/, a directory of segments: see LogStore
//	stable.bolt   term and vote; a file of its own so that a vote does not wait
//	              behind the log's transactions
//	snapshots/    the newest two snapshots
//
// and puts the same wrappers around the files as Assemble puts around stores
// that a test brings. From the outside in:
//
//	logCache        the newest entries, in memory
//	logStore        chunked prefix deletes, measurements
//	guard           fail-stop and watchdog: every call to a store goes through it
//	voteStore       term and candidate of a vote in one write
//
// A store that has failed once never works again: after a failed fsync the
// kernel may report success for pages that never reached the disk, and Raft
// itself goes on after most errors of its stores, so a leader whose disk fails
// would keep its office. See Config.Fatal.
//
// Goroutines: the watchdog's, owned by Store and waited for by Close.
//
// The package never retries a write, never decides anything about the cluster,
// and never reads a log entry's data: commands carry their own checksum, which
// Config.Verify looks at.
package storage
