package fsm

import (
	"slices"
	"strings"

	"tally/counter"
)

// Read returns the named counters of a group, or all of them when no keys are
// given. It reads what is applied here; whether that is recent enough is the
// caller's affair. Keys are taken as they are: one that no counter can have is missing.
func (m *Machine) Read(groupID string, keys []string) counter.Reading {
	name := nameOf(groupID)
	m.mu.RLock()
	revision, g := m.state.appliedIndex, m.state.groups.get(name)
	m.mu.RUnlock()
	// A group never changes, so that it is unpacked without the lock.
	return counter.Reading{Group: groupID, Revision: revision, ModRevision: g.modRevision(), Counters: g.counters(keys)}
}

// List returns the first groups, in the order of their IDs' bytes, whose IDs
// begin with prefix and come after the given one, at most limit of them. It
// looks at every group, and holds up nobody meanwhile.
func (m *Machine) List(prefix, after string, limit int) []counter.GroupSummary {
	m.mu.Lock()
	groups := m.state.groups
	view := groups.freeze()
	m.mu.Unlock()
	defer m.thaw(groups, view)

	smallest := smallest{limit: max(0, min(limit, view.count))}
	for _, shard := range view.groups {
		for id, g := range shard {
			if id > after && strings.HasPrefix(id, prefix) {
				smallest.offer(listed{id, g})
			}
		}
	}
	summaries := make([]counter.GroupSummary, 0, smallest.limit)
	for _, l := range smallest.result() {
		summaries = append(summaries, counter.GroupSummary{Group: l.id, Size: l.group.size(), ModRevision: l.group.modRevision()})
	}
	return summaries
}

func (m *Machine) thaw(groups *shards, v *view) {
	m.mu.Lock()
	defer m.mu.Unlock()
	groups.thaw(v)
}

type listed struct {
	id    string
	group group
}

// smallest keeps the limit elements with the smallest IDs of those that it is
// offered. It sorts only when it holds twice as many as are wanted.
type smallest struct {
	limit int
	kept  []listed
	bound string // when full: no ID from here on can be among the smallest
	full  bool
}

func (s *smallest) offer(l listed) {
	if s.limit == 0 || s.full && l.id >= s.bound {
		return
	}
	s.kept = append(s.kept, l)
	if len(s.kept) == 2*s.limit {
		s.shrink()
	}
}

func (s *smallest) shrink() {
	slices.SortFunc(s.kept, func(a, b listed) int { return strings.Compare(a.id, b.id) })
	if len(s.kept) < s.limit || s.limit == 0 {
		return
	}
	clear(s.kept[s.limit:])
	s.kept = s.kept[:s.limit]
	s.bound, s.full = s.kept[s.limit-1].id, true
}

func (s *smallest) result() []listed {
	s.shrink()
	return s.kept
}

// Lookup returns the answer to an attempt of a mutation with an idempotency key,
// if it is settled without a log entry: the first attempt was decided here, the
// key belongs to another request, or the key is a UUIDv7 that may have been
// forgotten. It changes nothing.
//
// What is known is true for good, whoever leads. What is not known may have been
// decided by an entry that is not applied here: only a leader that has applied a
// command of its term may go on to propose. A key from the future is not known,
// because log time stands still while nothing is proposed; applying it decides.
//
// The mutation must have passed its Check. known is false without a key.
func (m *Machine) Lookup(mutation *counter.Mutation) (applied *Applied, known bool) {
	if mutation.IdempotencyKey == "" {
		return nil, false
	}
	a := newAttempt(mutation, new([]byte))
	m.mu.RLock()
	defer m.mu.RUnlock()
	applied = m.state.settled(&a, mutation)
	return applied, applied != nil
}

// AppliedIndex returns the index of the last entry that this state machine has
// seen: a command, a configuration, or what a snapshot brought.
func (m *Machine) AppliedIndex() uint64 { return m.header().appliedIndex }

// AppliedBytes returns the index of the last entry that was applied, and how many
// bytes this process has applied since it began: of entries, not of snapshots.
func (m *Machine) AppliedBytes() (index, bytes uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.appliedIndex, m.bytes
}

// AppliedTermCommand returns the Raft term of the last term command applied, 0
// for none. A leader whose term it is knows all that was committed before.
func (m *Machine) AppliedTermCommand() uint64 { return m.header().termCommand }

// ClusterID returns the ID that the cluster has adopted, "" before that.
func (m *Machine) ClusterID() string { return m.header().clusterID }

// Members returns the pinned members and the tombstones in the order of their IDs.
func (m *Machine) Members() []Member { return slices.Clone(m.header().members) }

// TimeMs returns the log time in Unix milliseconds, 0 before the first command.
func (m *Machine) TimeMs() int64 { return m.header().timeMs }

func (m *Machine) header() header {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.header
}

// StateHash returns the hash of all state at the applied index.
func (m *Machine) StateHash() counter.StateHash {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return counter.StateHash{Index: m.state.appliedIndex, Hash: hashText(m.state.hash())}
}

// StateHashAt returns the hash of all state as it was at index, if that is the
// applied index or one of the Checkpoints.
func (m *Machine) StateHashAt(index uint64) (hash string, known bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if index == m.state.appliedIndex {
		return hashText(m.state.hash()), true
	}
	return m.checkpoints.at(index)
}

// Checkpoints returns the remembered state hashes, ascending by index: those at
// the newest CheckpointsMax multiples of CheckpointInterval that this machine
// has passed since it started or restored.
func (m *Machine) Checkpoints() []counter.StateHash {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.checkpoints.list)
}
