package watch_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
	"tally/watch"
)

func TestWatchersMax(t *testing.T) {
	registry := prometheus.NewRegistry()
	hub := mustOpen(t, watch.Config{WatchersMax: 3, Registerer: registry})
	two := mustWatch(t, hub, now("a"), now("b"))
	if _, err := hub.Watch(now("a"), now("b")); !errors.Is(err, counter.TooManyWatchers) {
		t.Errorf("got %v", err)
	}
	one := mustWatch(t, hub, now("c"))
	for name, want := range map[string]int{"tally_watch_watchers": 3, "tally_watch_groups": 3, "tally_watch_refused_total": 1} {
		if got := metric(t, registry, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	two.Close()
	two.Close()
	mustWatch(t, hub, now("a"), now("b")).Close()
	one.Close()
	for _, name := range []string{"tally_watch_watchers", "tally_watch_groups"} {
		if got := metric(t, registry, name); got != 0 {
			t.Errorf("%s is %d after all have left", name, got)
		}
	}
}

func TestMetricsOfRing(t *testing.T) {
	registry := prometheus.NewRegistry()
	var log history
	hub := mustOpen(t, watch.Config{EventsMax: 2, Registerer: registry, State: func(group string, keys []string) counter.Reading {
		return log.reading(group, keys, log.last())
	}})
	publish(hub, log.mutation(set("a", "x", 1)), log.mutation(set("b", "x", 2)), log.mutation(set("c", "x", 3)))
	mustPoll(t, mustWatch(t, hub, watch.Selection{Group: "d"}, after("a", 0)))
	for name, want := range map[string]int{"tally_watch_ring_events": 2, "tally_watch_groups": 4, "tally_watch_resets_total": 2} {
		if got := metric(t, registry, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	publish(hub, log.mutation(set("e", "x", 1), set("e", "y", 1), set("e", "z", 1)))
	for name, want := range map[string]int{"tally_watch_ring_events": 0, "tally_watch_ring_bytes": 0, "tally_watch_groups": 2} {
		if got := metric(t, registry, name); got != want {
			t.Errorf("after a revision larger than the ring %s is %d, want %d", name, got, want)
		}
	}
}

// heap is the live memory in bytes.
func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what sync.Pools held goes with the second
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// TestBytesMax fills rings, has everything encoded as well, and measures. The
// keys are parts of large requests, as they are when a command was decoded.
func TestBytesMax(t *testing.T) {
	const bytesMax = 4 << 20
	for _, test := range []struct {
		name        string
		events, key int
	}{
		{"one event each", 1, 5},
		{"many events each", 50, 5},
		{"long keys", 1, 120},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := heap()
			hub := mustOpen(t, watch.Config{BytesMax: bytesMax, EventsMax: 1 << 30})
			for revision := uint64(1); revision <= 30_000/uint64(test.events); revision++ {
				request := strings.Repeat("k", 16<<10)
				events := make([]counter.Event, test.events)
				for i := range events {
					events[i] = counter.Event{Revision: revision, Kind: counter.Increase, Group: "some group", Key: request[i : i+test.key], User: request[:3], Value: 12345, Delta: 1, TimeMs: 1700000000000}
				}
				cursor := mustWatch(t, hub, now("some group"))
				hub.Publish(revision, events)
				for _, change := range mustPoll(t, cursor).Changes {
					change.Encoded()
				}
				cursor.Close()
			}
			occupied := heap() - before
			t.Logf("%d events in %.2f MiB, limit %.2f MiB", 30_000, float64(occupied)/(1<<20), float64(bytesMax)/(1<<20))
			if occupied > bytesMax*5/4 {
				t.Errorf("the ring occupies %d bytes, limit %d", occupied, bytesMax)
			}
			runtime.KeepAlive(hub)
		})
	}
}

// TestStoppedReaderKeepsOnlyItsBatch: what a watcher is still writing out, or its
// place in a backlog, must not keep alive what came after.
func TestStoppedReaderKeepsOnlyItsBatch(t *testing.T) {
	const bytesMax = 1 << 20
	hub := mustOpen(t, watch.Config{BytesMax: bytesMax, BatchEventsMax: 1})
	revision := uint64(0)
	next := func() {
		revision++
		hub.Publish(revision, []counter.Event{{Revision: revision, Kind: counter.Set, Group: "a", Key: strings.Repeat("k", 100)}})
	}
	before := heap()
	var batches []watch.Batch
	var cursors []*watch.Cursor
	for range 10 {
		next()
		next()
		cursor := mustWatch(t, hub, after("a", revision-2))
		batches = append(batches, mustPoll(t, cursor)) // and there is more
		cursors = append(cursors, cursor)
		for range 5_000 {
			next()
		}
	}
	if occupied := heap() - before; occupied > 2*bytesMax {
		t.Errorf("%d bytes are held, limit of the ring %d", occupied, bytesMax)
	}
	runtime.KeepAlive(batches)
	runtime.KeepAlive(cursors)
}

// TestIdleReaderKeepsNothing: who has read a backlog to its end and waits for more
// holds none of it.
func TestIdleReaderKeepsNothing(t *testing.T) {
	const bytesMax = 256 << 10
	hub := mustOpen(t, watch.Config{BytesMax: bytesMax, BatchEventsMax: 1})
	revision := uint64(0)
	next := func() {
		revision++
		events := make([]counter.Event, 200)
		for i := range events {
			events[i] = counter.Event{Revision: revision, Kind: counter.Set, Group: "a", Key: fmt.Sprint(i)}
		}
		hub.Publish(revision, events)
	}
	before := heap()
	var cursors []*watch.Cursor
	for range 200 {
		next()
		next()
		cursor := mustWatch(t, hub, after("a", revision-2))
		for mustPoll(t, cursor).More {
		}
		cursors = append(cursors, cursor)
	}
	if occupied := heap() - before; occupied > 4*bytesMax {
		t.Errorf("%d bytes are held, limit of the ring %d", occupied, bytesMax)
	}
	runtime.KeepAlive(cursors)
}

// TestMemoryOfWatchers: the cap on watchers is a cap on memory.
func TestMemoryOfWatchers(t *testing.T) {
	const watchers, bytesMax = 10_000, 1024
	for _, groups := range []int{1, 10} {
		t.Run(fmt.Sprintf("%d groups each", groups), func(t *testing.T) {
			hub := mustOpen(t, watch.Config{})
			cursors := make([]*watch.Cursor, 0, watchers)
			before := heap()
			for i := range watchers / groups {
				selections := make([]watch.Selection, groups)
				for g := range selections {
					selections[g] = now(fmt.Sprintf("group %d", (i*groups+g)%1000))
				}
				cursors = append(cursors, mustWatch(t, hub, selections...))
			}
			each := (heap() - before) / watchers
			t.Logf("%d bytes a watcher", each)
			if each > bytesMax {
				t.Errorf("%d bytes a watcher, want at most %d", each, bytesMax)
			}
			runtime.KeepAlive(cursors)
		})
	}
}

// TestPublishAllocatesTheSameWhoeverWatches: stopped readers cost no writer anything.
func TestPublishAllocatesTheSameWhoeverWatches(t *testing.T) {
	measure := func(watchers int) float64 {
		hub := mustOpen(t, watch.Config{EventsMax: 100})
		for range watchers {
			mustWatch(t, hub, now("a"))
		}
		revision := uint64(0)
		publish := func() {
			revision++
			hub.Publish(revision, []counter.Event{set("a", "x", 1)})
		}
		for range 200 {
			publish() // until the ring drops as much as it takes
		}
		return testing.AllocsPerRun(1000, publish)
	}
	one, many := measure(1), measure(10_000)
	t.Logf("%.0f allocations with nobody, %.0f with one stopped watcher, %.0f with 10,000", measure(0), one, many)
	if many > one {
		t.Errorf("%.0f allocations with 10,000 watchers, %.0f with one", many, one)
	}
}
