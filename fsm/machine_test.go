package fsm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
	"tally/fsm"
)

// node is a machine with a log that grows by one entry for each call.
type node struct {
	*fsm.Machine
	t     testing.TB
	index uint64
	term  uint64
	time  int64
}

func newNode(t testing.TB, config fsm.Config) *node {
	if config.Fatal == nil {
		config.Fatal = func(err error) { t.Errorf("the machine stopped: %v", err) }
	}
	return &node{Machine: fsm.NewMachine(config), t: t, term: 1, time: 1_700_000_000_000}
}

// entry returns the next log entry, with the command encoded.
func (n *node) entry(c fsm.Command) *raft.Log {
	n.index++
	if c.TimeMs == 0 {
		n.time++
		c.TimeMs = n.time
	}
	return &raft.Log{Index: n.index, Term: n.term, Type: raft.LogCommand, Data: c.Append(nil)}
}

func (n *node) apply(c fsm.Command) *fsm.Applied {
	return n.Apply(n.entry(c)).(*fsm.Applied)
}

func (n *node) mutate(operations ...counter.Operation) *fsm.Applied {
	return n.apply(mutation(operations...))
}

func mutation(operations ...counter.Operation) fsm.Command {
	return fsm.Command{Type: fsm.TypeMutation, Mutation: counter.Mutation{Operations: operations, Batch: len(operations) != 1, Caller: counter.Caller{User: "ada"}}}
}

func set(group string, counters ...counter.Counter) counter.Operation {
	return counter.Operation{Kind: counter.Set, Group: group, Counters: counters}
}

func increase(group string, counters ...counter.Counter) counter.Operation {
	return counter.Operation{Kind: counter.Increase, Group: group, Counters: counters}
}

func decrease(group string, counters ...counter.Counter) counter.Operation {
	return counter.Operation{Kind: counter.Decrease, Group: group, Counters: counters}
}

func remove(group string, keys ...string) counter.Operation {
	return counter.Operation{Kind: counter.Delete, Group: group, Keys: keys, All: len(keys) == 0}
}

func onlyIf(modRevision uint64, o counter.Operation) counter.Operation {
	o.Condition = counter.Condition{Checked: true, ModRevision: modRevision}
	return o
}

func by(key string, value int64) counter.Counter { return counter.Counter{Key: key, Value: value} }

func twentyCounters() []counter.Counter {
	var list []counter.Counter
	for i := range counter.GroupCountersMax {
		list = append(list, by("k"+string(rune('a'+i)), int64(i)))
	}
	return list
}

func wantReading(t *testing.T, n *node, group string, modRevision uint64, counters ...counter.Counter) {
	t.Helper()
	got := n.Read(group, nil)
	if got.Group != group || got.Revision != n.index || got.ModRevision != modRevision || !slices.Equal(got.Counters, counters) {
		t.Errorf("Read(%q) = %+v, want revision %d, modRevision %d, counters %v", group, got, n.index, modRevision, counters)
	}
}

// before is what every case of TestMutation starts from: index 1 sets g, index 2 fills full.
func before(t *testing.T) *node {
	n := newNode(t, fsm.Config{})
	n.mutate(set("g", by("a", 5), by("b", -1), by("max", math.MaxInt64), by("min", math.MinInt64)))
	n.mutate(set("full", twentyCounters()...))
	return n
}

