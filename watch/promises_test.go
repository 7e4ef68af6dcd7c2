package watch_test

import (
	"fmt"
	"slices"
	"testing"

	"tally/counter"
	"tally/watch"
)

// publish publishes mutations of a history from its first entry on.
func publish(hub *watch.Hub, entries ...entry) {
	for _, e := range entries {
		if e.mutation {
			hub.Publish(e.revision, slices.Clone(e.events))
		}
	}
}

// The promises of a watch, one by one. What holds when everything happens at
// random is in TestHubAgainstNaiveList and TestManyReaders.
func TestPromises(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"ordered: also when a revision names groups in turns", func(t *testing.T) {
			var log history
			log.mutation(set("a", "x", 1), set("b", "x", 2), set("a", "x", 3), set("a", "y", 4))
			log.mutation(set("b", "x", 5))
			hub := mustOpen(t, watch.Config{})
			publish(hub, log...)
			cursor := mustWatch(t, hub, after("b", 0), after("a", 0))
			wantBatch(t, mustPoll(t, cursor), "2: 1 a x=1 1 b x=2 1 a x=3 1 a y=4 2 b x=5")
		}},
		{"unique: nothing is given twice", func(t *testing.T) {
			var log history
			hub := mustOpen(t, watch.Config{})
			cursor := mustWatch(t, hub, after("a", 0))
			publish(hub, log.mutation(set("a", "x", 1)))
			wantBatch(t, mustPoll(t, cursor), "1: 1 a x=1")
			wantBatch(t, mustPoll(t, cursor), "1:")
			publish(hub, log.mutation(set("a", "x", 1)))
			wantBatch(t, mustPoll(t, cursor), "2: 2 a x=1")
		}},
		{"reliable: what was dropped is replaced by a reset, never left out", func(t *testing.T) {
			var log history
			hub := mustOpen(t, watch.Config{EventsMax: 2, State: func(group string, keys []string) counter.Reading {
				return log.reading(group, keys, log.last())
			}})
			cursor := mustWatch(t, hub, after("a", 0), after("b", 0))
			publish(hub, log.mutation(set("a", "x", 1)), log.mutation(set("b", "x", 2)), log.mutation(set("a", "x", 3)), log.mutation(set("a", "x", 4)))
			wantBatch(t, mustPoll(t, cursor), "4: reset@4 a[{x 4}] reset@4 b[{x 2}]")
			publish(hub, log.mutation(set("a", "x", 5)))
			wantBatch(t, mustPoll(t, cursor), "5: 5 a x=5")
		}},
		{"reliable: a group that lost nothing goes on without a reset", func(t *testing.T) {
			var log history
			hub := mustOpen(t, watch.Config{EventsMax: 2})
			cursor := mustWatch(t, hub, after("quiet", 0))
			publish(hub, log.mutation(set("a", "x", 1)), log.mutation(set("a", "x", 2)), log.mutation(set("a", "x", 3)), log.mutation(set("quiet", "x", 4)))
			wantBatch(t, mustPoll(t, cursor), "4: 4 quiet x=4")
		}},
		{"atomic: a batch is never cut within a revision", func(t *testing.T) {
			var log history
			hub := mustOpen(t, watch.Config{BatchEventsMax: 3})
			publish(hub,
				log.mutation(set("a", "x", 1), set("b", "x", 1)),
				log.mutation(set("b", "x", 2), set("a", "x", 2), set("b", "y", 2)),
				log.mutation(set("a", "x", 3)))
			cursor := mustWatch(t, hub, after("a", 0), after("b", 0))
			batch := mustPoll(t, cursor)
			wantBatch(t, batch, "2: 1 a x=1 1 b x=1 2 b x=2 2 a x=2 2 b y=2")
			if <-cursor.Ready(); !batch.More {
				t.Error("it does not say that there is more")
			}
			wantBatch(t, mustPoll(t, cursor), "3: 3 a x=3")
		}},
		{"resumable: on another node that has come less far", func(t *testing.T) {
			var log history
			entries := []entry{log.mutation(set("a", "x", 1)), log.mutation(set("a", "x", 2)), log.mutation(set("a", "x", 3))}
			ahead, behind := mustOpen(t, watch.Config{}), mustOpen(t, watch.Config{})
			publish(ahead, entries[:2]...)
			publish(behind, entries[:1]...)
			position := mustPoll(t, mustWatch(t, ahead, after("a", 0))).Position

			cursor := mustWatch(t, behind, after("a", position))
			wantBatch(t, mustPoll(t, cursor), "2:") // waits for 2 to pass, and says nothing about it
			publish(behind, entries[1:]...)
			wantBatch(t, mustPoll(t, cursor), "3: 3 a x=3")
		}},
		{"bookmarkable: the position moves with what happens to others", func(t *testing.T) {
			var log history
			hub := mustOpen(t, watch.Config{EventsMax: 1})
			cursor := mustWatch(t, hub, now("quiet"))
			publish(hub, log.mutation(set("a", "x", 1)), log.mutation(set("a", "x", 2)), log.mutation())
			batch := mustPoll(t, cursor)
			wantBatch(t, batch, "3:")
			// With its first position the watcher would get a reset by now.
			wantBatch(t, mustPoll(t, mustWatch(t, hub, after("quiet", batch.Position))), "3:")
			wantBatch(t, mustPoll(t, mustWatch(t, hub, after("quiet", 0))), "3: reset@0 quiet[]")
		}},
	} {
		t.Run(test.name, test.run)
	}
}

