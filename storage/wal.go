package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// walLog is a log in a directory of segment files (hashicorp/raft-wal): one
// fsync for each batch where bolt needs two, no pages to rewrite, and old
// entries go by the file. It takes consecutive indexes only.
//
// What it cannot read in its last segment it takes for a batch that a crash cut
// off, and drops it with all that follows. So, unlike bolt, it does not notice
// when that segment was damaged after it was written: the node would forget
// entries that it has acknowledged.
type walLog struct{ *wal.WAL }

var (
	_ logFile                = walLog{}
	_ raft.MonotonicLogStore = walLog{}
)

// openWAL opens the log in the directory at path, or makes it.
func openWAL(path string, logger hclog.Logger) (logFile, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	list := &metadb.BoltMetaDB{}
	log, err := openSegments(path, list, logger)
	if err == nil {
		return walLog{log}, nil
	}
	if closeErr := list.Close(); closeErr != nil { // the library leaves it open
		logger.Warn("the list of segments was not closed", "path", path, "error", closeErr)
	}
	if errors.Is(err, wal.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
		err = damaged("it cannot be read: %v", err)
	}
	return nil, err
}

// openSegments opens the segments that list, which is in the same directory, names.
func openSegments(path string, list *metadb.BoltMetaDB, logger hclog.Logger) (log *wal.WAL, err error) {
	defer recoverFault(debug.SetPanicOnFault(true), &err)
	if err := checkBolt(walMade(path)); err != nil {
		return nil, boltError(err)
	}
	return wal.Open(path, wal.WithLogger(logger.Named("wal")), wal.WithMetaStore(list))
}

// walMade is the file in the directory of a WAL that exists from its first
// opening on.
func walMade(path string) string { return filepath.Join(path, metadb.FileName) }

// Get returns ErrKeyNotFound where the library returns nothing.
func (l walLog) Get(key []byte) ([]byte, error) {
	value, err := l.WAL.Get(key)
	if err == nil && len(value) == 0 {
		return nil, ErrKeyNotFound
	}
	return value, err
}

// rejoinConsecutive empties a log that ends before the newest snapshot if it
// takes consecutive indexes only. Raft installs a snapshot and then empties such
// a log; a crash between the two would leave one that refuses every entry that
// follows the snapshot. A snapshot that cannot be read is no reason to delete
// anything: Raft falls back on the one before it, and needs what the log has.
func rejoinConsecutive(log raft.LogStore, snapshots raft.SnapshotStore) error {
	if !isMonotonic(log) {
		return nil
	}
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	list, err := snapshots.List()
	if err != nil || len(list) == 0 || last == 0 || last >= list[0].Index {
		return err
	}
	_, content, err := snapshots.Open(list[0].ID) // reads it all, for its checksum
	if err != nil {
		return nil //nolint:nilerr // Raft meets the same error and says what it does about it
	}
	if err := errors.Join(content.Close(), log.DeleteRange(first, last)); err != nil {
		return fmt.Errorf("emptying the log behind the snapshot at index %d: %w", list[0].Index, err)
	}
	return nil
}

// isMonotonic says that a log takes consecutive indexes only.
func isMonotonic(log raft.LogStore) bool {
	monotonic, ok := log.(raft.MonotonicLogStore)
	return ok && monotonic.IsMonotonic()
}