func TestMutation(t *testing.T) {
	for _, c := range []struct {
		name       string
		operations []counter.Operation
		want       []counter.Outcome // of a mutation that is applied
		code       counter.Code      // of one that is refused
		operation  int               // which operation of a batch refuses, from 0
	}{
		{name: "set adds and overwrites", operations: []counter.Operation{set("g", by("z", 1), by("a", 2))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("z", 1), by("a", 2)}}}},
		{name: "increase", operations: []counter.Operation{increase("g", by("a", 2))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("a", 7)}}}},
		{name: "increase by a negative number", operations: []counter.Operation{increase("g", by("a", -7))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("a", -2)}}}},
		{name: "increase of a missing key", operations: []counter.Operation{increase("g", by("new", 3))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("new", 3)}}}},
		{name: "increase by 0 creates", operations: []counter.Operation{increase("new", by("a", 0))},
			want: []counter.Outcome{{Group: "new", Counters: []counter.Counter{by("a", 0)}}}},
		{name: "decrease", operations: []counter.Operation{decrease("g", by("a", 6), by("b", -1))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("a", -1), by("b", 0)}}}},
		{name: "decrease by the smallest int64", operations: []counter.Operation{decrease("g", by("b", math.MinInt64), by("min", math.MinInt64))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("b", math.MaxInt64), by("min", 0)}}}},
		{name: "decrease by the smallest int64 out of range", operations: []counter.Operation{decrease("g", by("missing", math.MinInt64))}, code: counter.OutOfRange},
		{name: "over the top", operations: []counter.Operation{increase("g", by("a", 1), by("max", 1))}, code: counter.OutOfRange},
		{name: "over the top by decrease", operations: []counter.Operation{decrease("g", by("max", -1))}, code: counter.OutOfRange},
		{name: "under the bottom", operations: []counter.Operation{increase("g", by("min", -1))}, code: counter.OutOfRange},
		{name: "under the bottom by decrease", operations: []counter.Operation{decrease("g", by("min", 1))}, code: counter.OutOfRange},
		{name: "from end to end", operations: []counter.Operation{increase("g", by("min", math.MaxInt64), by("max", math.MinInt64))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("min", -1), by("max", -1)}}}},
		{name: "a 21st key", operations: []counter.Operation{increase("full", by("ka", 1), by("one more", 1))}, code: counter.TooManyCounters},
		{name: "a set of 21", operations: []counter.Operation{set("new", append(twentyCounters(), by("one more", 1))...)}, code: counter.TooManyCounters},
		{name: "delete, then there is room", operations: []counter.Operation{remove("full", "ka"), increase("full", by("one more", 1))},
			want: []counter.Outcome{{Group: "full", Deleted: []string{"ka"}}, {Group: "full", Counters: []counter.Counter{by("one more", 1)}}}},
		{name: "delete some", operations: []counter.Operation{remove("g", "missing", "max", "a")},
			want: []counter.Outcome{{Group: "g", Deleted: []string{"max", "a"}}}},
		{name: "delete all", operations: []counter.Operation{remove("g")},
			want: []counter.Outcome{{Group: "g", Deleted: []string{"a", "b", "max", "min"}}}},
		{name: "delete all of nothing", operations: []counter.Operation{remove("new")},
			want: []counter.Outcome{{Group: "new", Deleted: []string{}}}},
		{name: "condition holds", operations: []counter.Operation{onlyIf(1, set("g", by("a", 1)))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("a", 1)}}}},
		{name: "condition that there is nothing holds", operations: []counter.Operation{onlyIf(0, set("new", by("a", 1)))},
			want: []counter.Outcome{{Group: "new", Counters: []counter.Counter{by("a", 1)}}}},
		{name: "condition fails", operations: []counter.Operation{onlyIf(2, set("g", by("a", 1)))}, code: counter.RevisionMismatch},
		{name: "condition that there is nothing fails", operations: []counter.Operation{onlyIf(0, set("g", by("a", 1)))}, code: counter.RevisionMismatch},
		{name: "condition on nothing fails", operations: []counter.Operation{onlyIf(1, set("new", by("a", 1)))}, code: counter.RevisionMismatch},
		{name: "a condition sees the operations before it", operations: []counter.Operation{remove("g"), onlyIf(0, set("g", by("a", 1)))},
			want: []counter.Outcome{{Group: "g", Deleted: []string{"a", "b", "max", "min"}}, {Group: "g", Counters: []counter.Counter{by("a", 1)}}}},
		{name: "a changed group has the revision of the batch", operations: []counter.Operation{increase("g", by("a", 1)), onlyIf(3, increase("g", by("a", 1)))},
			want: []counter.Outcome{{Group: "g", Counters: []counter.Counter{by("a", 6)}}, {Group: "g", Counters: []counter.Counter{by("a", 7)}}}},
		{name: "one bad operation spoils the batch", operations: []counter.Operation{
			increase("g", by("a", 1)), remove("full"), set("new", by("a", 1)), remove("g", "a"), increase("g", by("max", 1))}, code: counter.OutOfRange, operation: 4},
		{name: "a condition in the middle spoils the batch", operations: []counter.Operation{
			set("new", by("a", 1)), onlyIf(7, set("g", by("a", 1))), remove("g")}, code: counter.RevisionMismatch, operation: 1},
		{name: "what the leader should have refused", operations: []counter.Operation{set("g", by("", 1))}, code: counter.InvalidKey},
		{name: "no operation", operations: nil, code: counter.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := before(t)
			hash := n.StateHash()
			applied := n.mutate(c.operations...)
			if c.code == "" {
				if applied.Err != nil || applied.Result.Revision != 3 || !equalOutcomes(applied.Result.Outcomes, c.want) {
					t.Errorf("applied = %+v, %v; want %+v at revision 3", applied.Result, applied.Err, c.want)
				}
				return
			}
			if applied.Err == nil || !errors.Is(applied.Err, c.code) {
				t.Fatalf("applied = %+v, %v; want %s", applied.Result, applied.Err, c.code)
			}
			if applied.Err.Revision != 3 || applied.Err.Detail == "" {
				t.Errorf("refusal = %+v, want revision 3 and a detail", applied.Err)
			}
			if len(c.operations) > 1 && (applied.Err.Operation == nil || *applied.Err.Operation != c.operation) {
				t.Errorf("refusal names operation %v, want %d", applied.Err.Operation, c.operation)
			}
			if len(c.operations) == 1 && applied.Err.Operation != nil {
				t.Errorf("refusal of a single operation names operation %d", *applied.Err.Operation)
			}
			if untouched := before(t); !sameGroups(n, untouched) {
				t.Errorf("a refused mutation changed something (hash was %v)", hash)
			}
		})
	}
}

