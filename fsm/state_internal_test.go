package fsm

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"tally/counter"
)

// recomputedHash is the state hash from nothing but the content.
func recomputedHash(s *state) uint64 {
	fresh := state{header: s.header, idempotency: &idempotency{mark: s.idempotency.mark}}
	fresh.setMembers(s.members)
	requests := s.idempotency.entries.freeze()
	defer s.idempotency.entries.thaw(requests)
	for record := range requests.all {
		fresh.idempotency.hash += entryHash(record)
	}
	for i := range s.groups.shards {
		for id, g := range s.groups.shards[i].groups {
			fresh.groupsHash += groupHash(nameOf(id), g)
		}
	}
	return fresh.hash()
}

// written returns the snapshot of s.
func written(t testing.TB, s *state) []byte {
	view := s.freeze()
	defer s.thaw(view)
	var data bytes.Buffer
	if err := (&snapshot{view: view}).write(&data); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

// checkInvariants checks what the state keeps up besides the groups themselves.
func checkInvariants(t testing.TB, s *state) {
	t.Helper()
	if got, want := s.hash(), recomputedHash(s); got != want {
		t.Errorf("the state hash is %x, recomputed %x", got, want)
	}
	count, references := 0, map[*shape]int{}
	for i := range s.groups.shards {
		for id, g := range s.groups.shards[i].groups {
			if nameOf(id).shard() != i {
				t.Errorf("group %q is in shard %d", id, i)
			}
			count++
			references[g.shape]++
		}
	}
	if s.groups.count != count {
		t.Errorf("%d groups are counted where there are %d", s.groups.count, count)
	}
	if len(s.shapes.byKeys) != len(references) {
		t.Errorf("%d shapes are kept where groups have %d", len(s.shapes.byKeys), len(references))
	}
	checkIdempotency(t, s.idempotency)
	for shape, count := range references {
		if shape.references != count || s.shapes.byKeys[shape.keys] != shape {
			t.Errorf("shape %q has %d references where %d groups have it", shape.keys, shape.references, count)
		}
	}
}

// checkIdempotency checks what the table keeps up besides the entries.
func checkIdempotency(t testing.TB, table *idempotency) {
	t.Helper()
	checkPages(t, &table.entries)
	bare, resultBytes := 0, 0
	view := table.entries.freeze()
	defer table.entries.thaw(view)
	for record := range view.all {
		e := parseEntry(record)
		resultBytes += len(e.result)
		if e.bare {
			bare++
			if timeMs, found := table.bare.of(e.key); !found || timeMs != e.timeMs {
				t.Errorf("bare key %x of %d is noted for %d, %v", e.key, e.timeMs, timeMs, found)
			}
		}
	}
	if resultBytes != table.resultBytes || bare != table.bare.count() {
		t.Errorf("%d bytes and %d bare keys are kept where entries have %d and %d", table.resultBytes, table.bare.count(), resultBytes, bare)
	}
}

// randomKey is a UUIDv7 of about the given time, or a bare key.
func randomKey(r *rand.Rand, timeMs int64) string {
	if r.IntN(3) == 0 {
		return fmt.Sprint("key ", r.IntN(1000))
	}
	return uuidv7(max(0, timeMs+r.Int64N(120_000)-60_000), r.Uint64())
}

// uuidv7 spells a UUIDv7 of a time and of 62 other bits.
func uuidv7(timeMs int64, random uint64) string {
	return fmt.Sprintf("%08x-%04x-7000-%04x-%012x", timeMs>>16, timeMs&0xffff, 0x8000|random>>48&0x3fff, random&(1<<48-1))
}

// randomMutation is over few groups and keys, so that they meet.
func randomMutation(r *rand.Rand, index uint64) Command {
	c := Command{Type: TypeMutation, TimeMs: 1<<40 + int64(index)*1000 + r.Int64N(100_000), Mutation: counter.Mutation{Batch: true}}
	if r.IntN(2) == 0 {
		c.Mutation.IdempotencyKey = randomKey(r, c.TimeMs)
	}
	for range 1 + r.IntN(6) {
		o := counter.Operation{Kind: counter.Kind(1 + r.IntN(4)), Group: fmt.Sprint("g", r.IntN(20))}
		switch {
		case o.Kind == counter.Delete && r.IntN(3) == 0:
			o.All = true
		case o.Kind == counter.Delete:
			o.Keys = []string{fmt.Sprint("k", r.IntN(30))}
		default:
			o.Counters = []counter.Counter{{Key: fmt.Sprint("k", r.IntN(30)), Value: int64(r.Uint64()) >> r.IntN(64)}}
		}
		c.Mutation.Operations = append(c.Mutation.Operations, o)
	}
	return c
}

func TestHashAndShapesAreKeptUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := newState(productLimits())
	refused := 0
	var views []*view
	for index := range uint64(5000) {
		s.advance(index+1, 1)
		c := randomMutation(r, index)
		if index%50 == 0 {
			c = Command{Type: TypeMember, Member: Member{ID: fmt.Sprint("n", r.IntN(5)), Incarnation: fmt.Sprint("i", r.IntN(2)), Removed: r.IntN(2) == 0}}
		}
		if s.apply(&c, nil).Err != nil {
			refused++
		}
		switch r.IntN(20) {
		case 0:
			views = append(views, s.groups.freeze())
		case 1:
			if len(views) > 0 {
				at := r.IntN(len(views))
				s.groups.thaw(views[at])
				views = append(views[:at], views[at+1:]...)
			}
		}
		if index%100 == 0 {
			checkInvariants(t, s)
		}
	}
	checkInvariants(t, s)
	restored, err := readState(bytes.NewReader(written(t, s)), productLimits())
	if err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, restored)
	remembered := s.idempotency.entries.count
	if refused == 0 || refused == 5000 || remembered < 100 || s.idempotency.mark == 0 {
		t.Errorf("%d mutations were refused, %d are remembered, up to %d they are forgotten: the test does not test", refused, remembered, s.idempotency.mark)
	}
}

