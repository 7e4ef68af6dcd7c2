package storage

import (
	"io"

	"github.com/hashicorp/raft"
)

// snapshotStore is the guarded snapshot store. It watches single calls, not
// whole snapshots, which take as long as they take.
type snapshotStore struct {
	guard   *guard
	inner   raft.SnapshotStore
	metrics *metrics
}

var _ raft.SnapshotStore = (*snapshotStore)(nil)

// Create implements raft.SnapshotStore.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64,
	configuration raft.Configuration, configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	var sink raft.SnapshotSink
	err := s.guard.do(OpCreateSnapshot, func() (err error) {
		sink, err = s.inner.Create(version, index, term, configuration, configurationIndex, transport)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &snapshotSink{SnapshotSink: sink, store: s}, nil
}

// List implements raft.SnapshotStore.
func (s *snapshotStore) List() (list []*raft.SnapshotMeta, err error) {
	err = s.guard.do(OpListSnapshots, func() (err error) {
		list, err = s.inner.List()
		return err
	})
	return list, err
}

// Open implements raft.SnapshotStore.
func (s *snapshotStore) Open(id string) (meta *raft.SnapshotMeta, content io.ReadCloser, err error) {
	err = s.guard.do(OpOpenSnapshot, func() (err error) {
		meta, content, err = s.inner.Open(id)
		return err
	})
	return meta, content, err
}

// snapshotSink is the guarded sink of one snapshot. One goroutine uses it.
type snapshotSink struct {
	raft.SnapshotSink
	store *snapshotStore
	bytes uint64
}

// Write implements io.Writer.
func (s *snapshotSink) Write(p []byte) (n int, err error) {
	err = s.store.guard.do(OpWriteSnapshot, func() (err error) {
		n, err = s.SnapshotSink.Write(p)
		return err
	})
	s.bytes += uint64(n)
	return n, err
}

// Close implements io.Closer. The snapshot is durable when it returns nil.
func (s *snapshotSink) Close() error {
	err := s.store.guard.do(OpCloseSnapshot, s.SnapshotSink.Close)
	if err == nil {
		s.store.metrics.snapshotBytes.Store(s.bytes)
	}
	return err
}

// Cancel implements raft.SnapshotSink.
func (s *snapshotSink) Cancel() error {
	return s.store.guard.do(OpCancelSnapshot, s.SnapshotSink.Cancel)
}