func equalOutcomes(a, b []counter.Outcome) bool {
	return slices.EqualFunc(a, b, func(a, b counter.Outcome) bool {
		return a.Group == b.Group && slices.Equal(a.Counters, b.Counters) && slices.Equal(a.Deleted, b.Deleted) && (a.Deleted == nil) == (b.Deleted == nil)
	})
}

// sameGroups compares two machines' groups by what can be read of them.
func sameGroups(a, b *node) bool {
	list := a.List("", "", 1<<30)
	if !slices.Equal(list, b.List("", "", 1<<30)) {
		return false
	}
	for _, summary := range list {
		x, y := a.Read(summary.Group, nil), b.Read(summary.Group, nil)
		if x.ModRevision != y.ModRevision || !slices.Equal(x.Counters, y.Counters) {
			return false
		}
	}
	return true
}

func TestRevisions(t *testing.T) {
	n := newNode(t, fsm.Config{})
	n.mutate(set("g", by("a", 1), by("b", 2)))
	wantReading(t, n, "g", 1, by("a", 1), by("b", 2))
	n.mutate(set("g", by("a", 1)))
	wantReading(t, n, "g", 2, by("a", 1), by("b", 2))
	n.mutate(remove("g", "missing"))
	wantReading(t, n, "g", 2, by("a", 1), by("b", 2))
	n.mutate(set("other", by("a", 1)))
	wantReading(t, n, "g", 2, by("a", 1), by("b", 2))
	n.mutate(remove("g", "b", "missing"))
	wantReading(t, n, "g", 5, by("a", 1))
	n.mutate(remove("g", "a"))
	wantReading(t, n, "g", 0)
	n.mutate(increase("g", by("b", 1)))
	wantReading(t, n, "g", 7, by("b", 1))
}

