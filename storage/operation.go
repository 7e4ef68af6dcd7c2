package storage

import (
	"errors"
	"syscall"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/hashicorp/raft"
)

// ErrKeyNotFound is what a stable store returns for a key that it does not
// have. Raft recognises it by its text.
var ErrKeyNotFound = raftboltdb.ErrKeyNotFound

// Operation names one kind of call to a store: in errors, in metrics, and where
// tests inject faults.
type Operation string

// The operations. Their words are metric labels: never rename one.
const (
	OpFirstIndex  Operation = "first_index"
	OpLastIndex   Operation = "last_index"
	OpGetLog      Operation = "get_log"
	OpStoreLogs   Operation = "store_logs"
	OpDeleteRange Operation = "delete_range"

	OpGet       Operation = "get"
	OpGetUint64 Operation = "get_uint64"
	OpSet       Operation = "set"
	OpSetUint64 Operation = "set_uint64"

	OpLoadIdentity Operation = "load_identity"
	OpSaveIdentity Operation = "save_identity"

	OpCreateSnapshot Operation = "create_snapshot"
	OpWriteSnapshot  Operation = "write_snapshot"
	OpCloseSnapshot  Operation = "close_snapshot"
	OpCancelSnapshot Operation = "cancel_snapshot"
	OpListSnapshots  Operation = "list_snapshots"
	OpOpenSnapshot   Operation = "open_snapshot"

	OpClose Operation = "close"
)

// How many timeouts calls to the snapshot store may take. Writing one piece, or
// making the folder for it, syncs a page at most, but waits for what others write
// to a busy disk. Closing a snapshot syncs hundreds of megabytes at once, opening
// one reads them all for their checksum.
const (
	pieceOfSnapshotPatience = 5
	wholeSnapshotPatience   = 30
)

// file is where the operation works, relative to a data directory whose log is
// of the kind log.
func (op Operation) file(log LogStore) string {
	switch op {
	case OpFirstIndex, OpLastIndex, OpGetLog, OpStoreLogs, OpDeleteRange:
		return log.name()
	case OpGet, OpGetUint64, OpSet, OpSetUint64:
		return stableFile
	case OpLoadIdentity, OpSaveIdentity:
		return identityFile
	}
	if op.ofSnapshots() {
		return snapshotsDir
	}
	return "."
}

func (op Operation) ofSnapshots() bool {
	switch op {
	case OpCreateSnapshot, OpWriteSnapshot, OpCloseSnapshot, OpCancelSnapshot, OpListSnapshots, OpOpenSnapshot:
		return true
	}
	return false
}

// patience is how many timeouts the operation may take.
func (op Operation) patience() uint64 {
	switch op {
	case OpCreateSnapshot, OpWriteSnapshot:
		return pieceOfSnapshotPatience
	case OpCloseSnapshot, OpCancelSnapshot, OpListSnapshots, OpOpenSnapshot:
		return wholeSnapshotPatience
	}
	return 1
}

// harmless says that err is a result of op like any other, and no reason to
// stop. That is:
//
//   - an entry or a key that is not there;
//   - a snapshot that does not fit on the disk: nothing is lost, the log stays
//     as long as it is, and the node stops only if the log does not fit either;
//   - a snapshot that cannot be listed or opened: Raft takes an older one, or
//     refuses to start.
//
// Every other error of a snapshot stops the node too. An fsync that failed
// would be forgotten by the next one, and Raft would delete log entries that
// are on the disk in neither place.
func (op Operation) harmless(err error) bool {
	switch op {
	case OpGetLog:
		return errors.Is(err, raft.ErrLogNotFound)
	case OpGet, OpGetUint64:
		return errors.Is(err, ErrKeyNotFound)
	case OpCreateSnapshot, OpWriteSnapshot, OpCloseSnapshot, OpCancelSnapshot:
		return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	case OpListSnapshots, OpOpenSnapshot:
		return true
	}
	return false
}

// counted says that err belongs in the metrics even though it is harmless.
func (op Operation) counted() bool { return op.ofSnapshots() }
