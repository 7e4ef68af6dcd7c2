package storage_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

const timeout = 2 * time.Second

// fatals records what Fatal is told, and returns.
type fatals struct {
	mu   sync.Mutex
	errs []error
	at   time.Time // when it was told first
}

func (f *fatals) fatal(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) == 0 {
		f.at = time.Now()
	}
	f.errs = append(f.errs, err)
}

// first returns the first error, or nil.
func (f *fatals) first() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) == 0 {
		return nil
	}
	return f.errs[0]
}

// mustAssemble opens disk as the node n1 and closes the store when the test ends.
func mustAssemble(tb testing.TB, disk *memdisk.Disk) (*storage.Store, *fatals) {
	tb.Helper()
	return mustAssembleBacking(tb, disk.Open())
}

func mustAssembleBacking(tb testing.TB, backing storage.Backing) (*storage.Store, *fatals) {
	tb.Helper()
	f := &fatals{}
	store, err := storage.Assemble(backing, storage.Config{NodeID: "n1", Timeout: timeout, Fatal: f.fatal})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { mustClose(tb, store) })
	return store, f
}

// mustOpen opens dir as the node n1; the caller closes it.
func mustOpen(tb testing.TB, dir string) *storage.Store {
	tb.Helper()
	store, err := storage.Open(fileConfig(tb, dir))
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func fileConfig(tb testing.TB, dir string) storage.Config {
	return storage.Config{Dir: dir, NodeID: "n1", Timeout: 30 * time.Second, Fatal: func(err error) { tb.Errorf("fatal: %v", err) }}
}

func mustClose(tb testing.TB, store *storage.Store) {
	tb.Helper()
	if err := store.Close(); err != nil {
		tb.Error(err)
	}
}

// entries returns log entries with the indexes from first to last.
func entries(first, last uint64) []*raft.Log {
	logs := make([]*raft.Log, 0, last-first+1)
	for index := first; index <= last; index++ {
		logs = append(logs, &raft.Log{Index: index, Term: 1, Data: fmt.Appendf(nil, "entry %d", index)})
	}
	return logs
}

func mustStore(tb testing.TB, log raft.LogStore, logs []*raft.Log) {
	tb.Helper()
	if err := log.StoreLogs(logs); err != nil {
		tb.Fatal(err)
	}
}

// bounds returns the first and the last index of a log.
func bounds(tb testing.TB, log raft.LogStore) [2]uint64 {
	tb.Helper()
	first, err := log.FirstIndex()
	if err != nil {
		tb.Fatal(err)
	}
	last, err := log.LastIndex()
	if err != nil {
		tb.Fatal(err)
	}
	return [2]uint64{first, last}
}

// snapshot writes one that ends at index.
func snapshot(store raft.SnapshotStore, index uint64, content string) error {
	sink, err := store.Create(raft.SnapshotVersionMax, index, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(sink, content); err != nil {
		_ = sink.Cancel()
		return err
	}
	return sink.Close()
}

// call makes one call of each kind that a store has.
func call(op storage.Operation, s *storage.Store) error {
	switch op {
	case storage.OpFirstIndex:
		_, err := s.Log.FirstIndex()
		return err
	case storage.OpLastIndex:
		_, err := s.Log.LastIndex()
		return err
	case storage.OpGetLog:
		return s.Log.GetLog(1, &raft.Log{})
	case storage.OpStoreLogs:
		return s.Log.StoreLog(&raft.Log{Index: 1})
	case storage.OpDeleteRange:
		return s.Log.DeleteRange(1, 1)
	case storage.OpGet:
		_, err := s.Stable.Get([]byte("key"))
		return err
	case storage.OpGetUint64:
		_, err := s.Stable.GetUint64([]byte("key"))
		return err
	case storage.OpSet:
		return s.Stable.Set([]byte("key"), nil)
	case storage.OpSetUint64:
		return s.Stable.SetUint64([]byte("key"), 1)
	case storage.OpLoadIdentity:
		_, _, err := s.Identity.Load()
		return err
	case storage.OpSaveIdentity:
		return s.Identity.Save(storage.Identity{NodeID: "n1"})
	case storage.OpCreateSnapshot, storage.OpWriteSnapshot, storage.OpCloseSnapshot:
		return snapshot(s.Snapshots, 1, "content")
	case storage.OpCancelSnapshot:
		sink, err := s.Snapshots.Create(raft.SnapshotVersionMax, 1, 1, raft.Configuration{}, 1, nil)
		if err != nil {
			return err
		}
		return sink.Cancel()
	case storage.OpListSnapshots:
		_, err := s.Snapshots.List()
		return err
	case storage.OpOpenSnapshot:
		_, _, err := s.Snapshots.Open("none")
		return err
	}
	panic("unknown operation " + op)
}
