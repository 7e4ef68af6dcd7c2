package storage

import (
	"time"

	"github.com/hashicorp/raft"
)

const (
	// deleteChunkEntries is how many entries one transaction of a prefix delete
	// takes. The transaction holds the log's only write lock: with all entries of
	// a compaction in one, appending stood still for seconds
	// (hashicorp/consul#5181). A chunk of this size takes a few milliseconds.
	deleteChunkEntries = 2048
	// deletePause lies between two chunks. The lock is not handed over in order,
	// so without a pause the next chunk would usually take it again before an
	// append that waits for it.
	deletePause = time.Millisecond
)

// logStore is the guarded log.
type logStore struct {
	guard   *guard
	inner   raft.LogStore
	metrics *metrics
}

var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
)

// IsMonotonic implements raft.MonotonicLogStore: Raft empties a log that takes
// consecutive indexes only before it continues after a snapshot.
func (s *logStore) IsMonotonic() bool { return isMonotonic(s.inner) }

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (index uint64, err error) {
	err = s.guard.do(OpFirstIndex, func() (err error) {
		index, err = s.inner.FirstIndex()
		return err
	})
	return index, err
}

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (index uint64, err error) {
	err = s.guard.do(OpLastIndex, func() (err error) {
		index, err = s.inner.LastIndex()
		return err
	})
	return index, err
}

// GetLog implements raft.LogStore. An entry that is damaged stops the node: a
// leader would send it to others, whose disks are whole, and end them too.
func (s *logStore) GetLog(index uint64, entry *raft.Log) error {
	return s.guard.do(OpGetLog, func() error {
		if err := s.inner.GetLog(index, entry); err != nil {
			return err
		}
		return s.verify(entry)
	})
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(entry *raft.Log) error {
	return s.StoreLogs([]*raft.Log{entry})
}

// StoreLogs implements raft.LogStore. The entries are durable when it returns.
func (s *logStore) StoreLogs(entries []*raft.Log) error {
	began := time.Now()
	err := s.guard.do(OpStoreLogs, func() error { return s.inner.StoreLogs(withChecksums(entries)) })
	if err == nil {
		s.metrics.stored(len(entries), time.Since(began))
	}
	return err
}

// DeleteRange implements raft.LogStore. Deleting old entries behind a snapshot
// may stop halfway and be none the worse, so that goes in chunks. Deleting
// entries at the end, which contradict the leader's, must be atomic: what is
// left of a half-done delete would be a log with a hole. A log of segments
// deletes whole files at no cost.
func (s *logStore) DeleteRange(minimum, maximum uint64) error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.LastIndex()
	if err != nil {
		return err
	}
	if minimum > first || maximum >= last || s.IsMonotonic() {
		return s.deleteAtOnce(minimum, maximum)
	}
	return s.deletePrefix(first, maximum)
}

func (s *logStore) deleteAtOnce(minimum, maximum uint64) error {
	return s.guard.do(OpDeleteRange, func() error { return s.inner.DeleteRange(minimum, maximum) })
}

// deletePrefix asks for the first index again after each chunk instead of
// counting on: indexes may have gaps of any size.
func (s *logStore) deletePrefix(first, maximum uint64) error {
	for {
		end := min(maximum, first+deleteChunkEntries-1)
		if err := s.deleteAtOnce(first, end); err != nil {
			return err
		}
		var err error
		if first, err = s.FirstIndex(); err != nil {
			return err
		}
		if first == 0 || first > maximum {
			return nil
		}
		time.Sleep(deletePause)
	}
}

// checkLogStart refuses a log that begins after the end of the newest snapshot:
// the state in between is lost.
func checkLogStart(log raft.LogStore, snapshots raft.SnapshotStore) error {
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	list, err := snapshots.List()
	if err != nil {
		return err
	}
	var covered uint64
	if len(list) > 0 {
		covered = list[0].Index
	}
	if first > covered+1 {
		return damaged("the log begins at index %d, but the newest snapshot ends at %d", first, covered)
	}
	return nil
}
