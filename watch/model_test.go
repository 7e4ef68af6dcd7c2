package watch_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"tally/counter"
	"tally/watch"
)

// TestHubAgainstNaiveList lets a random committed log reach two nodes at
// different times, with small rings that overflow by events or by bytes,
// snapshots and restarts in the middle, while watchers with any choice of groups
// and keys read when they like, leave, and go on at the other node. What each
// group of each watcher is given must be exactly what the log says, or a reset
// that equals the state at its revision and then exactly what the log says; and
// a reset must come if, and only if, something was missed otherwise.
//
// It takes 20 times as many tests as -rapid.checks says, because they are short.
func TestHubAgainstNaiveList(t *testing.T) {
	for range 20 {
		rapid.Check(t, againstNaiveList)
	}
}

func againstNaiveList(t *rapid.T) {
	m := &model{}
	for i := range 2 {
		n := &modelNode{
			log:       &m.log,
			eventsMax: rapid.SampledFrom([]int{3, 10, 40, 1000}).Draw(t, fmt.Sprintf("events max of node %d", i)),
			bytesMax:  rapid.SampledFrom([]int{2_000, 8_000, 1 << 20}).Draw(t, fmt.Sprintf("bytes max of node %d", i)),
			batchMax:  rapid.SampledFrom([]int{1, 5, 1000}).Draw(t, fmt.Sprintf("batch max of node %d", i)),
		}
		n.open()
		defer func() { n.hub.Close() }()
		m.nodes = append(m.nodes, n)
	}
	t.Repeat(map[string]func(*rapid.T){
		"mutation": m.mutation,
		"other":    func(*rapid.T) { m.log.other() },
		"apply":    m.apply,
		"apply2":   m.apply, // more often than the rest
		"publish":  m.publish,
		"snapshot": m.snapshot,
		"restart":  m.restart,
		"watch":    m.watch,
		"poll":     m.poll,
		"poll2":    m.poll,
		"move":     m.move,
		"leave":    m.leave,
	})
	for _, w := range slices.Clone(m.watchers) {
		m.close(w)
	}
	for i, n := range m.nodes {
		n.publishUpTo(t, n.applied)
		all := &modelWatcher{node: n}
		all.open(t, []watch.Selection{now("a")}) // so that everything is indexed
		all.cursor.Close()
		if watchers := metric(t, n.registry, "tally_watch_watchers"); watchers != 0 {
			t.Fatalf("node %d has %d watchers after all have left", i, watchers)
		}
		if got, want := metric(t, n.registry, "tally_watch_groups"), n.groupsInRing(); got != want {
			t.Fatalf("node %d keeps %d groups, its ring has events of %d", i, got, want)
		}
	}
}

var (
	modelGroups = []string{"a", "b", "c", "d"}
	modelKeys   = []string{"x", "y", "z"}
)

type model struct {
	log      history
	nodes    []*modelNode
	watchers []*modelWatcher
}

// modelNode is a node as seen by its hub: its state is the log up to applied, of
// which the hub was told up to published.
type modelNode struct {
	log                           *history
	eventsMax, bytesMax, batchMax int

	hub      *watch.Hub
	registry *prometheus.Registry

	applied, told uint64
	published     uint64 // the newest mutation or snapshot that the hub was told of
	ring          []entry
	floor         uint64
	restored      uint64
	dropped       map[string]uint64 // by group, the newest revision dropped
}

func (n *modelNode) open() {
	n.registry = prometheus.NewRegistry()
	n.hub = watch.Open(watch.Config{
		EventsMax: n.eventsMax, BytesMax: n.bytesMax, BatchEventsMax: n.batchMax,
		State: func(group string, keys []string) counter.Reading {
			return n.log.reading(group, keys, n.applied)
		},
		Encode:     encode,
		Registerer: n.registry,
	})
	n.applied, n.told, n.published, n.floor, n.restored = 0, 0, 0, 0, 0
	n.ring, n.dropped = nil, map[string]uint64{}
}

// publishUpTo tells the hub of everything up to revision and lets the naive ring
// drop as many revisions as the hub says that it did.
func (n *modelNode) publishUpTo(t *rapid.T, revision uint64) {
	for n.told < revision {
		e := (*n.log)[n.told]
		n.told++
		if !e.mutation {
			continue
		}
		n.hub.Publish(e.revision, slices.Clone(e.events))
		n.published = e.revision
		if len(e.events) > 0 {
			n.ring = append(n.ring, e)
		}
		n.drop(t)
	}
}

func (n *modelNode) drop(t *rapid.T) {
	kept, bytes := metric(t, n.registry, "tally_watch_ring_events"), metric(t, n.registry, "tally_watch_ring_bytes")
	if kept > n.eventsMax || bytes > n.bytesMax {
		t.Fatalf("the ring has %d events and %d bytes, limits %d and %d", kept, bytes, n.eventsMax, n.bytesMax)
	}
	for n.events() > kept {
		oldest := n.ring[0]
		if n.events() <= n.eventsMax && n.bytesMax == 1<<20 {
			t.Fatalf("the ring dropped revision %d although it had room", oldest.revision)
		}
		n.ring, n.floor = n.ring[1:], oldest.revision
		for _, e := range oldest.events {
			n.dropped[e.Group] = oldest.revision
		}
	}
	if n.events() != kept {
		t.Fatalf("the ring has %d events, which is no number of whole revisions", kept)
	}
}