func TestKeys(t *testing.T) {
	var log history
	hub := mustOpen(t, watch.Config{})
	publish(hub,
		log.mutation(set("a", "x", 1), set("a", "y", 1), set("a", "z", 1)),
		log.mutation(set("a", "y", 2)),
		log.mutation(set("a", "x", 3)))
	for _, test := range []struct {
		selection watch.Selection
		want      string
	}{
		{after("a", 0), "3: 1 a x=1 1 a y=1 1 a z=1 2 a y=2 3 a x=3"},
		{after("a", 0, "x"), "3: 1 a x=1 3 a x=3"},
		{after("a", 0, "z", "x"), "3: 1 a x=1 1 a z=1 3 a x=3"},
		{after("a", 0, "x", "y", "z"), "3: 1 a x=1 1 a y=1 1 a z=1 2 a y=2 3 a x=3"},
		{after("a", 1, "y"), "3: 2 a y=2"},
		{after("a", 0, "other"), "3:"},
		{after("a", 9, "x"), "9:"},
	} {
		cursor := mustWatch(t, hub, test.selection)
		wantBatch(t, mustPoll(t, cursor), test.want)
		cursor.Close()
	}
}

// A reading can be ahead of what the hub was told, and a reset then begins at
// the reading, here and wherever the watcher goes on.
func TestReadingAhead(t *testing.T) {
	var log history
	hub := mustOpen(t, watch.Config{State: func(group string, keys []string) counter.Reading {
		return log.reading(group, keys, log.last())
	}})
	publish(hub, log.mutation(set("a", "x", 1)))
	late := log.mutation(set("a", "x", 2), set("b", "x", 2)) // applied, not published yet
	log.other()

	alone := mustWatch(t, hub, watch.Selection{Group: "a"})
	wantBatch(t, mustPoll(t, alone), "3: reset@3 a[{x 2}]")
	both := mustWatch(t, hub, watch.Selection{Group: "a"}, after("b", 1))
	batch := mustPoll(t, both)
	wantBatch(t, batch, "1: reset@3 a[{x 2}] (a at 3)")
	resumed := mustWatch(t, hub, after("a", batch.Ahead[0].Position), after("b", batch.Position))

	publish(hub, late)
	wantBatch(t, mustPoll(t, alone), "3:")
	wantBatch(t, mustPoll(t, both), "2: 2 b x=2 (a at 3)")
	wantBatch(t, mustPoll(t, resumed), "2: 2 b x=2 (a at 3)")
	publish(hub, log.mutation(set("a", "x", 4)))
	wantBatch(t, mustPoll(t, alone), "4: 4 a x=4")
	wantBatch(t, mustPoll(t, both), "4: 4 a x=4")
}

func TestRestored(t *testing.T) {
	var log history
	hub := mustOpen(t, watch.Config{State: func(group string, keys []string) counter.Reading {
		return log.reading(group, keys, log.last())
	}})
	publish(hub, log.mutation(set("a", "x", 1)))
	behind, level, ahead := mustWatch(t, hub, after("a", 0)), mustWatch(t, hub, after("a", 3)), mustWatch(t, hub, after("a", 4))
	log.mutation(set("a", "x", 2))
	log.mutation(set("b", "x", 3))
	hub.Restored(3)

	wantBatch(t, mustPoll(t, behind), "3: reset@3 a[{x 2}]")
	wantBatch(t, mustPoll(t, level), "3:")
	wantBatch(t, mustPoll(t, ahead), "4:")
	publish(hub, log.mutation(set("a", "x", 4)), log.mutation(set("a", "x", 5)))
	wantBatch(t, mustPoll(t, behind), "5: 4 a x=4 5 a x=5")
	wantBatch(t, mustPoll(t, level), "5: 4 a x=4 5 a x=5")
	wantBatch(t, mustPoll(t, ahead), "5: 5 a x=5")
	wantBatch(t, mustPoll(t, mustWatch(t, hub, after("a", 2))), "5: reset@5 a[{x 5}]")
	wantBatch(t, mustPoll(t, mustWatch(t, hub, after("a", 3))), "5: 4 a x=4 5 a x=5")
}

