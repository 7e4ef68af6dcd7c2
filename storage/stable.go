package storage

import "github.com/hashicorp/raft"

// stableStore is the guarded stable store.
type stableStore struct {
	guard *guard
	inner raft.StableStore
}

var _ raft.StableStore = (*stableStore)(nil)

// Set implements raft.StableStore.
func (s *stableStore) Set(key, value []byte) error {
	return s.guard.do(OpSet, func() error { return s.inner.Set(key, value) })
}

// Get implements raft.StableStore.
func (s *stableStore) Get(key []byte) (value []byte, err error) {
	err = s.guard.do(OpGet, func() (err error) {
		value, err = s.inner.Get(key)
		return err
	})
	return value, err
}

// SetUint64 implements raft.StableStore.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	return s.guard.do(OpSetUint64, func() error { return s.inner.SetUint64(key, value) })
}

// GetUint64 implements raft.StableStore.
func (s *stableStore) GetUint64(key []byte) (value uint64, err error) {
	err = s.guard.do(OpGetUint64, func() (err error) {
		value, err = s.inner.GetUint64(key)
		return err
	})
	return value, err
}