func TestReadSomeKeys(t *testing.T) {
	n := newNode(t, fsm.Config{})
	n.mutate(set("g", twentyCounters()...))
	for _, c := range []struct {
		keys []string
		want []counter.Counter
	}{
		{[]string{"kc"}, []counter.Counter{by("kc", 2)}},
		{[]string{"kt"}, []counter.Counter{by("kt", 19)}},
		{[]string{"k"}, nil},
		{[]string{"kd", "missing", "kb", "kd"}, []counter.Counter{by("kb", 1), by("kd", 3)}},
		{nil, twentyCounters()},
	} {
		if got := n.Read("g", c.keys); !slices.Equal(got.Counters, c.want) || got.ModRevision != 1 {
			t.Errorf("Read(g, %q) = %+v, want %v", c.keys, got, c.want)
		}
		if got := n.Read("missing", c.keys); len(got.Counters) != 0 || got.ModRevision != 0 || got.Revision != 1 {
			t.Errorf("Read(missing, %q) = %+v, want nothing at revision 1", c.keys, got)
		}
	}
}

func TestList(t *testing.T) {
	n := newNode(t, fsm.Config{})
	ids := []string{"a", "b/1", "b/2", "b/3", "c", "é", "😀"}
	for _, id := range slices.Backward(ids) {
		n.mutate(set(id, by("x", 1), by("y", 2)))
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 100, ids},
		{"", "", 2, ids[:2]},
		{"", "b/1", 3, ids[2:5]},
		{"b/", "", 100, ids[1:4]},
		{"b/", "b/2", 100, ids[3:4]},
		{"b/", "b/3", 100, nil},
		{"", "", 0, nil},
		{"", "", -1, nil},
		{"", "", math.MaxInt, ids},
	} {
		var got []string
		for _, summary := range n.List(c.prefix, c.after, c.limit) {
			got = append(got, summary.Group)
			if summary.Size != 2 || summary.ModRevision == 0 {
				t.Errorf("List gives %+v, want 2 counters and a modRevision", summary)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("List(%q, %q, %d) = %q, want %q", c.prefix, c.after, c.limit, got, c.want)
		}
	}
}

func TestLogTimeNeverGoesBack(t *testing.T) {
	n := newNode(t, fsm.Config{})
	for _, c := range []struct{ given, want int64 }{{1000, 1000}, {999, 1000}, {-5, 1000}, {1001, 1001}} {
		command := mutation(increase("g", by("a", 1)))
		command.TimeMs = c.given
		n.apply(command)
		if got := n.TimeMs(); got != c.want {
			t.Errorf("after a command of %d log time is %d, want %d", c.given, got, c.want)
		}
	}
}

func TestTermCommand(t *testing.T) {
	n := newNode(t, fsm.Config{})
	if n.AppliedTermCommand() != 0 || n.ClusterID() != "" {
		t.Errorf("a new machine has term %d and cluster %q", n.AppliedTermCommand(), n.ClusterID())
	}
	n.term = 3
	if applied := n.apply(fsm.Command{Type: fsm.TypeTerm, ClusterID: "c1"}); applied.Err != nil || applied.Result.Revision != 1 {
		t.Errorf("applied = %+v", applied)
	}
	n.term = 5
	n.apply(fsm.Command{Type: fsm.TypeTerm, ClusterID: "c2"})
	if n.AppliedTermCommand() != 5 || n.ClusterID() != "c1" {
		t.Errorf("term %d and cluster %q, want 5 and c1", n.AppliedTermCommand(), n.ClusterID())
	}
	long := fsm.Command{Type: fsm.TypeTerm, ClusterID: strings.Repeat("x", fsm.IdentityBytesMax+1)}
	if applied := n.apply(long); !errors.Is(applied.Err, counter.InvalidRequest) {
		t.Errorf("a long cluster ID: %v", applied.Err)
	}
}

