package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"tally/counter"
	"tally/fsm"
)

// model is what the state machine should be, written without a thought for
// speed or memory: values are big.Int, and a mutation works on a copy of everything.
type model struct {
	revision uint64
	groups   map[string]modelGroup
}

type modelGroup struct {
	modRevision uint64
	counters    map[string]*big.Int
}

func (m *model) copy() map[string]modelGroup {
	groups := map[string]modelGroup{}
	for id, g := range m.groups {
		groups[id] = modelGroup{g.modRevision, maps.Clone(g.counters)}
	}
	return groups
}

// apply returns the outcomes, or the code of the refusal and the operation that refuses.
func (m *model) apply(mutation counter.Mutation) (outcomes []counter.Outcome, code counter.Code, operation int) {
	m.revision++
	groups := m.copy()
	for i, o := range mutation.Operations {
		outcome, code := m.operate(groups, o)
		if code != "" {
			return nil, code, i
		}
		outcomes = append(outcomes, outcome)
	}
	m.groups = groups
	return outcomes, "", 0
}

func (m *model) operate(groups map[string]modelGroup, o counter.Operation) (counter.Outcome, counter.Code) {
	g, known := groups[o.Group]
	if !known {
		g.counters = map[string]*big.Int{}
	}
	outcome := counter.Outcome{Group: o.Group}
	if o.Condition.Checked && o.Condition.ModRevision != g.modRevision {
		return outcome, counter.RevisionMismatch
	}
	if o.Kind == counter.Delete {
		outcome.Deleted = []string{}
		keys := o.Keys
		if o.All {
			keys = slices.Sorted(maps.Keys(g.counters))
		}
		for _, key := range keys {
			if g.counters[key] != nil {
				delete(g.counters, key)
				outcome.Deleted = append(outcome.Deleted, key)
			}
		}
	}
	for _, c := range o.Counters {
		value, old := big.NewInt(c.Value), g.counters[c.Key]
		if old == nil {
			old = big.NewInt(0)
		}
		switch o.Kind {
		case counter.Increase:
			value.Add(old, value)
		case counter.Decrease:
			value.Sub(old, value)
		}
		if !value.IsInt64() {
			return outcome, counter.OutOfRange
		}
		g.counters[c.Key] = value
		if len(g.counters) > counter.GroupCountersMax {
			return outcome, counter.TooManyCounters
		}
		outcome.Counters = append(outcome.Counters, by(c.Key, value.Int64()))
	}
	if len(outcome.Counters)+len(outcome.Deleted) > 0 {
		g.modRevision = m.revision
	}
	groups[o.Group] = g
	if len(g.counters) == 0 {
		delete(groups, o.Group)
	}
	return outcome, ""
}

// reading is what the machine should read of a group.
func (m *model) reading(group string) counter.Reading {
	g := m.groups[group]
	r := counter.Reading{Group: group, Revision: m.revision, ModRevision: g.modRevision}
	for _, key := range slices.Sorted(maps.Keys(g.counters)) {
		r.Counters = append(r.Counters, by(key, g.counters[key].Int64()))
	}
	return r
}

// Generators. There are few groups and just more keys than a group can hold, and
// values crowd at both ends of int64 and round 0.
var (
	groupIDs = rapid.SampledFrom([]string{"a", "b", "c"})
	keys     = rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("k", rapid.IntRange(0, 22).Draw(t, "key")) })
	values   = rapid.Custom(func(t *rapid.T) int64 {
		near := rapid.SampledFrom([]int64{0, 0, 0, 0, math.MaxInt64, math.MinInt64, math.MaxInt64 / 2, math.MinInt64 / 2}).Draw(t, "near")
		return near + int64(rapid.IntRange(-3, 3).Draw(t, "off")) // may wrap round to the other end, which is as good
	})
)

// operations generates one operation; revision is that of the entry before.
func operations(revision uint64) *rapid.Generator[counter.Operation] {
	return rapid.Custom(func(t *rapid.T) counter.Operation {
		o := counter.Operation{Kind: counter.Kind(rapid.IntRange(1, 4).Draw(t, "kind")), Group: groupIDs.Draw(t, "group")}
		o.Condition.Checked = rapid.IntRange(0, 4).Draw(t, "checked") == 0
		if o.Condition.Checked {
			o.Condition.ModRevision = rapid.SampledFrom([]uint64{0, revision, revision + 1, max(revision, 1) - 1}).Draw(t, "modRevision")
		}
		switch {
		case o.Kind != counter.Delete:
			for _, key := range rapid.SliceOfNDistinct(keys, 1, 12, rapid.ID[string]).Draw(t, "keys") {
				o.Counters = append(o.Counters, by(key, values.Draw(t, "value")))
			}
		case rapid.Bool().Draw(t, "all"):
			o.All = true
		default:
			o.Keys = rapid.SliceOfNDistinct(keys, 1, 4, rapid.ID[string]).Draw(t, "keys")
		}
		return o
	})
}

func mutations(revision uint64) *rapid.Generator[counter.Mutation] {
	return rapid.Custom(func(t *rapid.T) counter.Mutation {
		list := rapid.SliceOfN(operations(revision), 1, 5).Draw(t, "operations")
		return counter.Mutation{Operations: list, Batch: len(list) > 1}
	})
}

