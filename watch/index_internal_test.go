package watch

import (
	"testing"
	"testing/synctest"

	"tally/counter"
)

// TestWriterFindsIndexBusy has the writer go on while a reader holds the index,
// which can only be for a moment, but in which a ring may turn over.
func TestWriterFindsIndexBusy(t *testing.T) {
	for _, test := range []struct {
		name      string
		published uint64 // while the index is busy: a in the first revision, b in the others
		restored  bool   // and then a snapshot
		events    int    // given to a watcher of a
		resets    int
	}{
		{"all of it is in the ring", 6, false, 1, 0},
		{"it was dropped", 7, false, 0, 1},
		{"a snapshot came", 3, true, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h *Hub
				h = Open(Config{EventsMax: 6, State: func(group string, _ []string) counter.Reading {
					return counter.Reading{Group: group, Revision: h.Published()}
				}})
				defer h.Close()
				c, err := h.Watch(Selection{Group: "a", Start: FromNow})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Poll(); err != nil {
					t.Fatal(err)
				}
				h.index.mu.Lock()
				for revision := uint64(1); revision <= test.published; revision++ {
					group := "b"
					if revision == 1 {
						group = "a"
					}
					h.Publish(revision, []counter.Event{{Revision: revision, Group: group, Key: "x"}})
				}
				if test.restored {
					h.Restored(test.published + 1)
				}
				h.index.mu.Unlock()
				synctest.Wait()
				select {
				case <-c.Ready():
				default:
					t.Error("the watcher was not woken")
				}
				batch, err := c.Poll()
				if err != nil {
					t.Fatal(err)
				}
				events, resets := 0, 0
				for _, change := range batch.Changes {
					if events += len(change.Events); change.Reset != nil {
						resets++
					}
				}
				if events != test.events || resets != test.resets {
					t.Errorf("%d events and %d resets, want %d and %d", events, resets, test.events, test.resets)
				}
			})
		})
	}
}
