package watch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"tally/counter"
	"tally/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entry is one entry of the log: a mutation with its events, possibly none, or
// something that no hub is ever told of, such as a refusal or a configuration.
type entry struct {
	revision uint64
	mutation bool
	events   []counter.Event
}

// history is the naive list that hubs are compared with: the committed log and
// nothing else. Everything is found out by reading all of it.
type history []entry

func (h history) last() uint64 { return uint64(len(h)) }

// mutation appends a mutation. Events are given without their revision.
func (h *history) mutation(events ...counter.Event) entry {
	e := entry{revision: h.last() + 1, mutation: true, events: slices.Clone(events)}
	for i := range e.events {
		e.events[i].Revision = e.revision
	}
	*h = append(*h, e)
	return e
}

// other appends an entry that is not published.
func (h *history) other() entry {
	e := entry{revision: h.last() + 1}
	*h = append(*h, e)
	return e
}

// reading is the state of a group at a revision, by replay.
func (h history) reading(group string, keys []string, revision uint64) counter.Reading {
	reading := counter.Reading{Group: group, Revision: revision}
	values := map[string]int64{}
	for _, e := range h.events(group, nil, 0, revision) {
		if e.Kind == counter.Delete {
			delete(values, e.Key)
		} else {
			values[e.Key] = e.Value
		}
		reading.ModRevision = e.Revision
	}
	if len(values) == 0 {
		reading.ModRevision = 0
	}
	for key, value := range values {
		if keys == nil || slices.Contains(keys, key) {
			reading.Counters = append(reading.Counters, counter.Counter{Key: key, Value: value})
		}
	}
	slices.SortFunc(reading.Counters, func(a, b counter.Counter) int { return strings.Compare(a.Key, b.Key) })
	return reading
}

// events are the events of a group with the given keys, nil for all, with
// revisions in (after, upTo].
func (h history) events(group string, keys []string, after, upTo uint64) (found []counter.Event) {
	for _, entry := range h {
		if entry.revision <= after || entry.revision > upTo {
			continue
		}
		for _, e := range entry.events {
			if e.Group == group && (keys == nil || slices.Contains(keys, e.Key)) {
				found = append(found, e)
			}
		}
	}
	return found
}

func set(group, key string, value int64) counter.Event {
	return counter.Event{Kind: counter.Set, Group: group, Key: key, Value: value, User: "ann", TimeMs: 1700000000000}
}

// encode is a stand-in for the JSON of the HTTP API, of about its length.
func encode(events []counter.Event) []byte {
	var b []byte
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"revision":%d,"type":%q,"group":%q,"key":%q,"value":%d,"user":%q,"timeMs":%d}`,
			e.Revision, e.Kind, e.Group, e.Key, e.Value, e.User, e.TimeMs)
	}
	return b
}

func noState(group string, _ []string) counter.Reading { return counter.Reading{Group: group} }

// mustOpen opens a hub that the test closes at its end.
func mustOpen(t testing.TB, config watch.Config) *watch.Hub {
	t.Helper()
	if config.State == nil {
		config.State = noState
	}
	if config.Encode == nil {
		config.Encode = encode
	}
	hub := watch.Open(config)
	t.Cleanup(hub.Close)
	return hub
}

func mustWatch(t testing.TB, hub *watch.Hub, selections ...watch.Selection) *watch.Cursor {
	t.Helper()
	cursor, err := hub.Watch(selections...)
	if err != nil {
		t.Fatal(err)
	}
	return cursor
}

func mustPoll(t testing.TB, cursor *watch.Cursor) watch.Batch {
	t.Helper()
	batch, err := cursor.Poll()
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func after(group string, revision uint64, keys ...string) watch.Selection {
	return watch.Selection{Group: group, Keys: keys, Start: watch.FromAfter, After: revision}
}

func now(group string) watch.Selection { return watch.Selection{Group: group, Start: watch.FromNow} }

// text shows a batch in one line: "position: revision group key=value ...".
func text(batch watch.Batch) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", batch.Position)
	for _, change := range batch.Changes {
		if change.Reset != nil {
			fmt.Fprintf(&b, " reset@%d %s%v", change.Revision, change.Group, change.Reset.Counters)
		}
		for _, e := range change.Events {
			fmt.Fprintf(&b, " %d %s %s=%d", e.Revision, e.Group, e.Key, e.Value)
		}
	}
	for _, p := range batch.Ahead {
		fmt.Fprintf(&b, " (%s at %d)", p.Group, p.Position)
	}
	return b.String()
}

func wantBatch(t testing.TB, got watch.Batch, want string) {
	t.Helper()
	if got := text(got); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// metric is the present value of a metric without labels.
func metric(t interface {
	Helper()
	Fatalf(string, ...any)
}, registry *prometheus.Registry, name string) int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return int(m.GetGauge().GetValue() + m.GetCounter().GetValue())
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