func TestMembers(t *testing.T) {
	n := newNode(t, fsm.Config{})
	long := strings.Repeat("x", fsm.IdentityBytesMax+1)
	for _, c := range []struct {
		member fsm.Member
		ok     bool
	}{
		{fsm.Member{ID: "n2", Incarnation: "i2"}, true},
		{fsm.Member{ID: "n1", Incarnation: "i1"}, true},
		{fsm.Member{ID: "n1", Incarnation: "i1"}, true},
		{fsm.Member{ID: "n1", Incarnation: "other"}, false},
		{fsm.Member{ID: "n1"}, false},
		{fsm.Member{ID: "", Incarnation: "i"}, false},
		{fsm.Member{ID: long, Incarnation: "i"}, false},
		{fsm.Member{ID: "n4", Incarnation: long}, false},
		{fsm.Member{ID: "n2", Removed: true}, true},
		{fsm.Member{ID: "n2", Incarnation: "new disk"}, false},
		{fsm.Member{ID: "n2", Incarnation: "new disk", Removed: true}, false},
		{fsm.Member{ID: "n3", Removed: true}, true},
		{fsm.Member{ID: "n3", Incarnation: "i3"}, false},
	} {
		applied := n.apply(fsm.Command{Type: fsm.TypeMember, Member: c.member})
		if ok := applied.Err == nil; ok != c.ok {
			t.Errorf("%+v: %v, want accepted: %t", c.member, applied.Err, c.ok)
		}
		if !c.ok && (!errors.Is(applied.Err, counter.InvalidRequest) || applied.Err.Revision != n.index) {
			t.Errorf("%+v: %+v, want invalid_request at revision %d", c.member, applied.Err, n.index)
		}
	}
	want := []fsm.Member{{ID: "n1", Incarnation: "i1"}, {ID: "n2", Incarnation: "i2", Removed: true}, {ID: "n3", Removed: true}}
	if got := n.Members(); !slices.Equal(got, want) {
		t.Errorf("Members() = %+v, want %+v", got, want)
	}
}

func TestMembersAreBounded(t *testing.T) {
	n := newNode(t, fsm.Config{})
	for i := range fsm.MembersMax {
		if applied := n.apply(fsm.Command{Type: fsm.TypeMember, Member: fsm.Member{ID: "n" + string(rune(0x4e00+i)), Incarnation: "i"}}); applied.Err != nil {
			t.Fatal(applied.Err)
		}
	}
	applied := n.apply(fsm.Command{Type: fsm.TypeMember, Member: fsm.Member{ID: "one more", Incarnation: "i"}})
	if !errors.Is(applied.Err, counter.InvalidRequest) || len(n.Members()) != fsm.MembersMax {
		t.Errorf("one more than %d: %v", fsm.MembersMax, applied.Err)
	}
}

// published records what a machine tells its publisher.
type published struct {
	revisions []uint64
	events    []counter.Event
	restored  []uint64
}

func (p *published) Publish(revision uint64, events []counter.Event) {
	p.revisions = append(p.revisions, revision)
	p.events = append(p.events, events...)
}

func (p *published) Restored(revision uint64) { p.restored = append(p.restored, revision) }

func TestEvents(t *testing.T) {
	var p published
	n := newNode(t, fsm.Config{Publisher: &p})
	n.time = 999
	n.mutate(set("g", by("b", 1), by("a", 2)), increase("g", by("b", 3)), decrease("h", by("c", 4)), remove("g", "missing", "a"))
	n.mutate(increase("g", by("b", math.MaxInt64)))          // refused
	n.apply(fsm.Command{Type: fsm.TypeTerm, ClusterID: "c"}) // no mutation
	n.mutate(remove("missing"))
	n.mutate(set("g", by("b", 4)))
	n.mutate(remove("g"))
	event := func(revision uint64, kind counter.Kind, group, key string, value, delta int64) counter.Event {
		return counter.Event{Revision: revision, Kind: kind, Group: group, Key: key, Value: value, Delta: delta, User: "ada", TimeMs: 999 + int64(revision)}
	}
	want := []counter.Event{
		event(1, counter.Set, "g", "b", 1, 0), event(1, counter.Set, "g", "a", 2, 0),
		event(1, counter.Increase, "g", "b", 4, 3), event(1, counter.Decrease, "h", "c", -4, 4),
		event(1, counter.Delete, "g", "a", 0, 0),
		event(5, counter.Set, "g", "b", 4, 0),
		event(6, counter.Delete, "g", "b", 0, 0),
	}
	if !slices.Equal(p.events, want) {
		t.Errorf("events = %+v\nwant %+v", p.events, want)
	}
	if want := []uint64{1, 4, 5, 6}; !slices.Equal(p.revisions, want) {
		t.Errorf("published revisions %d, want %d", p.revisions, want)
	}
}