// A backlog larger than a batch comes in pieces, whole revisions each, and while
// it is read the ring may well move on.
func TestBacklog(t *testing.T) {
	const revisions = 1000
	var log history
	for i := range revisions {
		log.mutation(set("a", "x", int64(i)), set("a", "y", int64(i)), set("b", "x", int64(i)))
	}
	hub := mustOpen(t, watch.Config{EventsMax: 3 * revisions, BatchEventsMax: 70})
	publish(hub, log[:revisions-1]...)
	cursor := mustWatch(t, hub, after("a", 0), after("b", 500))
	var got []counter.Event
	position := uint64(0)
	for position < revisions {
		batch := mustPoll(t, cursor)
		if batch.Position <= position && len(batch.Changes) > 0 {
			t.Fatalf("changes but no progress at %d", position)
		}
		for _, change := range batch.Changes {
			got = append(got, change.Events...)
		}
		if position = batch.Position; position == revisions-1 {
			publish(hub, log[revisions-1])
		}
	}
	var want []counter.Event
	for _, e := range log {
		n := 3
		if e.revision <= 500 {
			n = 2
		}
		want = append(want, e.events[:n]...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
}

// Dropping runs under a reader with a backlog makes it start afresh, not lose some.
func TestBacklogOvertaken(t *testing.T) {
	var log history
	hub := mustOpen(t, watch.Config{EventsMax: 4, BatchEventsMax: 2, State: func(group string, keys []string) counter.Reading {
		return log.reading(group, keys, log.last())
	}})
	next := func() { publish(hub, log.mutation(set("a", "x", int64(log.last()+1)))) }
	for range 4 {
		next()
	}
	cursor := mustWatch(t, hub, after("a", 0))
	wantBatch(t, mustPoll(t, cursor), "2: 1 a x=1 2 a x=2")
	next()
	next() // drops 2, which was given, and cuts its link
	wantBatch(t, mustPoll(t, cursor), "4: 3 a x=3 4 a x=4")
	next()
	next()
	next() // drops 5, which was not
	wantBatch(t, mustPoll(t, cursor), "9: reset@9 a[{x 9}]")
}

// The bytes are made once for all watchers of all keys.
func TestEncodingIsShared(t *testing.T) {
	calls := 0
	hub := mustOpen(t, watch.Config{Encode: func(events []counter.Event) []byte {
		calls++
		return encode(events)
	}})
	var log history
	publish(hub, log.mutation(set("a", "x", 1), set("a", "y", 2)))
	var first []byte
	for i := range 100 {
		cursor := mustWatch(t, hub, after("a", 0))
		encoded := mustPoll(t, cursor).Changes[0].Encoded()
		if i == 0 {
			first = encoded
		}
		if &encoded[0] != &first[0] {
			t.Fatal("a watcher has bytes of its own")
		}
	}
	if calls != 1 {
		t.Errorf("encoded %d times", calls)
	}
	filtered := mustPoll(t, mustWatch(t, hub, after("a", 0, "y"))).Changes[0]
	if got, want := string(filtered.Encoded()), string(encode(filtered.Events)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func ExampleHub() {
	hub := watch.Open(watch.Config{
		State: func(group string, keys []string) counter.Reading {
			return counter.Reading{Group: group, Revision: 7, Counters: []counter.Counter{{Key: "likes", Value: 3}}}
		},
		Encode: encode,
	})
	defer hub.Close()
	hub.Restored(7)

	cursor, err := hub.Watch(watch.Selection{Group: "room"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cursor.Close()
	show := func() {
		batch, err := cursor.Poll()
		fmt.Println(text(batch), err)
	}
	show()
	hub.Publish(8, []counter.Event{{Revision: 8, Kind: counter.Increase, Group: "room", Key: "likes", Value: 4, Delta: 1}})
	hub.Publish(9, []counter.Event{{Revision: 9, Kind: counter.Set, Group: "lobby", Key: "likes", Value: 1}})
	show()
	// Output:
	// 7: reset@7 room[{likes 3}] <nil>
	// 9: 8 room likes=4 <nil>
}