// TestAgainstTheModel applies random mutations to a machine and to the model and
// compares every answer and every reading.
func TestAgainstTheModel(t *testing.T) {
	applied := map[counter.Code]int{}
	rapid.Check(t, func(rt *rapid.T) {
		n := newNode(t, fsm.Config{})
		var m model
		for range rapid.IntRange(1, 40).Draw(rt, "length") {
			mutation := mutations(m.revision).Draw(rt, "mutation")
			got := n.apply(fsm.Command{Type: fsm.TypeMutation, Mutation: mutation})
			outcomes, code, operation := m.apply(mutation)
			applied[code]++
			switch {
			case code != "" && (got.Err == nil || !errors.Is(got.Err, code) || mutation.Batch && *got.Err.Operation != operation):
				rt.Fatalf("applied = %+v, want %s of operation %d", got, code, operation)
			case code == "" && (got.Err != nil || !equalOutcomes(got.Result.Outcomes, outcomes)):
				rt.Fatalf("applied = %+v, %v, want %+v", got.Result, got.Err, outcomes)
			}
			compareReadings(rt, n, &m)
		}
	})
	for _, code := range []counter.Code{"", counter.OutOfRange, counter.TooManyCounters, counter.RevisionMismatch} {
		if applied[code] == 0 {
			t.Errorf("no mutation ended with %q: the test does not test", code)
		}
	}
}

func compareReadings(t *rapid.T, n *node, m *model) {
	for _, group := range []string{"a", "b", "c"} {
		want := m.reading(group)
		if got := n.Read(group, nil); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("Read(%s) = %+v, want %+v", group, got, want)
		}
		for _, c := range want.Counters {
			if got := n.Read(group, []string{c.Key}); len(got.Counters) != 1 || got.Counters[0] != c {
				t.Fatalf("Read(%s, %s) = %+v, want %v", group, c.Key, got, c)
			}
		}
	}
	if got := n.List("", "", 10); len(got) != len(m.groups) {
		t.Fatalf("List = %+v, want %d groups", got, len(m.groups))
	}
}

// TestReplicasAgree gives one log to three machines: entry by entry; in random
// batches; and with a snapshot in the middle, taken from the first machine. All
// must answer alike and end alike, to the byte of their snapshots.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		source := newNode(t, fsm.Config{})
		log := randomLog(rt, source)
		one, batches, late := newNode(t, fsm.Config{}), newNode(t, fsm.Config{}), newNode(t, fsm.Config{})
		cut := rapid.IntRange(0, len(log)).Draw(rt, "cut")

		var answers, batchAnswers []any
		for i, entry := range log {
			if i == cut {
				restoreFrom(t, late, one)
			}
			answers = append(answers, one.Apply(entry))
		}
		if cut == len(log) {
			restoreFrom(t, late, one)
		}
		for rest := log; len(rest) > 0; {
			length := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			batchAnswers = append(batchAnswers, batches.ApplyBatch(rest[:length])...)
			rest = rest[length:]
		}
		late.ApplyBatch(log[cut:])

		if got, want := answersText(batchAnswers), answersText(answers); got != want {
			rt.Fatalf("in batches: %s\none by one: %s", got, want)
		}
		want := summary(one.Machine)
		for name, other := range map[string]*node{"in batches": batches, "from a snapshot": late} {
			if got := summary(other.Machine); got != want {
				rt.Fatalf("%s:\n%s\none by one:\n%s", name, got, want)
			}
			if !bytes.Equal(persist(t, other.Machine), persist(t, one.Machine)) {
				rt.Fatalf("%s: the snapshot differs", name)
			}
		}
	})
}

// randomLog has every type of command, configurations, and gaps where Raft's own entries are.
func randomLog(rt *rapid.T, source *node) []*raft.Log {
	var log []*raft.Log
	for range rapid.IntRange(1, 60).Draw(rt, "length") {
		source.index += rapid.Uint64Range(0, 2).Draw(rt, "gap")
		source.term += rapid.Uint64Range(0, 1).Draw(rt, "term")
		c := fsm.Command{TimeMs: rapid.Int64Range(1, 1000).Draw(rt, "time")}
		switch rapid.IntRange(0, 9).Draw(rt, "type") {
		case 0:
			c.Type, c.ClusterID = fsm.TypeTerm, rapid.SampledFrom([]string{"", "c1", "c2"}).Draw(rt, "cluster ID")
		case 1:
			ids := rapid.SampledFrom([]string{"n1", "n2", "n3"})
			c.Type, c.Member = fsm.TypeMember, fsm.Member{ID: ids.Draw(rt, "ID"), Incarnation: ids.Draw(rt, "incarnation"), Removed: rapid.Bool().Draw(rt, "removed")}
		case 2:
			source.index++
			log = append(log, &raft.Log{Index: source.index, Term: source.term, Type: raft.LogConfiguration})
			continue
		default:
			c.Type, c.Mutation = fsm.TypeMutation, mutations(source.index).Draw(rt, "mutation")
		}
		log = append(log, source.entry(c))
	}
	return log
}

func restoreFrom(t *testing.T, late, from *node) {
	t.Helper()
	if err := restore(late.Machine, persist(t, from.Machine)); err != nil {
		t.Fatal(err)
	}
}

// answersText spells answers out, refusals included.
func answersText(answers []any) string {
	var text bytes.Buffer
	for _, answer := range answers {
		if applied, ok := answer.(*fsm.Applied); !ok {
			fmt.Fprintln(&text, answer)
		} else if applied.Err != nil {
			fmt.Fprintln(&text, applied.Err, applied.Err.Revision)
		} else {
			fmt.Fprintln(&text, applied.Result)
		}
	}
	return text.String()
}
