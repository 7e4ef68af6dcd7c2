package httpapi_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"tally/counter"
)

// memory is a Backend that keeps groups in a map: the same rules as the state
// machine's, written as plainly as possible, and no cluster behind it.
type memory struct {
	mu       sync.Mutex
	revision uint64
	groups   map[string]*memoryGroup
	proposed []counter.Mutation // all that arrived, in order
	readers  []counter.Caller   // who read, in order
	// publisher, if set, is told of every change, before the call returns.
	publisher interface {
		Publish(revision uint64, events []counter.Event)
	}

	// fail, if set, is what every call does instead.
	fail    func(context.Context) error
	quota   *counter.Quota // what every caller is told, if set
	replay  bool           // every result says that it is a replay
	checks  []counter.Check
	cluster counter.Cluster
}

type memoryGroup struct {
	modRevision uint64
	counters    map[string]int64
}

func newMemory() *memory {
	return &memory{
		revision: 100,
		groups:   make(map[string]*memoryGroup),
		checks:   []counter.Check{{Name: "leader", OK: true, Detail: "n1"}, {Name: "caught_up", OK: true, Detail: "applied 100, committed 100"}},
		cluster: counter.Cluster{
			ClusterID: "0197c5b152f37a3e9b645be6a4d7f2c1", Node: "n1", Term: 3,
			Leader: &counter.Leader{ID: "n1", URL: "http://127.0.0.1:8101"},
			Members: []counter.Member{
				{ID: "n1", URL: "http://127.0.0.1:8101", PeerAddr: "127.0.0.1:9101", Role: counter.RoleLeader, Voter: true, Reachable: true,
					LastIndex: 100, CommitIndex: 100, AppliedIndex: 100, StateHash: &counter.StateHash{Index: 100, Hash: "7d2f0a519be4c836"}},
				{ID: "n2", PeerAddr: "127.0.0.1:9102", Voter: true},
			},
		},
	}
}