func (n *modelNode) events() (sum int) {
	for _, e := range n.ring {
		sum += len(e.events)
	}
	return sum
}

func (n *modelNode) groupsInRing() int {
	groups := map[string]bool{}
	for _, entry := range n.ring {
		for _, e := range entry.events {
			groups[e.Group] = true
		}
	}
	return len(groups)
}

// restore replaces the state by that at revision.
func (n *modelNode) restore(revision uint64) {
	n.applied, n.told, n.published = revision, revision, revision
	n.floor, n.restored, n.ring = revision, revision, nil
	n.hub.Restored(revision)
}

func (m *model) node(t *rapid.T) *modelNode { return m.nodes[rapid.IntRange(0, 1).Draw(t, "node")] }

func (m *model) watcher(t *rapid.T) *modelWatcher {
	if len(m.watchers) == 0 {
		t.Skip("nobody watches")
	}
	return rapid.SampledFrom(m.watchers).Draw(t, "watcher")
}

func (m *model) mutation(t *rapid.T) {
	events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) counter.Event {
		return counter.Event{
			Kind:  rapid.SampledFrom([]counter.Kind{counter.Set, counter.Increase, counter.Delete}).Draw(t, "kind"),
			Group: rapid.SampledFrom(modelGroups).Draw(t, "group"),
			Key:   rapid.SampledFrom(modelKeys).Draw(t, "key"),
			Value: rapid.Int64Range(-9, 9).Draw(t, "value"),
			User:  rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "user"),
		}
	}), 0, 5).Draw(t, "events")
	m.log.mutation(events...)
}

// apply brings a node some way on; its hub may learn of it only later.
func (m *model) apply(t *rapid.T) {
	n := m.node(t)
	n.applied += rapid.Uint64Range(0, min(3, m.log.last()-n.applied)).Draw(t, "entries")
	if rapid.IntRange(0, 3).Draw(t, "lag") > 0 {
		n.publishUpTo(t, n.applied)
	}
}

func (m *model) publish(t *rapid.T) {
	n := m.node(t)
	n.publishUpTo(t, rapid.Uint64Range(n.told, n.applied).Draw(t, "up to"))
}

func (m *model) snapshot(t *rapid.T) {
	n := m.node(t)
	if n.applied == m.log.last() {
		t.Skip("the node is up to date")
	}
	n.restore(rapid.Uint64Range(n.applied+1, m.log.last()).Draw(t, "revision"))
}

// restart starts a node with a snapshot, or with none; its watchers are gone.
func (m *model) restart(t *rapid.T) {
	n := m.node(t)
	var homeless []*modelWatcher
	for _, w := range m.watchers {
		if w.node == n {
			homeless = append(homeless, w)
		}
	}
	n.hub.Close()
	for _, w := range homeless {
		if _, err := w.cursor.Poll(); err == nil {
			t.Fatal("a closed hub still answers")
		}
		w.cursor.Close()
	}
	snapshot := rapid.Uint64Range(0, n.applied).Draw(t, "snapshot")
	n.open()
	if snapshot > 0 {
		n.restore(snapshot)
	}
	for _, w := range homeless {
		w.resume(t, m.node(t))
	}
}

// modelWatcher knows for each of its groups up to where it was told everything.
type modelWatcher struct {
	node   *modelNode
	cursor *watch.Cursor
	groups []modelGroup
}

type modelGroup struct {
	group    string
	keys     []string
	position uint64
	fresh    bool // it was told nothing, and has asked for a reset
	tooOld   bool // it came to the present node with a position below the floor
}

func (m *model) watch(t *rapid.T) {
	w := &modelWatcher{node: m.node(t)}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(modelGroups), 1, 4, rapid.ID).Draw(t, "groups")
	var selections []watch.Selection
	for _, name := range names {
		g := modelGroup{group: name}
		if rapid.Bool().Draw(t, "filter") {
			g.keys = rapid.SliceOfNDistinct(rapid.SampledFrom(modelKeys), 1, 2, rapid.ID).Draw(t, "keys")
		}
		s := watch.Selection{Group: name, Keys: g.keys, Start: rapid.SampledFrom(
			[]watch.Start{watch.FromState, watch.FromNow, watch.FromAfter}).Draw(t, "start")}
		switch s.Start {
		case watch.FromState:
			g.fresh = true
		case watch.FromNow:
			g.position = w.node.published
		case watch.FromAfter:
			// A watcher cannot know more than what was committed.
			s.After = rapid.Uint64Range(0, m.log.last()).Draw(t, "after")
			g.position, g.tooOld = s.After, s.After < w.node.floor
		}
		w.groups, selections = append(w.groups, g), append(selections, s)
	}
	w.open(t, selections)
	m.watchers = append(m.watchers, w)
}

