package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

func TestDeleteRange(t *testing.T) {
	const far = 1 << 32 // a restored cluster goes on that far above everything before it
	tests := []struct {
		name      string
		log       [][2]uint64
		from, to  uint64
		wantCalls int // transactions
		want      [2]uint64
	}{
		{"short prefix", [][2]uint64{{1, 100}}, 1, 50, 1, [2]uint64{51, 100}},
		{"long prefix", [][2]uint64{{1, 10000}}, 1, 9000, 5, [2]uint64{9001, 10000}},
		{"prefix of exactly one chunk", [][2]uint64{{1, 3000}}, 1, 2048, 1, [2]uint64{2049, 3000}},
		{"prefix of one chunk and one entry", [][2]uint64{{1, 3000}}, 1, 2049, 2, [2]uint64{2050, 3000}},
		{"prefix that begins before the log", [][2]uint64{{500, 3000}}, 1, 1000, 1, [2]uint64{1001, 3000}},
		{"prefix with a gap", [][2]uint64{{1, 3000}, {far, far + 3000}}, 1, far + 1000, 3, [2]uint64{far + 1001, far + 3000}},
		{"suffix", [][2]uint64{{1, 10000}}, 5000, 10000, 1, [2]uint64{1, 4999}},
		{"all", [][2]uint64{{1, 10000}}, 1, 10000, 1, [2]uint64{0, 0}},
		{"more than all", [][2]uint64{{1, 10000}}, 1, 20000, 1, [2]uint64{0, 0}},
		{"nothing, before the log", [][2]uint64{{500, 600}}, 1, 100, 1, [2]uint64{500, 600}},
		{"an empty log", nil, 1, 100, 1, [2]uint64{0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := memdisk.New()
			store, _ := mustAssemble(t, disk)
			for _, span := range tt.log {
				mustStore(t, store.Log, entries(span[0], span[1]))
			}
			if err := store.Log.DeleteRange(tt.from, tt.to); err != nil {
				t.Fatal(err)
			}
			if got := disk.Calls(storage.OpDeleteRange); got != tt.wantCalls {
				t.Errorf("%d transactions, want %d", got, tt.wantCalls)
			}
			if got := bounds(t, store.Log); got != tt.want {
				t.Errorf("the log goes from %d to %d, want %d to %d", got[0], got[1], tt.want[0], tt.want[1])
			}
		})
	}
}

// A power loss in the middle of a prefix delete leaves a shorter prefix; in the
// middle of a suffix delete, all of it or nothing.
func TestCrashDuringDeleteRange(t *testing.T) {
	tests := []struct {
		name     string
		from, to uint64
		crashAt  int // the transaction that the crash precedes
		want     [2]uint64
	}{
		{"prefix", 1, 9000, 3, [2]uint64{4097, 10000}},
		{"suffix", 5000, 10000, 1, [2]uint64{1, 10000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := memdisk.New()
				store, _ := mustAssemble(t, disk)
				mustStore(t, store.Log, entries(1, 10000))
				calls := 0
				disk.Inject(storage.OpDeleteRange, memdisk.Fault{Call: func() {
					if calls++; calls == tt.crashAt {
						disk.Crash()
					}
				}})
				if err := store.Log.DeleteRange(tt.from, tt.to); err != nil {
					t.Fatal(err)
				}
				disk.Heal()
				after := disk.Open()
				if got := bounds(t, after.Log); got != tt.want {
					t.Errorf("the log goes from %d to %d, want %d to %d", got[0], got[1], tt.want[0], tt.want[1])
				}
			})
		})
	}
}

func TestFailureDuringPrefixDelete(t *testing.T) {
	disk := memdisk.New()
	store, fatals := mustAssemble(t, disk)
	mustStore(t, store.Log, entries(1, 10000))
	broken := errors.New("broken")
	calls := 0
	disk.Inject(storage.OpDeleteRange, memdisk.Fault{Call: func() {
		if calls++; calls == 2 {
			disk.Inject(storage.OpDeleteRange, memdisk.Fault{Err: broken})
		}
	}})
	err := store.Log.DeleteRange(1, 9000)
	if !errors.Is(err, broken) || !errors.Is(fatals.first(), broken) {
		t.Errorf("got %v, %v", err, fatals.first())
	}
	if got := disk.Calls(storage.OpDeleteRange); got != 3 {
		t.Errorf("%d transactions, want no more after the third, which failed", got)
	}
}

// oneWriter is a log with the lock and the speed of a file: one transaction at
// a time, and deleting takes a while for each entry.
type oneWriter struct {
	raft.LogStore
	turn      chan struct{}
	perDelete time.Duration
}

