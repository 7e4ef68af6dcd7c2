package watch_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
	"tally/watch"
)

// next starts a goroutine that waits for a batch, at most for the given time.
func next(cursor *watch.Cursor, timeout time.Duration) <-chan watch.Batch {
	batches := make(chan watch.Batch, 1)
	go func() {
		defer close(batches)
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if batch, err := cursor.Next(ctx); err == nil {
			batches <- batch
		}
	}()
	return batches
}

func isWaiting(batches <-chan watch.Batch) bool {
	synctest.Wait()
	return len(batches) == 0
}

// wantAtOnce wants the batch without any time going by.
func wantAtOnce(t *testing.T, batches <-chan watch.Batch, want string) {
	t.Helper()
	if isWaiting(batches) {
		t.Fatal("it still waits")
	}
	wantBatch(t, <-batches, want)
}

func TestNext(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, hub *watch.Hub)
	}{
		{"an event of the group ends the wait", func(t *testing.T, hub *watch.Hub) {
			batches := next(mustWatch(t, hub, now("b"), now("a")), time.Hour)
			if !isWaiting(batches) {
				t.Fatal("it does not wait")
			}
			var log history
			publish(hub, log.mutation(set("a", "x", 1)))
			wantAtOnce(t, batches, "1: 1 a x=1")
		}},
		{"an event of another group or key does not", func(t *testing.T, hub *watch.Hub) {
			batches := next(mustWatch(t, hub, after("a", 0, "x")), time.Hour)
			var log history
			publish(hub, log.mutation(set("b", "x", 1)), log.mutation(set("a", "y", 2)))
			if !isWaiting(batches) {
				t.Fatal("it does not wait")
			}
			publish(hub, log.mutation(set("a", "x", 3)))
			wantAtOnce(t, batches, "3: 3 a x=3")
		}},
		{"an event that the watcher has seen elsewhere does not", func(t *testing.T, hub *watch.Hub) {
			batches := next(mustWatch(t, hub, after("a", 2)), time.Hour)
			var log history
			publish(hub, log.mutation(set("a", "x", 1)), log.mutation(set("a", "x", 2)))
			if !isWaiting(batches) {
				t.Fatal("a position not reached yet was answered")
			}
			publish(hub, log.mutation(set("a", "x", 3)))
			wantAtOnce(t, batches, "3: 3 a x=3")
		}},
		{"the end of the time gives the new position", func(t *testing.T, hub *watch.Hub) {
			batches := next(mustWatch(t, hub, after("a", 0)), time.Minute)
			var log history
			publish(hub, log.mutation(set("b", "x", 1)))
			begin := time.Now()
			wantBatch(t, <-batches, "1:")
			if waited := time.Since(begin); waited != time.Minute {
				t.Errorf("waited %v", waited)
			}
		}},
		{"a snapshot wakes everybody", func(t *testing.T, hub *watch.Hub) {
			first, second := next(mustWatch(t, hub, after("a", 0)), time.Hour), next(mustWatch(t, hub, after("b", 0)), time.Hour)
			synctest.Wait()
			hub.Restored(5)
			wantAtOnce(t, first, "5: reset@5 a[]")
			wantAtOnce(t, second, "5: reset@5 b[]")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hub *watch.Hub
				hub = mustOpen(t, watch.Config{State: func(group string, _ []string) counter.Reading {
					return counter.Reading{Group: group, Revision: hub.Published()}
				}})
				test.run(t, hub)
			})
		})
	}
}

// TestNoWakeIsLost lets one event at a time race with watchers that have just
// come, or are just going to wait. A wake that is lost once hangs the test.
func TestNoWakeIsLost(t *testing.T) {
	hub := mustOpen(t, watch.Config{})
	const rounds = 20_000
	var arrived sync.WaitGroup
	staying := mustWatch(t, hub, after("a", 0))
	go func() {
		for range rounds {
			wantAnswer(t, staying)
			arrived.Done()
		}
	}()
	for revision := uint64(1); revision <= rounds; revision++ {
		arrived.Add(2)
		go func() {
			defer arrived.Done()
			coming, err := hub.Watch(after("b", revision-1))
			if err != nil {
				t.Error(err)
				return
			}
			defer coming.Close()
			wantAnswer(t, coming)
		}()
		if revision%2 == 0 {
			runtime.Gosched()
		}
		hub.Publish(revision, []counter.Event{set("a", "x", 1), set("b", "x", 1)})
		arrived.Wait()
	}
}

func wantAnswer(t *testing.T, cursor *watch.Cursor) {
	if batch, err := cursor.Next(context.Background()); err != nil || len(batch.Changes) != 1 {
		t.Errorf("got %v, error %v", text(batch), err)
	}
}