func TestBatchOfEntries(t *testing.T) {
	n := newNode(t, fsm.Config{})
	first := n.entry(mutation(increase("g", by("a", 1))))
	n.index++
	configuration := &raft.Log{Index: n.index, Term: 1, Type: raft.LogConfiguration}
	n.index++ // a no-op, which Raft keeps to itself
	second := n.entry(mutation(increase("g", by("a", 1))))
	responses := n.ApplyBatch([]*raft.Log{first, configuration, second})
	if len(responses) != 3 || responses[1] != nil || responses[2].(*fsm.Applied).Result.Revision != 4 {
		t.Errorf("responses = %v", responses)
	}
	wantReading(t, n, "g", 4, by("a", 2))
	n.index++
	n.ApplyBatch([]*raft.Log{{Index: n.index, Term: 1, Type: raft.LogConfiguration}})
	if n.AppliedIndex() != 5 {
		t.Errorf("applied index %d after the configuration at 5", n.AppliedIndex())
	}
}

func TestWhatCannotBeAppliedStopsTheMachine(t *testing.T) {
	good := mutation(increase("g", by("a", 1)))
	unknownVersion := sealed(good.Append(nil), 0, 77)
	unknownType := sealed(good.Append(nil), 1, 77)
	for _, c := range []struct {
		name  string
		entry raft.Log
		want  error
		text  string
	}{
		{"garbage", raft.Log{Index: 2, Data: []byte("garbage")}, fsm.ErrCorrupt, "log entry 2"},
		{"version", raft.Log{Index: 2, Data: unknownVersion}, fsm.ErrUnknownVersion, "version 77"},
		{"type", raft.Log{Index: 2, Data: unknownType}, fsm.ErrUnknownType, "77"},
		{"index again", raft.Log{Index: 1, Data: good.Append(nil)}, nil, "log entry 1"},
		{"configuration again", raft.Log{Index: 1, Type: raft.LogConfiguration}, nil, "log entry 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fatal []error
			n := newNode(t, fsm.Config{Fatal: func(err error) { fatal = append(fatal, err) }})
			n.mutate(increase("g", by("a", 1)))
			answers := n.ApplyBatch([]*raft.Log{&c.entry, {Index: 3, Term: 1, Data: good.Append(nil)}})
			for _, answer := range answers {
				if err := answer.(*fsm.Applied).Err; err == nil || err.Definite() {
					t.Errorf("answer = %v, want an indefinite error", err)
				}
			}
			if len(fatal) != 1 || !strings.Contains(fatal[0].Error(), c.text) || c.want != nil && !errors.Is(fatal[0], c.want) {
				t.Errorf("fatal = %v, want one %v with %q", fatal, c.want, c.text)
			}
			wantReading(t, n, "g", 1, by("a", 1))
			if _, err := n.Snapshot(); err == nil {
				t.Error("a stopped machine gives a snapshot")
			}
			if err := n.Restore(io.NopCloser(bytes.NewReader(persist(t, before(t).Machine)))); err == nil {
				t.Error("a stopped machine takes a snapshot")
			}
		})
	}
}

func TestWaitApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, fsm.Config{})
		n.mutate(increase("g", by("a", 1)))
		if err := n.WaitApplied(t.Context(), 1); err != nil {
			t.Errorf("waiting for what is applied: %v", err)
		}
		done := make(chan uint64, 10)
		wait := func(ctx context.Context, index uint64) {
			go func() {
				if n.WaitApplied(ctx, index) == nil {
					done <- index
				} else {
					done <- 0
				}
			}()
		}
		impatient, cancel := context.WithCancelCause(t.Context())
		wait(impatient, 3)
		for _, index := range []uint64{4, 2, 3, 3} {
			wait(t.Context(), index)
		}
		synctest.Wait()
		cancel(io.ErrUnexpectedEOF)
		wantDone(t, done, 0)
		n.mutate(increase("g", by("a", 1)))
		wantDone(t, done, 2)
		n.mutate(increase("g", by("a", 1)))
		wantDone(t, done, 3, 3)
		ahead := before(t)
		ahead.mutate(increase("g", by("a", 1)))
		ahead.mutate(increase("g", by("a", 1)))
		if err := n.Restore(io.NopCloser(bytes.NewReader(persist(t, ahead.Machine)))); err != nil {
			t.Fatal(err)
		}
		wantDone(t, done, 4)
		if err := n.WaitApplied(impatient, 100); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a cancelled wait ends with %v, want the cause", err)
		}
	})
}

