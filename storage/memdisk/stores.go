package memdisk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/hashicorp/raft"

	"tally/storage"
)

// logStore is the log of a session.
type logStore struct{ *session }

var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
)

func (s *logStore) IsMonotonic() bool { return s.disk.monotonic }

func (s *logStore) FirstIndex() (index uint64, err error) {
	err = s.do(storage.OpFirstIndex, func(bool) error {
		if entries := s.log.volatile.entries; len(entries) > 0 {
			index = entries[0].Index
		}
		return nil
	})
	return index, err
}

func (s *logStore) LastIndex() (index uint64, err error) {
	err = s.do(storage.OpLastIndex, func(bool) error {
		if entries := s.log.volatile.entries; len(entries) > 0 {
			index = entries[len(entries)-1].Index
		}
		return nil
	})
	return index, err
}

func (s *logStore) GetLog(index uint64, entry *raft.Log) error {
	return s.do(storage.OpGetLog, func(bool) error {
		at, found := s.log.volatile.find(index)
		if !found {
			return raft.ErrLogNotFound
		}
		*entry = *cloneEntry(s.log.volatile.entries[at])
		return nil
	})
}

func (s *logStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

func (s *logStore) StoreLogs(entries []*raft.Log) error {
	copies := make([]*raft.Log, len(entries))
	for i, entry := range entries {
		copies[i] = cloneEntry(entry)
	}
	return s.doWrite(storage.OpStoreLogs, func() { s.tear(copies) }, func(synced bool) error {
		if s.disk.monotonic && !s.log.volatile.continuedBy(copies) {
			return fmt.Errorf("memdisk: entry %d does not continue the log", copies[0].Index)
		}
		s.log.change(func(img *logImage) { img.store(copies) }, synced)
		return nil
	})
}

// tear writes the first half of a batch, unless the log would refuse it.
func (s *logStore) tear(batch []*raft.Log) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if half := batch[:len(batch)/2]; !s.disk.monotonic || s.log.volatile.continuedBy(half) {
		s.log.change(func(img *logImage) { img.store(half) }, true)
	}
}

func (s *logStore) DeleteRange(minimum, maximum uint64) error {
	return s.do(storage.OpDeleteRange, func(synced bool) error {
		s.log.change(func(img *logImage) { img.deleteRange(minimum, maximum) }, synced)
		return nil
	})
}

// stableStore is the stable store of a session.
type stableStore struct{ *session }

var _ raft.StableStore = (*stableStore)(nil)

func (s *stableStore) Set(key, value []byte) error { return s.set(storage.OpSet, key, value) }

func (s *stableStore) SetUint64(key []byte, value uint64) error {
	return s.set(storage.OpSetUint64, key, binary.BigEndian.AppendUint64(nil, value))
}

func (s *stableStore) set(op storage.Operation, key, value []byte) error {
	name, value := string(key), bytes.Clone(value)
	return s.do(op, func(synced bool) error {
		s.stable.change(func(img *stableImage) { img.values[name] = value }, synced)
		return nil
	})
}

func (s *stableStore) Get(key []byte) ([]byte, error) { return s.get(storage.OpGet, key) }

func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	value, err := s.get(storage.OpGetUint64, key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("memdisk: %s has %d bytes, a uint64 has 8", key, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

func (s *stableStore) get(op storage.Operation, key []byte) (value []byte, err error) {
	err = s.do(op, func(bool) error {
		found, ok := s.stable.volatile.values[string(key)]
		if !ok {
			return storage.ErrKeyNotFound
		}
		value = bytes.Clone(found)
		return nil
	})
	return value, err
}

// identityStore is the identity of a session.
type identityStore struct{ *session }

var _ storage.IdentityStore = (*identityStore)(nil)

func (s *identityStore) Load() (identity storage.Identity, ok bool, err error) {
	err = s.do(storage.OpLoadIdentity, func(bool) error {
		if saved := s.identity.volatile.saved; saved != nil {
			identity, ok = cloneIdentity(*saved), true
		}
		return nil
	})
	return identity, ok, err
}

func (s *identityStore) Save(identity storage.Identity) error {
	saved := cloneIdentity(identity)
	return s.do(storage.OpSaveIdentity, func(synced bool) error {
		s.identity.change(func(img *identityImage) { img.saved = &saved }, synced)
		return nil
	})
}

func cloneIdentity(identity storage.Identity) storage.Identity {
	identity.Incarnations = maps.Clone(identity.Incarnations)
	return identity
}

// snapshotStore is the snapshots of a session.
type snapshotStore struct{ *session }

var _ raft.SnapshotStore = (*snapshotStore)(nil)

func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64,
	configuration raft.Configuration, configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	sink := &snapshotSink{session: s.session, meta: raft.SnapshotMeta{
		Version:            version,
		Index:              index,
		Term:               term,
		Configuration:      configuration.Clone(),
		ConfigurationIndex: configurationIndex,
	}}
	err := s.do(storage.OpCreateSnapshot, func(bool) error {
		s.disk.created++
		sink.number = s.disk.created
		sink.meta.ID = fmt.Sprintf("%d-%d-%d", term, index, sink.number)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sink, nil
}

func (s *snapshotStore) List() (list []*raft.SnapshotMeta, err error) {
	err = s.do(storage.OpListSnapshots, func(bool) error {
		for _, snapshot := range s.snapshots.volatile.list {
			meta := snapshot.meta
			list = append(list, &meta)
		}
		return nil
	})
	return list, err
}

func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	var found *snapshot
	err := s.do(storage.OpOpenSnapshot, func(bool) error {
		for _, snapshot := range s.snapshots.volatile.list {
			if snapshot.meta.ID == id {
				found = snapshot
				return nil
			}
		}
		return fmt.Errorf("memdisk: there is no snapshot %s", id)
	})
	if err != nil {
		return nil, nil, err
	}
	meta := found.meta
	return &meta, io.NopCloser(bytes.NewReader(found.content)), nil
}

// snapshotSink is a snapshot being written. It is on the disk, all of it, once
// Close has returned. One goroutine uses it.
type snapshotSink struct {
	*session
	number   int
	meta     raft.SnapshotMeta
	content  bytes.Buffer
	finished bool
}

var errFinished = errors.New("memdisk: the snapshot is closed")

func (s *snapshotSink) ID() string { return s.meta.ID }

func (s *snapshotSink) Write(p []byte) (n int, err error) {
	err = s.do(storage.OpWriteSnapshot, func(bool) (err error) {
		if s.finished {
			return errFinished
		}
		n, err = s.content.Write(p)
		return err
	})
	return n, err
}

func (s *snapshotSink) Close() error {
	return s.do(storage.OpCloseSnapshot, func(synced bool) error {
		if s.finished {
			return nil
		}
		s.finished = true
		s.meta.Size = int64(s.content.Len())
		done := &snapshot{number: s.number, meta: s.meta, content: s.content.Bytes()}
		s.snapshots.change(func(img *snapshotsImage) { img.add(done) }, synced)
		return nil
	})
}

func (s *snapshotSink) Cancel() error {
	return s.do(storage.OpCancelSnapshot, func(bool) error {
		s.finished = true
		return nil
	})
}
