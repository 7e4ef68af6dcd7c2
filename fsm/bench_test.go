package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
)

const (
	benchGroups   = 200_000
	benchCounters = counter.GroupCountersMax
)

func benchGroup(i int) string { return fmt.Sprintf("group:%07d", i) }

func sharedKey(_, k int) string { return fmt.Sprintf("counter%02d", k+1) }

func ownKey(group, k int) string { return fmt.Sprintf("c%06d-%02d", group, k+1) }

// fill sets every counter of every group and then increases each once, in
// rounds over all groups, so that no two counters of a group have the revision
// in common.
func fill(n *node, key func(group, k int) string, value func() int64) {
	for i := range benchGroups {
		operation := set(benchGroup(i))
		for k := range benchCounters {
			operation.Counters = append(operation.Counters, by(key(i, k), value()))
		}
		n.mutate(operation)
	}
	for k := range benchCounters {
		for i := range benchGroups {
			n.mutate(increase(benchGroup(i), by(key(i, k), 1)))
		}
	}
}

func someThousands() int64 { return rand.Int64N(10_000) }
func anyInt64() int64      { return int64(rand.Uint64()) &^ 1 } // room for one more

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// BenchmarkMemory reports what a group of 20 counters takes in the heap, maps
// and all.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		name  string
		key   func(group, k int) string
		value func() int64
	}{
		{"keys in common, values below 10000", sharedKey, someThousands},
		{"keys in common, any int64", sharedKey, anyInt64},
		{"own keys, values below 10000", ownKey, someThousands},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				before := heapBytes()
				n := newNode(b, fsm.Config{})
				fill(n, c.key, c.value)
				b.ReportMetric(float64(heapBytes()-before)/benchGroups, "bytes/group")
				runtime.KeepAlive(n)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// filled is made once for the benchmarks that only need it to be large.
func filled(b *testing.B) *node {
	n := newNode(b, fsm.Config{})
	for i := range benchGroups {
		operation := set(benchGroup(i))
		for k := range benchCounters {
			operation.Counters = append(operation.Counters, by(sharedKey(i, k), someThousands()))
		}
		n.mutate(operation)
	}
	return n
}

// BenchmarkSnapshot reports how long taking a snapshot of 200,000 groups holds up the log.
func BenchmarkSnapshot(b *testing.B) {
	n := filled(b)
	for b.Loop() {
		snapshot, err := n.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		snapshot.Release()
	}
}

func BenchmarkPersist(b *testing.B) {
	n := filled(b)
	for b.Loop() {
		b.SetBytes(int64(len(persist(b, n.Machine))))
	}
}

func BenchmarkRestore(b *testing.B) {
	data := persist(b, filled(b).Machine)
	m := fsm.NewMachine(fsm.Config{})
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := m.Restore(io.NopCloser(bytes.NewReader(data))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApplyWhilePersisting reports the latency of single entries while
// snapshots are taken and written one after the other, and beside it without.
func BenchmarkApplyWhilePersisting(b *testing.B) {
	for _, persisting := range []bool{false, true} {
		b.Run(fmt.Sprint(persisting), func(b *testing.B) {
			n := filled(b)
			var stop atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				for persisting && !stop.Load() {
					discard(b, n.Machine)
				}
			}()
			entries := prepared(n, 200_000)
			latencies := make([]time.Duration, 0, len(entries))
			for b.Loop() {
				if len(latencies) == len(entries) {
					b.Fatal("run with -benchtime=100000x")
				}
				entry := entries[len(latencies)]
				start := time.Now()
				n.Apply(entry)
				latencies = append(latencies, time.Since(start))
			}
			stop.Store(true)
			<-done
			slices.Sort(latencies)
			b.ReportMetric(float64(latencies[len(latencies)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(latencies[len(latencies)*99/100].Nanoseconds()), "p99-ns")
			b.ReportMetric(float64(latencies[len(latencies)-1].Nanoseconds()), "max-ns")
		})
	}
}

// discard takes and writes a snapshot to nowhere.
func discard(b *testing.B, m *fsm.Machine) {
	snapshot, err := m.Snapshot()
	if err != nil {
		b.Error(err)
		return
	}
	defer snapshot.Release()
	if err := snapshot.Persist(nowhere{}); err != nil {
		b.Error(err)
	}
}

// nowhere is a raft.SnapshotSink that forgets what it is given.
type nowhere struct{}

func (nowhere) Write(data []byte) (int, error) { return len(data), nil }
func (nowhere) ID() string                     { return "nowhere" }
func (nowhere) Cancel() error                  { return nil }
func (nowhere) Close() error                   { return nil }

// prepared returns the next entries of n's log, each increasing one counter.
func prepared(n *node, count int) []*raft.Log {
	entries := make([]*raft.Log, count)
	for i := range entries {
		entries[i] = n.entry(mutation(increase(benchGroup(rand.IntN(benchGroups)), by(sharedKey(0, rand.IntN(benchCounters)), 1))))
	}
	return entries
}

// BenchmarkApply applies batches of 64 entries, each an increase of one counter,
// to few groups and to many.
func BenchmarkApply(b *testing.B) {
	for _, c := range []struct{ groups, counters int }{{1, 1}, {1, 20}, {10_000, 20}} {
		b.Run(fmt.Sprintf("groups=%d/counters=%d", c.groups, c.counters), func(b *testing.B) {
			n := newNode(b, fsm.Config{})
			batch := make([]*raft.Log, 64)
			for i := range c.groups {
				for k := range c.counters {
					n.mutate(set(benchGroup(i), by(sharedKey(i, k), 1)))
				}
			}
			for i := range batch {
				batch[i] = n.entry(mutation(increase(benchGroup(rand.IntN(c.groups)), by(sharedKey(0, rand.IntN(c.counters)), 1))))
			}
			b.ReportAllocs()
			for b.Loop() {
				n.ApplyBatch(batch)
				for _, entry := range batch {
					entry.Index += uint64(len(batch))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/entry")
		})
	}
}

// BenchmarkApplyMutationOf100 applies entries that each increase one counter of
// 100 groups, of 1,000, and are told to somebody.
func BenchmarkApplyMutationOf100(b *testing.B) {
	n := newNode(b, fsm.Config{Publisher: nobody{}})
	var entries []*raft.Log
	for i := range 10 {
		var operations []counter.Operation
		for k := range 100 {
			operations = append(operations, increase(benchGroup(i*100+k), by("likes", 1)))
		}
		entries = append(entries, n.entry(mutation(operations...)))
	}
	b.ReportAllocs()
	for b.Loop() {
		n.ApplyBatch(entries)
		for _, entry := range entries {
			entry.Index += uint64(len(entries))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)*100), "ns/change")
}

type nobody struct{}

func (nobody) Publish(uint64, []counter.Event) {}
func (nobody) Restored(uint64)                 {}

func BenchmarkRead(b *testing.B) {
	n := newNode(b, fsm.Config{})
	operation := set("g")
	for k := range benchCounters {
		operation.Counters = append(operation.Counters, by(sharedKey(0, k), someThousands()))
	}
	n.mutate(operation)
	for name, keys := range map[string][]string{"one": {"counter20"}, "three": {"counter01", "counter10", "counter20"}, "all": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.Read("g", keys)
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	n := filled(b)
	for b.Loop() {
		if len(n.List("", "group:0100000", 100)) != 100 {
			b.Fatal("the list is short")
		}
	}
}

func BenchmarkDecodeCommand(b *testing.B) {
	command := mutation(increase("group:0000001", by("counter01", 1)))
	data := command.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fsm.DecodeCommand(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendCommand(b *testing.B) {
	command := mutation(increase("group:0000001", by("counter01", 1)))
	buffer := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buffer = command.Append(buffer[:0])
	}
}

// BenchmarkApplyWithKeys applies batches of 64 increases under idempotency keys:
// each key for the first time, in a table that is small, or for the second.
func BenchmarkApplyWithKeys(b *testing.B) {
	for _, replayed := range []bool{false, true} {
		b.Run(map[bool]string{false: "first", true: "replayed"}[replayed], func(b *testing.B) {
			n := newNode(b, fsm.Config{})
			r := rand.New(rand.NewPCG(1, 2))
			batch := func() []*raft.Log {
				entries := make([]*raft.Log, 64)
				for i := range entries {
					entries[i] = n.entry(keyed(honestKey(r, n.time, i)))
				}
				return entries
			}
			entries := batch()
			n.ApplyBatch(entries)
			b.ReportAllocs()
			for b.Loop() {
				if replayed {
					for _, entry := range entries {
						entry.Index += uint64(len(entries))
					}
				} else {
					b.StopTimer()
					entries = batch()
					b.StartTimer()
				}
				n.ApplyBatch(entries)
			}
		})
	}
}

// remember fills the idempotency table, with keys of clients whose clocks are
// up to 60 s off, at the rate at which a full table holds 10 minutes.
func remember(b *testing.B, n *node, key func(r *rand.Rand, timeMs int64, i int) string) {
	r := rand.New(rand.NewPCG(1, 2))
	n.mutate(set("sums", by("sum", 1)))
	start := n.time
	for i := range fsm.IdempotencyEntriesMax {
		now := start + int64(i)*(10*minute-1)/fsm.IdempotencyEntriesMax
		if applied := n.apply(at(now, keyed(key(r, now, i)))); applied.Err != nil && !errors.Is(applied.Err, counter.IdempotencyKeyExpired) {
			b.Fatal(applied.Err)
		}
	}
	n.time = start + 10*minute
}

func keyed(key string) fsm.Command {
	return from("user1234", under(key, mutation(increase("sums", by("sum", 1)))))
}

func honestKey(r *rand.Rand, timeMs int64, _ int) string {
	return uuidv7(timeMs-r.Int64N(200), r.Uint32())
}

func skewedKey(r *rand.Rand, timeMs int64, _ int) string {
	return uuidv7(timeMs+r.Int64N(2*minute)-minute, r.Uint32())
}

func descendingKey(_ *rand.Rand, timeMs int64, i int) string {
	return uuidv7(1_700_000_000_000+minute-int64(i)/10, uint32(math.MaxUint32-i))
}

func bareKey(r *rand.Rand, _ int64, i int) string { return fmt.Sprintf("%032x%d", r.Uint64(), i) }

// BenchmarkIdempotencyMemory reports what a remembered request takes in the
// heap, maps and all.
func BenchmarkIdempotencyMemory(b *testing.B) {
	for _, c := range []struct {
		name string
		key  func(*rand.Rand, int64, int) string
	}{{"UUIDv7", honestKey}, {"UUIDv7 of clocks that differ", skewedKey}, {"UUIDv7 descending", descendingKey}, {"bare", bareKey}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				n := newNode(b, fsm.Config{})
				before := heapBytes()
				remember(b, n, c.key)
				kept := heapBytes() - before
				entries, results := n.Remembered()
				b.ReportMetric(float64(kept)/float64(entries), "bytes/entry")
				b.ReportMetric(float64(results)/float64(entries), "result-bytes/entry")
				b.ReportMetric(float64(entries), "entries")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkIdempotency does things to 200,000 groups and a full table.
func BenchmarkIdempotency(b *testing.B) {
	n := filled(b)
	remember(b, n, skewedKey)
	if entries, _ := n.Remembered(); entries < fsm.IdempotencyEntriesMax*9/10 {
		b.Fatalf("the table has %d entries", entries)
	}
	b.Run("snapshot", func(b *testing.B) {
		for b.Loop() {
			snapshot, err := n.Snapshot()
			if err != nil {
				b.Fatal(err)
			}
			snapshot.Release()
		}
	})
	data := persist(b, n.Machine)
	b.Run("persist", func(b *testing.B) {
		for b.Loop() {
			b.SetBytes(int64(len(persist(b, n.Machine))))
		}
	})
	b.Run("restore", func(b *testing.B) {
		m := fsm.NewMachine(fsm.Config{})
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if err := restore(m, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	latencies := func(b *testing.B, command func(r *rand.Rand, i int) fsm.Command) {
		if err := restore(n.Machine, data); err != nil {
			b.Fatal(err)
		}
		r := rand.New(rand.NewPCG(3, 4))
		var times []time.Duration
		for b.Loop() {
			entry := n.entry(command(r, len(times)))
			start := time.Now()
			applied := n.Apply(entry).(*fsm.Applied)
			times = append(times, time.Since(start))
			if applied.Err != nil && !errors.Is(applied.Err, counter.IdempotencyKeyExpired) {
				b.Fatal(applied.Err)
			}
		}
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
		b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
		b.ReportMetric(float64(times[len(times)-1].Nanoseconds()), "max-ns")
	}
	// Each command forgets one entry, at 20,000 commands a second.
	fast := func(i int) int64 { return n.time + int64(i)/20 }
	b.Run("apply without a key", func(b *testing.B) {
		latencies(b, func(_ *rand.Rand, i int) fsm.Command { return at(fast(i), mutation(increase("sums", by("sum", 1)))) })
	})
	b.Run("apply with a key", func(b *testing.B) {
		latencies(b, func(r *rand.Rand, i int) fsm.Command { return at(fast(i), keyed(skewedKey(r, fast(i), i))) })
	})
	b.Run("apply with a bare key", func(b *testing.B) {
		latencies(b, func(r *rand.Rand, i int) fsm.Command { return at(fast(i), keyed(bareKey(r, 0, i))) })
	})
	b.Run("forget what is too old", func(b *testing.B) {
		latencies(b, func(_ *rand.Rand, i int) fsm.Command { return at(n.time+20*minute, fsm.Command{Type: fsm.TypeTerm}) })
	})
	again := keyed(uuidv7(n.time, 1))
	b.Run("replay", func(b *testing.B) {
		latencies(b, func(*rand.Rand, int) fsm.Command { return again })
	})
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, known := n.Lookup(&again.Mutation); !known {
				b.Fatal("not known")
			}
		}
	})
}