// TestHashFollowsContent reaches one state on two ways, and changes one thing
// of it after the other.
func TestHashFollowsContent(t *testing.T) {
	build := func(commands ...Command) *state {
		s := newState(productLimits())
		for i, c := range commands {
			s.advance(uint64(i+1), 1)
			if applied := s.apply(&c, nil); applied.Err != nil {
				t.Fatal(applied.Err)
			}
		}
		return s
	}
	one := func(kind counter.Kind, group, key string, value int64) Command {
		return Command{Type: TypeMutation, Mutation: counter.Mutation{Operations: []counter.Operation{
			{Kind: kind, Group: group, Counters: []counter.Counter{{Key: key, Value: value}}}}}}
	}
	under := func(key string, c Command) Command {
		c.Mutation.IdempotencyKey = key
		return c
	}
	erase := Command{Type: TypeMutation, Mutation: counter.Mutation{Operations: []counter.Operation{{Kind: counter.Delete, Group: "h", All: true}}}}
	want := build(one(counter.Set, "x", "x", 1), one(counter.Set, "g", "a", 7), erase, erase).hash()
	for name, c := range map[string]struct {
		same     bool
		commands []Command
	}{
		"another way":          {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "g", "a", 7), one(counter.Set, "h", "a", 7)}},
		"and back":             {true, []Command{one(counter.Set, "x", "x", 1), one(counter.Increase, "g", "a", 7), one(counter.Set, "h", "b", 1), erase}},
		"another value":        {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "g", "a", 8)}},
		"another key":          {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "g", "b", 7)}},
		"another group":        {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "f", "a", 7)}},
		"another revision":     {false, []Command{one(counter.Set, "g", "a", 7), one(counter.Set, "x", "x", 1)}},
		"another time":         {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "g", "a", 7), {Type: TypeTerm, TimeMs: 1}}},
		"a term":               {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "g", "a", 7), {Type: TypeTerm}}},
		"a cluster ID":         {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "g", "a", 7), {Type: TypeTerm, ClusterID: "c"}}},
		"a member":             {false, []Command{one(counter.Set, "x", "x", 1), one(counter.Set, "g", "a", 7), {Type: TypeMember, Member: Member{ID: "n", Incarnation: "i"}}}},
		"a request":            {false, []Command{one(counter.Set, "x", "x", 1), under("k", one(counter.Set, "g", "a", 7))}},
		"values of two groups": {false, []Command{one(counter.Set, "x", "x", 7), one(counter.Set, "g", "a", 1)}},
	} {
		if got := build(c.commands...).hash(); (got == want) != c.same {
			t.Errorf("%s: hash equal: %t, want %t", name, got == want, c.same)
		}
	}
}

