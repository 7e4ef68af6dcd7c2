package storage

import (
	"errors"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// Whatever is stored and deleted, the cache answers as the log behind it does,
// and stays within its limits.
func TestLogCacheAnswersAsTheLog(t *testing.T) {
	const entriesMax, bytesMax = 8, 100
	rapid.Check(t, func(t *rapid.T) {
		inner := raft.NewInmemStore()
		cache := newLogCache(inner, entriesMax, bytesMax)
		last := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "gap") {
					last += uint64(rapid.IntRange(0, 20).Draw(t, "skipped")) // after a snapshot was installed
				}
				var entries []*raft.Log
				for _, size := range rapid.SliceOfN(rapid.IntRange(0, 60), 1, 12).Draw(t, "sizes") {
					last++
					entries = append(entries, &raft.Log{Index: last, Term: last / 7, Data: make([]byte, size)})
				}
				if err := cache.StoreLogs(entries); err != nil {
					t.Fatal(err)
				}
			},
			"delete": func(t *rapid.T) {
				first, err := cache.FirstIndex()
				if first = max(first, 1); err != nil || first > last {
					return
				}
				if rapid.Bool().Draw(t, "prefix") {
					upTo := rapid.Uint64Range(0, last).Draw(t, "up to")
					err = cache.DeleteRange(first, upTo)
				} else {
					from := rapid.Uint64Range(first, last).Draw(t, "from")
					err = cache.DeleteRange(from, last)
					last = from - 1
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				for index := uint64(0); index <= last+2; index++ {
					var got, want raft.Log
					gotErr, wantErr := cache.GetLog(index, &got), inner.GetLog(index, &want)
					if !errors.Is(gotErr, wantErr) || got.Index != want.Index || got.Term != want.Term || !slices.Equal(got.Data, want.Data) {
						t.Fatalf("entry %d: got %+v, %v; want %+v, %v", index, got, gotErr, want, wantErr)
					}
				}
				if len(cache.ring) > entriesMax {
					t.Fatalf("there is room for %d entries, allowed are %d", len(cache.ring), entriesMax)
				}
				held := 0
				for i := range cache.ring {
					held += dataBytes(&cache.ring[i])
				}
				if held != cache.bytes || held > bytesMax {
					t.Fatalf("%d bytes are held, counted %d, allowed %d", held, cache.bytes, bytesMax)
				}
			},
		})
	})
}

// The leader's entries are parts of futures that hold the results of proposals.
func TestLogCacheKeepsCopies(t *testing.T) {
	cache := newLogCache(raft.NewInmemStore(), 8, 100)
	entry := &raft.Log{Index: 1, Data: []byte("x")}
	if err := cache.StoreLog(entry); err != nil {
		t.Fatal(err)
	}
	if cache.at(1) == entry {
		t.Error("the cache holds the entry itself")
	}
}