func (l *oneWriter) StoreLogs(logs []*raft.Log) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.LogStore.StoreLogs(logs)
}

func (l *oneWriter) DeleteRange(minimum, maximum uint64) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	time.Sleep(time.Duration(maximum-minimum+1) * l.perDelete)
	return l.LogStore.DeleteRange(minimum, maximum)
}

// Compaction of 40,000 entries takes 400 ms here; appending goes on meanwhile
// and waits for one chunk at most.
func TestAppendDuringPrefixDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perDelete = 10 * time.Microsecond
		backing := memdisk.New().Open()
		backing.Log = &oneWriter{LogStore: backing.Log, turn: make(chan struct{}, 1), perDelete: perDelete}
		store, _ := mustAssembleBacking(t, backing)
		mustStore(t, store.Log, entries(1, 50000))

		deleted := make(chan error, 1)
		go func() { deleted <- store.Log.DeleteRange(1, 40000) }()
		synctest.Wait()
		next, slowest := uint64(50001), time.Duration(0)
		for ; len(deleted) == 0; next++ {
			began := time.Now()
			mustStore(t, store.Log, entries(next, next))
			slowest = max(slowest, time.Since(began))
			time.Sleep(time.Millisecond)
		}
		if err := <-deleted; err != nil {
			t.Fatal(err)
		}
		if limit := 2048 * perDelete; slowest > limit {
			t.Errorf("an append waited for %v, a chunk takes %v", slowest, limit)
		}
		if got, want := bounds(t, store.Log), [2]uint64{40001, next - 1}; got != want {
			t.Errorf("the log goes from %d to %d, want %d to %d", got[0], got[1], want[0], want[1])
		}
	})
}

// The newest entries come from memory, and a delete takes them from there too.
func TestLogCache(t *testing.T) {
	disk := memdisk.New()
	store, _ := mustAssemble(t, disk)
	mustStore(t, store.Log, entries(1, 10))
	before := disk.Calls(storage.OpGetLog)
	var entry raft.Log
	if err := store.Log.GetLog(7, &entry); err != nil || string(entry.Data) != "entry 7" {
		t.Errorf("got %s, %v", entry.Data, err)
	}
	if disk.Calls(storage.OpGetLog) != before {
		t.Error("an entry just stored was read from the disk")
	}
	if err := store.Log.DeleteRange(5, 10); err != nil {
		t.Fatal(err)
	}
	if err := store.Log.GetLog(7, &entry); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("a deleted entry: %v", err)
	}
}

func BenchmarkStoreLogs(b *testing.B) {
	for _, n := range []uint64{1, 32, 128, 512} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			store := mustOpen(b, b.TempDir())
			defer mustClose(b, store)
			logs := entries(1, n)
			for _, entry := range logs {
				entry.Data = make([]byte, 100) // about what one increase takes
			}
			for b.Loop() {
				for _, entry := range logs {
					entry.Index += n
				}
				mustStore(b, store.Log, logs)
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// How long appends of 64 entries wait while 65,536 are deleted behind a
// snapshot. One iteration takes about a second: -benchtime 5x.
func BenchmarkStoreLogsDuringCompaction(b *testing.B) {
	for _, way := range []struct {
		name string
		past uint64 // how many entries at the end are deleted too: with some, it is one transaction
	}{{"chunks", 0}, {"at once", 1}} {
		b.Run(way.name, func(b *testing.B) {
			var waits []time.Duration
			for b.Loop() {
				waits = append(waits, appendDuringCompaction(b, 65536+way.past)...)
			}
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-append-µs")
			b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), "slowest-append-µs")
		})
	}
}

// appendDuringCompaction deletes the entries up to last of a log of 65,537 and
// returns how long each append took meanwhile.
func appendDuringCompaction(b *testing.B, last uint64) []time.Duration {
	const compacted, batch = 65536, 64
	store := mustOpen(b, b.TempDir())
	defer mustClose(b, store)
	for first := uint64(1); first <= compacted; first += 512 {
		mustStore(b, store.Log, entries(first, first+511))
	}
	mustStore(b, store.Log, entries(compacted+1, compacted+1))

	deleted := make(chan error, 1)
	go func() { deleted <- store.Log.DeleteRange(1, last) }()
	var waits []time.Duration
	for next := uint64(compacted + 2); len(deleted) == 0; next += batch {
		began := time.Now()
		mustStore(b, store.Log, entries(next, next+batch-1))
		waits = append(waits, time.Since(began))
	}
	if err := <-deleted; err != nil {
		b.Fatal(err)
	}
	return waits
}