// TestFrozenShardsAreCopiedOnce counts what a view costs the writers.
func TestFrozenShardsAreCopiedOnce(t *testing.T) {
	s := newState(productLimits())
	write := func() {
		s.advance(s.appliedIndex+1, 1)
		s.apply(&Command{Type: TypeMutation, Mutation: counter.Mutation{Operations: []counter.Operation{
			{Kind: counter.Increase, Group: "g", Counters: []counter.Counter{{Key: "a", Value: 1}}}}}}, nil)
	}
	epoch := func() uint64 { return s.groups.shards[nameOf("g").shard()].epoch }
	write()
	first := epoch()
	view := s.groups.freeze()
	write()
	second := epoch()
	write()
	if first == second || second != epoch() {
		t.Errorf("the map was made in epochs %d, %d, %d, want one copy", first, second, epoch())
	}
	s.groups.thaw(view)
	unused := s.groups.freeze()
	s.groups.thaw(unused)
	write()
	if epoch() != second {
		t.Error("a map that no view holds any more was copied")
	}
}

// FuzzSnapshotContent takes anything as the content of the sections. What is
// accepted is a sound state, with a snapshot of its own.
func FuzzSnapshotContent(f *testing.F) {
	s := newState(productLimits())
	r := rand.New(rand.NewPCG(3, 4))
	for index := range uint64(40) {
		s.advance(index+1, 1)
		c := randomMutation(r, index)
		s.apply(&c, nil)
	}
	s.setMembers(members{{ID: "n1", Incarnation: "i1"}, {ID: "n2", Removed: true}})
	view := s.freeze()
	var groups, requests []byte
	lists := map[*shape]uint64{}
	for _, shard := range view.groups.groups {
		for _, id := range slices.Sorted(maps.Keys(shard)) {
			groups = appendGroup(groups, id, shard[id], lists)
		}
	}
	for record := range view.requests.all {
		requests = appendRecord(requests, record)
	}
	f.Add(string(view.appendMeta(nil)), string(appendMembers(nil, s.members)), string(groups), string(requests))
	f.Fuzz(func(t *testing.T, meta, members, groups, requests string) {
		l := loader{state: newState(productLimits())}
		for _, part := range []struct {
			kind    sectionKind
			content string
			take    func(*reader)
		}{{sectionMeta, meta, l.meta}, {sectionMembers, members, l.members}, {sectionGroups, groups, l.groups}, {sectionRequests, requests, l.requests}} {
			if err := l.read(part.kind, part.content, part.take); err != nil {
				return
			}
		}
		checkInvariants(t, l.state)
		data := written(t, l.state)
		again, err := readState(bytes.NewReader(data), productLimits())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(written(t, again), data) {
			t.Fatal("the snapshot of a restored state differs from the one it came from")
		}
	})
}

// FuzzRestore takes anything as a snapshot.
func FuzzRestore(f *testing.F) {
	f.Add(written(f, newState(productLimits())))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readState(bytes.NewReader(data), productLimits())
		if err == nil && !bytes.Equal(written(t, s), data) {
			t.Fatal("an accepted snapshot differs from the one that its state has")
		}
	})
}