func (b *memory) Propose(ctx context.Context, m *counter.Mutation) (counter.Result, error) {
	if b.fail != nil {
		return counter.Result{}, b.fail(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.proposed = append(b.proposed, *m)
	b.revision++
	after := b.copyLocked()
	result := counter.Result{Revision: b.revision, Replayed: b.replay, Quota: b.quota}
	for i := range m.Operations {
		outcome, err := apply(after, b.revision, &m.Operations[i])
		if err != nil {
			err.Revision, err.Quota = b.revision, b.quota
			if m.Batch {
				err.Operation = &i
			}
			return counter.Result{}, err
		}
		result.Outcomes = append(result.Outcomes, outcome)
	}
	b.groups = after
	if b.publisher != nil {
		b.publisher.Publish(b.revision, eventsOf(m, &result))
	}
	return result, nil
}

// eventsOf returns the events of a mutation that was applied.
func eventsOf(m *counter.Mutation, result *counter.Result) (events []counter.Event) {
	for i, o := range m.Operations {
		event := counter.Event{Revision: result.Revision, Kind: o.Kind, Group: o.Group, User: m.User, TimeMs: 1760000000000 + int64(result.Revision)}
		for _, key := range result.Outcomes[i].Deleted {
			event.Key = key
			events = append(events, event)
		}
		for j, c := range result.Outcomes[i].Counters {
			event.Key, event.Value, event.Delta = c.Key, c.Value, o.Counters[j].Value
			events = append(events, event)
		}
	}
	return events
}

// state is what a hub's Config.State must be.
func (b *memory) state(group string, keys []string) counter.Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.readLocked(group, keys)
}

func (b *memory) copyLocked() map[string]*memoryGroup {
	groups := make(map[string]*memoryGroup, len(b.groups))
	for name, g := range b.groups {
		groups[name] = &memoryGroup{modRevision: g.modRevision, counters: maps.Clone(g.counters)}
	}
	return groups
}

func apply(groups map[string]*memoryGroup, revision uint64, o *counter.Operation) (counter.Outcome, *counter.Error) {
	g := groups[o.Group]
	if g == nil {
		g = &memoryGroup{counters: make(map[string]int64)}
	}
	if o.Condition.Checked && o.Condition.ModRevision != g.modRevision {
		return counter.Outcome{}, counter.Errorf(counter.RevisionMismatch, "the group's modRevision is %d, and %d was asked for; read the group again and decide anew", g.modRevision, o.Condition.ModRevision)
	}
	outcome := counter.Outcome{Group: o.Group}
	if o.Kind == counter.Delete {
		outcome.Deleted = g.remove(o)
	}
	for _, c := range o.Counters {
		value, ok := combine(o.Kind, g.counters[c.Key], c.Value)
		if !ok {
			return outcome, counter.Errorf(counter.OutOfRange,
				"the counter %q is %d; to %s it by %d gives no signed 64-bit integer, and nothing was changed; send a smaller value, or set the counter",
				c.Key, g.counters[c.Key], o.Kind, c.Value)
		}
		g.counters[c.Key] = value
		outcome.Counters = append(outcome.Counters, counter.Counter{Key: c.Key, Value: value})
	}
	if len(g.counters) > counter.GroupCountersMax {
		return outcome, counter.Errorf(counter.TooManyCounters, "the group would hold %d counters; delete some first", len(g.counters))
	}
	g.modRevision = revision
	groups[o.Group] = g
	if len(g.counters) == 0 {
		delete(groups, o.Group)
	}
	return outcome, nil
}

func (g *memoryGroup) remove(o *counter.Operation) []string {
	keys := o.Keys
	if o.All {
		keys = slices.Sorted(maps.Keys(g.counters))
	}
	deleted := []string{}
	for _, key := range keys {
		if _, exists := g.counters[key]; exists {
			deleted = append(deleted, key)
			delete(g.counters, key)
		}
	}
	return deleted
}

// combine computes a new value; ok is false if it does not fit an int64.
func combine(kind counter.Kind, old, operand int64) (value int64, ok bool) {
	switch kind {
	case counter.Increase:
		value = old + operand
		return value, (value > old) == (operand > 0)
	case counter.Decrease:
		value = old - operand
		return value, (value < old) == (operand > 0)
	}
	return operand, true
}

func (b *memory) Read(ctx context.Context, caller counter.Caller, group string, keys []string, stale bool) (counter.Reading, error) {
	if b.fail != nil {
		return counter.Reading{}, b.fail(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers = append(b.readers, caller)
	reading := b.readLocked(group, keys)
	reading.Quota = b.quota
	return reading, nil
}

func (b *memory) readLocked(group string, keys []string) counter.Reading {
	reading := counter.Reading{Group: group, Revision: b.revision}
	g := b.groups[group]
	if g == nil {
		return reading
	}
	reading.ModRevision = g.modRevision
	for _, key := range slices.Sorted(maps.Keys(g.counters)) {
		if keys == nil || slices.Contains(keys, key) {
			reading.Counters = append(reading.Counters, counter.Counter{Key: key, Value: g.counters[key]})
		}
	}
	return reading
}

func (b *memory) List(ctx context.Context, prefix, after string, limit int) ([]counter.GroupSummary, bool, error) {
	if b.fail != nil {
		return nil, false, b.fail(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []counter.GroupSummary
	for _, name := range slices.Sorted(maps.Keys(b.groups)) {
		if strings.HasPrefix(name, prefix) && name > after {
			list = append(list, counter.GroupSummary{Group: name, Size: len(b.groups[name].counters), ModRevision: b.groups[name].modRevision})
		}
	}
	return list[:min(limit, len(list))], len(list) > limit, nil
}

func (b *memory) Cluster(ctx context.Context) (counter.Cluster, error) {
	if b.fail != nil {
		return counter.Cluster{}, b.fail(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cluster, nil
}

func (b *memory) AddMember(ctx context.Context, m counter.NewMember) (counter.Cluster, error) {
	return b.changeCluster(ctx, func(cluster *counter.Cluster) error {
		cluster.Members = append(slices.Clone(cluster.Members), counter.Member{ID: m.ID, PeerAddr: m.PeerAddr, Voter: m.Voter, Reachable: true, Role: counter.RoleFollower})
		slices.SortFunc(cluster.Members, func(a, b counter.Member) int { return cmp.Compare(a.ID, b.ID) })
		return nil
	})
}

func (b *memory) RemoveMember(ctx context.Context, id string) (counter.Cluster, error) {
	return b.changeCluster(ctx, func(cluster *counter.Cluster) error {
		cluster.Members = slices.DeleteFunc(slices.Clone(cluster.Members), func(m counter.Member) bool { return m.ID == id })
		return nil
	})
}

func (b *memory) TransferLeadership(ctx context.Context, id string) (counter.Cluster, error) {
	return b.changeCluster(ctx, func(cluster *counter.Cluster) error {
		to := slices.IndexFunc(cluster.Members, func(m counter.Member) bool { return m.ID == id || id == "" && m.ID != cluster.Leader.ID })
		if to < 0 {
			return counter.Errorf(counter.InvalidRequest, "%q is no voter of this cluster", id).WithParam("id")
		}
		cluster.Term++
		cluster.Leader = &counter.Leader{ID: cluster.Members[to].ID, URL: cluster.Members[to].URL}
		return nil
	})
}

func (b *memory) changeCluster(ctx context.Context, change func(*counter.Cluster) error) (counter.Cluster, error) {
	if b.fail != nil {
		return counter.Cluster{}, b.fail(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	cluster := b.cluster
	if err := change(&cluster); err != nil {
		return counter.Cluster{}, err
	}
	b.cluster = cluster
	return cluster, nil
}

func (b *memory) Ready(context.Context) []counter.Check { return b.checks }

// dump returns all counters and the cluster, for comparing before and after.
func (b *memory) dump() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(b.groups)) {
		fmt.Fprintf(&text, "%q %d %v\n", name, b.groups[name].modRevision, b.groups[name].counters)
	}
	fmt.Fprintf(&text, "%+v", b.cluster)
	return text.String()
}

// mustIncrease makes one more event, without a request.
func (b *memory) mustIncrease(t testing.TB, group, key string) {
	t.Helper()
	operation := counter.Operation{Kind: counter.Increase, Group: group, Counters: []counter.Counter{{Key: key, Value: 1}}}
	if _, err := b.Propose(context.Background(), &counter.Mutation{Operations: []counter.Operation{operation}}); err != nil {
		t.Error(err)
	}
}

// give sets counters without a request.
func (b *memory) give(group string, counters map[string]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revision++
	b.groups[group] = &memoryGroup{modRevision: b.revision, counters: counters}
}

const (
	largest  = math.MaxInt64
	smallest = math.MinInt64
)