func (w *modelWatcher) open(t *rapid.T, selections []watch.Selection) {
	cursor, err := w.node.hub.Watch(selections...)
	if err != nil {
		t.Fatal(err)
	}
	w.cursor = cursor
}

// resume goes on at n from what the last batches said.
func (w *modelWatcher) resume(t *rapid.T, n *modelNode) {
	w.node = n
	var selections []watch.Selection
	for i := range w.groups {
		g := &w.groups[i]
		s := watch.Selection{Group: g.group, Keys: g.keys, Start: watch.FromAfter, After: g.position}
		g.tooOld = g.position < n.floor
		if g.fresh {
			s.Start = watch.FromState
		}
		selections = append(selections, s)
	}
	w.open(t, selections)
}

func (m *model) move(t *rapid.T) {
	w := m.watcher(t)
	w.cursor.Close()
	w.resume(t, m.node(t))
}

func (m *model) leave(t *rapid.T) { m.close(m.watcher(t)) }

func (m *model) close(w *modelWatcher) {
	w.cursor.Close()
	m.watchers = slices.DeleteFunc(m.watchers, func(other *modelWatcher) bool { return other == w })
}

func (m *model) poll(t *rapid.T) {
	w := m.watcher(t)
	batch, err := w.cursor.Poll()
	if err != nil {
		t.Fatal(err)
	}
	checkOrder(t, m.log, batch)
	w.checkLength(t, batch)
	for i := range w.groups {
		w.checkGroup(t, m.log, &w.groups[i], batch)
	}
}

// checkOrder: the changes are in log order, whole revisions together.
func checkOrder(t *rapid.T, log history, batch watch.Batch) {
	revision, index := uint64(0), -1
	for i := range batch.Changes {
		change := &batch.Changes[i]
		if change.Revision < revision {
			t.Fatalf("revision %d comes after %d", change.Revision, revision)
		}
		if change.Revision > revision {
			revision, index = change.Revision, -1
		}
		for _, e := range change.Events {
			at := index + 1
			for at < len(log[revision-1].events) && log[revision-1].events[at] != e {
				at++
			}
			if at == len(log[revision-1].events) {
				t.Fatalf("event %+v is not in revision %d after index %d", e, revision, index)
			}
			index = at
		}
		if change.Reset == nil && string(change.Encoded()) != string(encode(change.Events)) {
			t.Fatalf("events %+v are encoded as %s", change.Events, change.Encoded())
		}
	}
}

// checkLength: a batch ends before everything that was published only when it is
// full, and then with the revision that filled it.
func (w *modelWatcher) checkLength(t *rapid.T, batch watch.Batch) {
	events, before, resets := 0, 0, 0
	last := uint64(0)
	for _, change := range batch.Changes {
		if change.Revision > last {
			before, last = events, change.Revision
		}
		events += len(change.Events)
		if change.Reset != nil {
			resets++
		}
	}
	if batch.Position < w.node.published && !batch.More {
		t.Fatalf("the batch ends at %d, published is %d", batch.Position, w.node.published)
	}
	if batch.More && (events < w.node.batchMax || resets > 0) {
		t.Fatalf("the batch ends with %d events and %d resets although there are more", events, resets)
	}
	if resets == 0 && before >= w.node.batchMax {
		t.Fatalf("the batch has %d events before its last revision, limit %d", before, w.node.batchMax)
	}
}

// checkGroup: the group got everything between its old and its new position.
func (w *modelWatcher) checkGroup(t *rapid.T, log history, g *modelGroup, batch watch.Batch) {
	next := batch.Position
	for _, ahead := range batch.Ahead {
		if ahead.Group == g.group {
			next = ahead.Position
		}
	}
	if next < g.position {
		t.Fatalf("group %s goes back from %d to %d", g.group, g.position, next)
	}
	wantReset := g.fresh || g.tooOld || g.position < w.node.dropped[g.group] || g.position < w.node.restored
	position, gotReset := g.position, false
	var got []counter.Event
	for _, change := range batch.Changes {
		switch {
		case change.Group != g.group:
		case change.Reset != nil:
			want := log.reading(g.group, g.keys, change.Revision)
			if gotReset || got != nil || fmt.Sprint(*change.Reset) != fmt.Sprint(want) {
				t.Fatalf("group %s: reset %+v after %d events, want %+v", g.group, *change.Reset, len(got), want)
			}
			position, gotReset = change.Revision, true
		default:
			got = append(got, change.Events...)
		}
	}
	if gotReset != wantReset {
		t.Fatalf("group %s at %d: reset %v, want %v", g.group, g.position, gotReset, wantReset)
	}
	if want := log.events(g.group, g.keys, position, min(next, log.last())); !slices.Equal(got, want) {
		t.Fatalf("group %s from %d to %d:\ngot  %+v\nwant %+v", g.group, position, next, got, want)
	}
	g.position, g.fresh, g.tooOld = next, false, false
}
