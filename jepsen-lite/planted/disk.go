//go:build jepsen && planted

package planted

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"tally/storage"
)

// lateWrite is how long what is stored waits for the disk.
const lateWrite = 250 * time.Millisecond

// writeLate takes log entries into memory and writes them some time after it has
// said that they are written.
func writeLate(s *storage.Store, _ string) {
	late := &lateLog{LogStore: s.Log}
	s.Log = late
	go func() {
		for range time.Tick(lateWrite) {
			late.mu.Lock()
			_ = late.writeLocked() // the store itself ends the node
			late.mu.Unlock()
		}
	}()
}

type lateLog struct {
	raft.LogStore
	mu      sync.Mutex
	waiting []*raft.Log // not written yet, ascending
}

func (l *lateLog) writeLocked() error {
	if len(l.waiting) == 0 {
		return nil
	}
	waiting := l.waiting
	l.waiting = nil
	return l.LogStore.StoreLogs(waiting)
}

// StoreLog implements raft.LogStore.
func (l *lateLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *lateLog) StoreLogs(entries []*raft.Log) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, entries...)
	return nil
}

// GetLog implements raft.LogStore.
func (l *lateLog) GetLog(index uint64, entry *raft.Log) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		if w.Index == index {
			*entry = *w
			return nil
		}
	}
	return l.LogStore.GetLog(index, entry)
}

// FirstIndex implements raft.LogStore.
func (l *lateLog) FirstIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, err := l.LogStore.FirstIndex()
	if err == nil && index == 0 && len(l.waiting) > 0 {
		index = l.waiting[0].Index
	}
	return index, err
}

// LastIndex implements raft.LogStore.
func (l *lateLog) LastIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) > 0 {
		return l.waiting[len(l.waiting)-1].Index, nil
	}
	return l.LogStore.LastIndex()
}

// DeleteRange implements raft.LogStore.
func (l *lateLog) DeleteRange(low, high uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writeLocked(); err != nil {
		return err
	}
	return l.LogStore.DeleteRange(low, high)
}

// syncLate syncs the files that are not synced when they are written. Between
// two times, the disk has them as they were at the first.
func syncLate(_ *storage.Store, dir string) {
	go func() {
		for range time.Tick(lateWrite) {
			for _, name := range []string{"log.bolt", "stable.bolt"} {
				syncFile(filepath.Join(dir, name))
			}
		}
	}()
}

func syncFile(path string) {
	file, err := os.Open(path)
	if err != nil {
		return // the disk is gone, as the node will find out
	}
	_ = file.Sync()
	_ = file.Close()
}

// forgetTerms keeps term and vote in memory.
func forgetTerms(s *storage.Store, _ string) {
	s.Stable = &memory{numbers: map[string]uint64{}, values: map[string][]byte{}}
}

// memory is a stable store that is not.
type memory struct {
	mu      sync.Mutex
	numbers map[string]uint64
	values  map[string][]byte
}

// Set implements raft.StableStore.
func (m *memory) Set(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[string(key)] = value
	return nil
}

// Get implements raft.StableStore.
func (m *memory) Get(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, found := m.values[string(key)]; found {
		return value, nil
	}
	return nil, storage.ErrKeyNotFound
}

// SetUint64 implements raft.StableStore.
func (m *memory) SetUint64(key []byte, value uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.numbers[string(key)] = value
	return nil
}

// GetUint64 implements raft.StableStore.
func (m *memory) GetUint64(key []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, found := m.numbers[string(key)]; found {
		return value, nil
	}
	return 0, storage.ErrKeyNotFound
}

// keepIncarnation lets the incarnation follow from the node's ID, so that it is
// the same after the loss of everything.
func keepIncarnation(s *storage.Store, _ string) { s.Identity = &constant{s.Identity} }

type constant struct{ storage.IdentityStore }

// Load implements storage.IdentityStore.
func (c *constant) Load() (storage.Identity, bool, error) {
	identity, found, err := c.IdentityStore.Load()
	sum := sha256.Sum256([]byte(identity.NodeID))
	identity.Incarnation = hex.EncodeToString(sum[:16])
	return identity, found, err
}
