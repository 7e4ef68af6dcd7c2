package watch

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"tally/counter"
)

// A record gives back what it was given, whatever of it changes from event to event.
func TestRecordIsLossless(t *testing.T) {
	var events []counter.Event
	for i := range 1 << 7 { // every choice of seven fields that change
		e := counter.Event{Revision: 7, Kind: counter.Set, Group: "a", Key: "x", User: "ann", TimeMs: 1}
		if i > 0 {
			e = events[i-1]
		}
		change := func(bit int) bool { return i>>bit&1 != 0 }
		if change(0) {
			e.Revision += math.MaxUint64 / 3
		}
		if change(1) {
			e.Kind = e.Kind%4 + 1
		}
		if change(2) {
			e.Group = fmt.Sprint("group ", i)
		}
		if change(3) {
			e.Key = strings.Repeat("é", i+1)
		}
		if change(4) {
			e.User = []string{"", "bob", "ann"}[i%3]
		}
		if change(5) {
			e.TimeMs = -e.TimeMs * 3
		}
		if change(6) {
			e.Value, e.Delta = math.MinInt64+int64(i), math.MaxInt64-int64(i)
		}
		events = append(events, e)
	}
	var buffer []byte
	for count := 1; count <= len(events); count++ {
		r := pack(7, events[:count], &buffer)
		if got := r.unpack(); !slices.Equal(got, events[:count]) {
			t.Fatalf("%d events: got\n%+v, want\n%+v", count, got, events[:count])
		}
	}
}

// within says that text is a part of whole, in memory.
func within(text, whole string) bool {
	at, begin := uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	return len(text) > 0 && at >= begin && at < begin+uintptr(len(whole))
}

// What the hub holds is no part of a request, which may be far larger.
func TestRecordOwnsItsStrings(t *testing.T) {
	request := "group|key|ann" + strings.Repeat(" and much more", 100)
	event := counter.Event{Revision: 1, Group: request[:5], Key: request[6:9], User: request[10:13]}
	var buffer []byte
	for _, e := range pack(1, []counter.Event{event, event}, &buffer).unpack() {
		for _, text := range []string{e.Group, e.Key, e.User} {
			if within(text, request) || text == "" {
				t.Errorf("%q is a part of the request", text)
			}
		}
	}
}