// TestWatchersComeAndGo makes chains come into being and die all the time, by
// the hand of the writer and of the watchers at once. A watcher that were left
// with a chain that the writer no longer knows would hang.
func TestWatchersComeAndGo(t *testing.T) {
	registry := prometheus.NewRegistry()
	var hub *watch.Hub
	hub = mustOpen(t, watch.Config{EventsMax: 1, Registerer: registry, State: func(group string, _ []string) counter.Reading {
		return counter.Reading{Group: group, Revision: hub.Published() + 1}
	}})
	var watchers sync.WaitGroup
	var left atomic.Int64
	for i := range 3 {
		left.Add(1)
		watchers.Go(func() {
			defer left.Add(-1)
			for round := range 2_000 {
				cursor, err := hub.Watch(now(modelGroups[(i+round)%2]))
				if err != nil {
					t.Error(err)
					return
				}
				if round%3 > 0 {
					wantSomething(t, cursor)
				}
				cursor.Close()
			}
		})
	}
	for revision := uint64(1); left.Load() > 0; revision++ {
		hub.Publish(revision, []counter.Event{set(modelGroups[revision%2], "x", 1)})
		if revision%16 == 0 {
			runtime.Gosched()
		}
	}
	watchers.Wait()
	mustWatch(t, hub, now("another")).Close() // so that everything is indexed
	if got := metric(t, registry, "tally_watch_groups"); got != 1 {
		t.Errorf("%d groups are kept, the ring has one event", got)
	}
}

func wantSomething(t *testing.T, cursor *watch.Cursor) {
	if batch, err := cursor.Next(context.Background()); len(batch.Changes) == 0 && !errors.Is(err, counter.Overloaded) {
		t.Errorf("got %v, error %v", text(batch), err)
	}
}

// TestWakingTouchesOnlyTheGroup looks at the cursors' own signals.
func TestWakingTouchesOnlyTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := mustOpen(t, watch.Config{})
		cursors := map[string]*watch.Cursor{"a": mustWatch(t, hub, now("a")), "b": mustWatch(t, hub, now("b")), "ab": mustWatch(t, hub, now("a"), now("b"))}
		for _, cursor := range cursors {
			mustPoll(t, cursor)
		}
		var log history
		publish(hub, log.mutation(set("a", "x", 1)), log.mutation(set("c", "x", 2)))
		synctest.Wait()
		for name, want := range map[string]int{"a": 1, "b": 0, "ab": 1} {
			if got := len(cursors[name].Ready()); got != want {
				t.Errorf("cursor %s has %d signals, want %d", name, got, want)
			}
		}
		cursors["ab"].Close()
		publish(hub, log.mutation(set("b", "x", 3)))
		synctest.Wait()
		if len(cursors["b"].Ready()) != 1 {
			t.Error("b was not woken after another watcher had left")
		}
	})
}

// TestWriterWaitsForNobody publishes a full ring many times over while watchers
// hang in every place where they run someone else's code, or just never come back.
func TestWriterWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		hub := mustOpen(t, watch.Config{
			EventsMax: 16,
			State: func(group string, _ []string) counter.Reading {
				<-hang
				return counter.Reading{Group: group, Revision: 5000}
			},
			Encode: func(events []counter.Event) []byte {
				<-hang
				return encode(events)
			},
		})
		var log history
		publish(hub, log.mutation(set("a", "x", 0)))
		finished := make(chan error)
		inState, inEncode := mustWatch(t, hub, watch.Selection{Group: "a"}), mustWatch(t, hub, after("a", 0))
		go func() {
			_, err := inState.Poll()
			finished <- err
		}()
		go func() {
			batch, err := inEncode.Poll()
			batch.Changes[0].Encoded()
			finished <- err
		}()
		mustWatch(t, hub, after("a", 0)) // never reads
		synctest.Wait()
		for range 4999 {
			publish(hub, log.mutation(set("a", "x", 1)))
		}
		if got := hub.Published(); got != 5000 {
			t.Errorf("published %d", got)
		}
		close(hang)
		for range 2 {
			if err := <-finished; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestCloseAnswersEverybodyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := mustOpen(t, watch.Config{})
		const waiting = 100
		failed := make(chan error, waiting)
		for range waiting {
			cursor := mustWatch(t, hub, now("a"), now("b"))
			go func() {
				defer cursor.Close()
				_, err := cursor.Next(t.Context())
				failed <- err
			}()
		}
		synctest.Wait()
		hub.Close()
		for range waiting {
			var problem *counter.Error
			if err := <-failed; !errors.As(err, &problem) || problem.Code != counter.ShuttingDown || problem.RetryAfter == 0 {
				t.Errorf("got %v", err)
			}
		}
		if _, err := hub.Watch(now("a")); !errors.Is(err, counter.ShuttingDown) {
			t.Errorf("watch after the end: %v", err)
		}
		hub.Close()
		hub.Publish(1, []counter.Event{set("a", "x", 1)})
		hub.Restored(2)
	})
}

// A state that stays behind what was published cannot be watched: that is said,
// not tried for ever.
func TestOverloaded(t *testing.T) {
	hub := mustOpen(t, watch.Config{})
	hub.Restored(5)
	if _, err := mustWatch(t, hub, after("a", 1)).Poll(); !errors.Is(err, counter.Overloaded) {
		t.Errorf("got %v", err)
	}
}
