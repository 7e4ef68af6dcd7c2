package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

// eachLogStore runs a test with every way to keep the log.
func eachLogStore(t *testing.T, test func(t *testing.T, kind storage.LogStore)) {
	t.Helper()
	for _, kind := range storage.LogStores() {
		t.Run(string(kind), func(t *testing.T) { test(t, kind) })
	}
}

func mustOpenWith(tb testing.TB, dir string, kind storage.LogStore) *storage.Store {
	tb.Helper()
	config := fileConfig(tb, dir)
	config.LogStore = kind
	store, err := storage.Open(config)
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

// usedWith makes a data directory of n1 with 1,000 entries, and closes it.
func usedWith(tb testing.TB, kind storage.LogStore) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "data")
	store := mustOpenWith(tb, dir, kind)
	defer mustClose(tb, store)
	mustStore(tb, store.Log, entries(1, 1000))
	return dir
}

func mustDelete(tb testing.TB, log raft.LogStore, from, to uint64) {
	tb.Helper()
	if err := log.DeleteRange(from, to); err != nil {
		tb.Fatal(err)
	}
}

// What a log holds after it was closed and opened again.
func TestLogOverRestarts(t *testing.T) {
	tests := []struct {
		name   string
		change func(tb testing.TB, log raft.LogStore)
		want   [2]uint64
	}{
		{"as it was", func(testing.TB, raft.LogStore) {}, [2]uint64{1, 1000}},
		{"compacted", func(tb testing.TB, log raft.LogStore) { mustDelete(tb, log, 1, 600) }, [2]uint64{601, 1000}},
		{"cut off and continued", func(tb testing.TB, log raft.LogStore) {
			mustDelete(tb, log, 901, 1000)
			mustStore(tb, log, entries(901, 950))
		}, [2]uint64{1, 950}},
		{"emptied and begun far above", func(tb testing.TB, log raft.LogStore) {
			mustDelete(tb, log, 1, 1000)
			mustStore(tb, log, entries(1<<32, 1<<32+5))
		}, [2]uint64{1 << 32, 1<<32 + 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachLogStore(t, func(t *testing.T, kind storage.LogStore) {
				dir := usedWith(t, kind)
				store := mustOpenWith(t, dir, kind)
				tt.change(t, store.Log)
				if tt.want[0] > 1000 { // not damage, but what follows a snapshot
					if err := snapshot(store.Snapshots, tt.want[0]-1, "state"); err != nil {
						t.Fatal(err)
					}
				} else if err := snapshot(store.Snapshots, 700, "state"); err != nil {
					t.Fatal(err)
				}
				mustClose(t, store)

				store = mustOpenWith(t, dir, kind)
				defer mustClose(t, store)
				if got := bounds(t, store.Log); got != tt.want {
					t.Fatalf("the log goes from %d to %d, want %d to %d", got[0], got[1], tt.want[0], tt.want[1])
				}
				for _, index := range tt.want {
					var entry raft.Log
					if err := store.Log.GetLog(index, &entry); err != nil || entry.Index != index || len(entry.Data) == 0 {
						t.Errorf("entry %d: %+v, %v", index, entry, err)
					}
				}
				for _, index := range []uint64{tt.want[0] - 1, tt.want[1] + 1} {
					if err := store.Log.GetLog(index, &raft.Log{}); !errors.Is(err, raft.ErrLogNotFound) {
						t.Errorf("entry %d: %v, want %v", index, err, raft.ErrLogNotFound)
					}
				}
			})
		})
	}
}

// A directory keeps the log store it was made with.
func TestOpenRefusesAnotherLogStore(t *testing.T) {
	eachLogStore(t, func(t *testing.T, kind storage.LogStore) {
		dir := usedWith(t, kind)
		for _, other := range storage.LogStores() {
			config := fileConfig(t, dir)
			config.LogStore = other
			store, err := storage.Open(config)
			if err == nil {
				mustClose(t, store)
			}
			if refused := errors.Is(err, storage.ErrOtherLogStore); refused != (other != kind) {
				t.Errorf("%s opened with %s: %v", kind, other, err)
			}
			if err != nil && !strings.Contains(err.Error(), "start with the log store "+string(kind)) {
				t.Errorf("%v does not say what to do", err)
			}
		}
	})
}

func TestOpenRefusesUnknownLogStore(t *testing.T) {
	config := fileConfig(t, t.TempDir())
	config.LogStore = "paper"
	if _, err := storage.Open(config); err == nil || !strings.Contains(err.Error(), "[boltdb wal]") {
		t.Errorf("got %v", err)
	}
}

