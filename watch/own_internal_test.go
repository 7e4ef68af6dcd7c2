package watch

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"tally/counter"
)

// within says that text is a part of whole, in memory.
func within(text, whole string) bool {
	at, begin := uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	return len(text) > 0 && at >= begin && at < begin+uintptr(len(whole))
}

// What the ring holds is no part of a request, which may be far larger, however
// keys and users follow each other.
func TestRingOwnsItsStrings(t *testing.T) {
	h := Open(Config{})
	defer h.Close()
	keys := []string{"likes", "likes", "views", "likes", "gifts"}
	users := []string{"ann", "bob", "bob", "", "ann"}
	var requests []string
	for revision := uint64(1); revision <= 5; revision++ {
		var events []counter.Event
		for i := range 4 {
			group, key, user := fmt.Sprint("group ", (i+int(revision))/2), keys[(i+int(revision))%5], users[i*int(revision)%5]
			request := strings.Join([]string{group, key, user}, "|") + strings.Repeat(" and much more", 100)
			requests = append(requests, request)
			key = request[len(group)+1:][:len(key)]
			user = request[len(group)+len(key)+2:][:len(user)]
			events = append(events, counter.Event{Revision: revision, Group: request[:len(group)], Key: key, User: user})
		}
		want := append([]counter.Event(nil), events...)
		h.Publish(revision, events)
		for i, event := range events { // the hub has taken them over
			if event != want[i] {
				t.Errorf("revision %d: %v became %v", revision, want[i], event)
			}
		}
	}
	for r := h.ring.oldest; r != nil; r = r.following {
		for _, event := range r.events {
			for _, text := range []string{event.Group, event.Key, event.User} {
				for _, request := range requests {
					if within(text, request) {
						t.Fatalf("revision %d: %q is a part of a request", r.revision, text)
					}
				}
			}
		}
	}
}
