package watch_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"tally/counter"
	"tally/watch"
)

func groupName(i int) string { return fmt.Sprintf("group %d", i) }

var groupNames = func() (names [100]string) {
	for i := range names {
		names[i] = groupName(i)
	}
	return names
}()

func increase(group string, revision uint64) []counter.Event {
	return []counter.Event{{Revision: revision, Kind: counter.Increase, Group: group, Key: "likes", Value: 1, Delta: 1, User: "ann"}}
}

// BenchmarkPublish is what an apply pays for one event that wakes nobody.
func BenchmarkPublish(b *testing.B) {
	for _, watchers := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("%d watchers of other groups", watchers), func(b *testing.B) {
			hub := mustOpen(b, watch.Config{})
			for i := range watchers {
				mustWatch(b, hub, now(groupName(i%1000)))
			}
			revision := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				revision++
				hub.Publish(revision, increase("unwatched", revision))
			}
		})
	}
}

// BenchmarkPublishBatch is the same for a batch of 100 groups.
func BenchmarkPublishBatch(b *testing.B) {
	for _, watchers := range []int{0, 1} {
		b.Run(fmt.Sprintf("%d watchers of another group", watchers), func(b *testing.B) {
			hub := mustOpen(b, watch.Config{})
			for range watchers {
				mustWatch(b, hub, now("another"))
			}
			events := make([]counter.Event, 0, 100)
			revision := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				revision++
				events = events[:0]
				for i := range cap(events) {
					events = append(events, increase(groupNames[i], revision)...)
				}
				hub.Publish(revision, events)
			}
		})
	}
}

// BenchmarkFirstWatch is what the first watcher after a while finds to do: a full
// ring that nobody has looked at.
func BenchmarkFirstWatch(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		hub := watch.Open(watch.Config{State: noState, Encode: encode})
		for revision := uint64(1); revision <= watch.DefaultEventsMax; revision++ {
			hub.Publish(revision, increase(groupNames[revision%100], revision))
		}
		b.StartTimer()
		mustWatch(b, hub, now("a")).Close()
		b.StopTimer()
		hub.Close()
		b.StartTimer()
	}
}

// BenchmarkDelivery publishes one event at a time and waits until each watcher of
// its group has it. It reports what the writer paid for it (ns/publish) and the
// time until the last watcher had it (ns/op).
func BenchmarkDelivery(b *testing.B) {
	for _, groups := range []int{1, 1000} {
		const watchers = 10_000
		b.Run(fmt.Sprintf("%d watchers over %d groups", watchers, groups), func(b *testing.B) {
			hub := watch.Open(watch.Config{State: noState, Encode: encode})
			var delivered, running sync.WaitGroup
			for i := range watchers {
				cursor := mustWatch(b, hub, now(groupName(i%groups)))
				running.Go(func() {
					defer cursor.Close()
					for {
						batch, err := cursor.Next(context.Background())
						if err != nil {
							return
						}
						batch.Changes[0].Encoded()
						delivered.Done()
					}
				})
			}
			revision := uint64(0)
			var publishing time.Duration
			for b.Loop() {
				revision++
				delivered.Add(watchers / groups)
				events := increase(groupName(int(revision)%groups), revision)
				begin := time.Now()
				hub.Publish(revision, events)
				publishing += time.Since(begin)
				delivered.Wait()
			}
			b.ReportMetric(float64(publishing.Nanoseconds())/float64(b.N), "ns/publish")
			hub.Close()
			running.Wait()
		})
	}
}

// BenchmarkReplay gives 100,000 events of one group, among as many of others, to
// a watcher that resumes, encoded for the first time.
func BenchmarkReplay(b *testing.B) {
	const events = 100_000
	for _, encoded := range []bool{false, true} {
		b.Run(map[bool]string{false: "first watcher", true: "encoded before"}[encoded], func(b *testing.B) {
			var hub *watch.Hub
			refill := func() {
				hub = watch.Open(watch.Config{State: noState, Encode: encode, EventsMax: 2 * events, BytesMax: 1 << 30})
				for revision := uint64(1); revision <= 2*events; revision++ {
					e := set(groupName(int(revision%2)*int(revision)), "likes", 1)
					e.Revision = revision
					hub.Publish(revision, []counter.Event{e})
				}
			}
			refill()
			replay(b, hub, events)
			for b.Loop() {
				if !encoded {
					b.StopTimer()
					hub.Close()
					refill()
					b.StartTimer()
				}
				replay(b, hub, events)
			}
			hub.Close()
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func replay(b *testing.B, hub *watch.Hub, events int) {
	cursor := mustWatch(b, hub, after(groupName(0), 0))
	defer cursor.Close()
	got := 0
	for got < events {
		for _, change := range mustPoll(b, cursor).Changes {
			change.Encoded()
			got += len(change.Events)
		}
	}
}
