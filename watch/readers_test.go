package watch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"tally/counter"
	"tally/watch"
)

// TestManyReaders has readers of all speeds run beside a writer that overruns
// its ring all the time and installs a snapshot now and then. Afterwards each of
// them must have received, for each group, what the log says; see
// TestHubAgainstNaiveList for the same in every detail but without concurrency.
func TestManyReaders(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { manyReaders(t, seed, 12) })
	}
}

// TestOneReader is the same with a single reader, so that nobody watches while it
// comes back, and it finds much that is in no chain.
func TestOneReader(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { manyReaders(t, seed, 1) })
	}
}

func manyReaders(t *testing.T, seed, readers uint64) {
	const revisions = 4_000
	var (
		mu  sync.Mutex // guards log, which is the state
		log history
	)
	hub := mustOpen(t, watch.Config{EventsMax: 150, BatchEventsMax: 40, State: func(group string, keys []string) counter.Reading {
		mu.Lock()
		defer mu.Unlock()
		return log.reading(group, keys, log.last())
	}})
	var group sync.WaitGroup
	all := make([]*reader, readers)
	for i := range all {
		r := newReader(hub, rand.New(rand.NewPCG(seed, uint64(i))))
		all[i] = r
		group.Go(func() { r.read(revisions) })
	}
	random := rand.New(rand.NewPCG(seed, readers))
	for log.last() < revisions {
		mu.Lock()
		entries := []entry{log.mutation(randomEvents(random, log.last() == revisions-1)...)}
		skip := random.IntN(500) == 0 && log.last() < revisions-100
		for skip && len(entries) < 50 {
			entries = append(entries, log.mutation(randomEvents(random, false)...))
		}
		mu.Unlock()
		// The state is ahead of the hub now.
		if skip {
			hub.Restored(log.last())
		} else {
			publish(hub, entries...)
		}
		if random.IntN(8) == 0 {
			runtime.Gosched()
		}
	}
	group.Wait()
	for i, r := range all {
		if r.err != nil {
			t.Fatalf("reader %d: %v", i, r.err)
		}
		for _, selection := range r.selections {
			checkReceived(t, log, i, selection, r.received[selection.Group])
		}
	}
}

// randomEvents are up to three events, or one for each group and key.
func randomEvents(random *rand.Rand, everywhere bool) (events []counter.Event) {
	for _, g := range modelGroups {
		for _, key := range modelKeys {
			if everywhere || random.IntN(8) == 0 {
				events = append(events, set(g, key, random.Int64N(100)))
			}
		}
	}
	return events
}

// reader is one watcher that keeps all it was given.
type reader struct {
	hub        *watch.Hub
	random     *rand.Rand
	slowness   int
	selections []watch.Selection
	received   map[string][]watch.Change
	err        error
}

func newReader(hub *watch.Hub, random *rand.Rand) *reader {
	r := &reader{hub: hub, random: random, slowness: 1 << random.IntN(8), received: map[string][]watch.Change{}}
	for i, g := range random.Perm(len(modelGroups)) {
		if i == 0 || random.IntN(2) == 0 {
			s := after(modelGroups[g], 0)
			if random.IntN(3) == 0 {
				s.Keys = modelKeys[:1+random.IntN(2)]
			}
			r.selections = append(r.selections, s)
		}
	}
	return r
}

// read goes on up to a revision, with a new cursor now and then.
func (r *reader) read(upTo uint64) {
	for position := uint64(0); position < upTo && r.err == nil; {
		cursor, err := r.hub.Watch(r.selections...)
		if err != nil {
			r.err = err
			return
		}
		for n := r.random.IntN(100); n >= 0 && position < upTo && r.err == nil; n-- {
			position = r.next(cursor, position)
			for range r.random.IntN(r.slowness) {
				runtime.Gosched()
			}
		}
		cursor.Close()
	}
}

// next keeps what comes next and makes it the place to resume from.
func (r *reader) next(cursor *watch.Cursor, position uint64) uint64 {
	batch, err := cursor.Next(context.Background())
	if err != nil {
		if !errors.Is(err, counter.Overloaded) { // with so small a ring it can happen
			r.err = err
		}
		return position
	}
	for _, change := range batch.Changes {
		r.received[change.Group] = append(r.received[change.Group], change)
	}
	for i := range r.selections {
		r.selections[i].After = batch.Position
		for _, ahead := range batch.Ahead {
			if ahead.Group == r.selections[i].Group {
				r.selections[i].After = ahead.Position
			}
		}
	}
	return batch.Position
}

// checkReceived: between resets everything is there, in order, once, and each
// reset equals the state and is ahead of what came before.
func checkReceived(t *testing.T, log history, reader int, s watch.Selection, changes []watch.Change) {
	t.Helper()
	position := uint64(0)
	var got []counter.Event
	check := func(upTo uint64) {
		if want := log.events(s.Group, s.Keys, position, upTo); !slices.Equal(got, want) {
			t.Fatalf("reader %d of %s%v from %d to %d: got %d events, want %d", reader, s.Group, s.Keys, position, upTo, len(got), len(want))
		}
	}
	for _, change := range changes {
		if change.Reset == nil {
			got = append(got, change.Events...)
			continue
		}
		if len(got) > 0 { // what came between the last of them and the reset is lost, nothing before
			check(got[len(got)-1].Revision)
			position = got[len(got)-1].Revision
		}
		if change.Revision <= position {
			t.Fatalf("reader %d of %s: reset at %d after %d", reader, s.Group, change.Revision, position)
		}
		if want := log.reading(s.Group, s.Keys, change.Revision); fmt.Sprint(*change.Reset) != fmt.Sprint(want) {
			t.Fatalf("reader %d: reset %+v, want %+v", reader, *change.Reset, want)
		}
		position, got = change.Revision, nil
	}
	check(log.last())
}