// wantDone waits until nothing moves and checks who is done.
func wantDone(t *testing.T, done chan uint64, want ...uint64) {
	t.Helper()
	synctest.Wait()
	var got []uint64
	for len(done) > 0 {
		got = append(got, <-done)
	}
	if !slices.Equal(got, want) {
		t.Errorf("done waiting: %d, want %d", got, want)
	}
}

func TestCheckpoints(t *testing.T) {
	n := newNode(t, fsm.Config{})
	hashes := map[uint64]string{}
	for range 3500 {
		n.mutate(increase("g", by("a", 1)))
		hashes[n.index] = n.StateHash().Hash
	}
	wantCheckpoints := func(indexes ...uint64) {
		t.Helper()
		var got []uint64
		for _, h := range n.Checkpoints() {
			got = append(got, h.Index)
			if h.Hash != hashes[h.Index] {
				t.Errorf("hash at %d = %s, want %s", h.Index, h.Hash, hashes[h.Index])
			}
		}
		if !slices.Equal(got, indexes) {
			t.Errorf("checkpoints at %d, want %d", got, indexes)
		}
	}
	wantCheckpoints(1000, 2000, 3000)
	// Entries 3501 to 5000 are Raft's own.
	hashes[4000], hashes[5000] = hashes[3500], hashes[3500]
	n.index = 5000
	n.mutate(increase("g", by("a", 1)))
	wantCheckpoints(1000, 2000, 3000, 4000, 5000)
	for _, c := range []struct {
		index uint64
		known bool
	}{{0, false}, {999, false}, {1000, true}, {5000, true}, {5001, true}, {6000, false}} {
		hash, known := n.StateHashAt(c.index)
		if known != c.known || known && hash != hashes[c.index] && hash != n.StateHash().Hash {
			t.Errorf("StateHashAt(%d) = %s, %t", c.index, hash, known)
		}
	}
	// A recovered cluster goes on 2^32 above.
	n.index += 1 << 32
	n.mutate(increase("g", by("a", 1)))
	if got := n.Checkpoints(); len(got) != fsm.CheckpointsMax || got[len(got)-1].Index != n.index/1000*1000 {
		t.Errorf("%d checkpoints, the last at %d", len(got), got[len(got)-1].Index)
	}
	if err := n.Restore(io.NopCloser(bytes.NewReader(persist(t, n.Machine)))); err != nil {
		t.Fatal(err)
	}
	if got := n.Checkpoints(); len(got) != 0 {
		t.Errorf("%d checkpoints after a restore", len(got))
	}
	// The multiple before the restored index is not known, and not made up.
	n.mutate(increase("g", by("a", 1)))
	if got := n.Checkpoints(); len(got) != 0 {
		t.Errorf("checkpoints %v just after a restore", got)
	}
}

func TestMetricsOfSeveralMachines(t *testing.T) {
	for range 2 {
		registry := prometheus.NewRegistry()
		n := newNode(t, fsm.Config{Registerer: registry})
		n.mutate(increase("g", by("a", 1)))
		n.mutate(increase("h", by("a", 1)))
		n.mutate(increase("h", by("a", math.MaxInt64)))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, family := range families {
			metric := family.GetMetric()[0]
			got[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
		for name, want := range map[string]float64{
			"tally_fsm_applied_index": 3, "tally_fsm_groups": 2, "tally_fsm_refusals_total": 1, "tally_fsm_entries_total": 3,
		} {
			if got[name] != want {
				t.Errorf("%s = %v, want %v", name, got[name], want)
			}
		}
	}
}