func TestOpenRefusesDamagedWAL(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		text   string
	}{
		{"no log", func(t *testing.T, dir string) {
			mustRemove(t, filepath.Join(dir, "log.wal"))
		}, "log.wal is missing"},
		{"no list of segments", func(t *testing.T, dir string) {
			mustRemove(t, filepath.Join(dir, "log.wal", "wal-meta.db"))
		}, "log.wal is missing"},
		{"an emptied list of segments", func(t *testing.T, dir string) {
			mustTruncate(t, filepath.Join(dir, "log.wal", "wal-meta.db"), 0)
		}, "log.wal"},
		{"a list of segments that is something else", func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "log.wal", "wal-meta.db"), make([]byte, 1<<16))
		}, "log.wal"},
		{"the log of another directory", func(t *testing.T, dir string) {
			mustRemove(t, filepath.Join(dir, "log.wal"))
			if err := os.Rename(filepath.Join(usedWith(t, storage.LogStoreWAL), "log.wal"), filepath.Join(dir, "log.wal")); err != nil {
				t.Fatal(err)
			}
		}, "log.wal belongs to the incarnation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := usedWith(t, storage.LogStoreWAL)
			tt.damage(t, dir)
			config := fileConfig(t, dir)
			config.LogStore = storage.LogStoreWAL
			for range 2 {
				store, err := storage.Open(config)
				if err == nil {
					mustClose(t, store)
				}
				if !errors.Is(err, storage.ErrDamaged) || !strings.Contains(errorText(err), tt.text) {
					t.Errorf("got %v, want %v with %q", err, storage.ErrDamaged, tt.text)
				}
			}
		})
	}
}

// Raft must know of its log that it takes consecutive indexes only: it is what
// makes it empty the log when it has installed a snapshot.
func TestMonotonicLogIsKnown(t *testing.T) {
	eachLogStore(t, func(t *testing.T, kind storage.LogStore) {
		store := mustOpenWith(t, t.TempDir(), kind)
		defer mustClose(t, store)
		monotonic, ok := store.Log.(raft.MonotonicLogStore)
		if got := ok && monotonic.IsMonotonic(); got != (kind == storage.LogStoreWAL) {
			t.Errorf("monotonic is %v", got)
		}
	})
}

// The node died after it had installed a snapshot and before it had emptied its
// log: the log must go on behind the snapshot.
func TestCrashBetweenSnapshotAndLog(t *testing.T) {
	eachLogStore(t, func(t *testing.T, kind storage.LogStore) {
		dir := usedWith(t, kind)
		store := mustOpenWith(t, dir, kind)
		if err := snapshot(store.Snapshots, 5000, "state"); err != nil {
			t.Fatal(err)
		}
		mustClose(t, store)

		store = mustOpenWith(t, dir, kind)
		defer mustClose(t, store)
		mustStore(t, store.Log, entries(5001, 5010))
		if got := bounds(t, store.Log)[1]; got != 5010 {
			t.Errorf("the log ends at %d", got)
		}
	})
}

// Nothing of the log is deleted for the sake of a snapshot that cannot be read.
func TestLogIsKeptBehindDamagedSnapshot(t *testing.T) {
	disk := memdisk.NewMonotonic()
	store, _ := mustAssemble(t, disk)
	mustStore(t, store.Log, entries(1, 100))
	if err := snapshot(store.Snapshots, 500, "state"); err != nil {
		t.Fatal(err)
	}
	disk.Inject(storage.OpOpenSnapshot, memdisk.Fault{Err: errors.New("a bad checksum")})
	store, _ = mustAssemble(t, disk)
	if got, want := bounds(t, store.Log), [2]uint64{1, 100}; got != want {
		t.Errorf("the log goes from %d to %d, want %d to %d", got[0], got[1], want[0], want[1])
	}
}

// A log of segments is compacted in one step: chunks would only cost commits.
func TestDeleteRangeOfMonotonicLog(t *testing.T) {
	disk := memdisk.NewMonotonic()
	store, _ := mustAssemble(t, disk)
	mustStore(t, store.Log, entries(1, 10000))
	mustDelete(t, store.Log, 1, 9000)
	if got := disk.Calls(storage.OpDeleteRange); got != 1 {
		t.Errorf("%d steps, want 1", got)
	}
	if got, want := bounds(t, store.Log), [2]uint64{9001, 10000}; got != want {
		t.Errorf("the log goes from %d to %d, want %d to %d", got[0], got[1], want[0], want[1])
	}
}
