package fsm

import (
	"strings"

	"tally/counter"
)

// state is everything the log has built: a pure function of the commands that
// were applied. It has no lock; whoever owns it sees to that.
type state struct {
	header
	groups      *shards
	shapes      shapes
	idempotency *idempotency

	groupsHash uint64 // sum of groupHash over all groups

	scratch scratch
}

// header is the small part of the state. It is copied as a whole into a snapshot.
type header struct {
	appliedIndex uint64 // of the last entry, be it a command or a configuration
	appliedTerm  uint64 // Raft term of that entry
	timeMs       int64  // log time, Unix milliseconds; never goes back
	termCommand  uint64 // Raft term of the last term command
	clusterID    string
	members      members
	membersHash  uint64 // sum of memberHash over all members
}

// Applied is the state machine's answer to a command. Exactly one of the two is
// meaningful: Err when it is not nil, else Result.
type Applied struct {
	Result counter.Result
	// Err is a refusal that is equal on every node. Its Revision is the index of
	// the entry, or of the entry whose refusal is replayed.
	Err *counter.Error
}

// replayed says that this is the answer to an earlier attempt again.
func (a *Applied) replayed() bool {
	return a.Result.Replayed || a.Err != nil && a.Err.Replayed
}

func newState(limits idempotencyLimits) *state {
	return &state{groups: newShards(), shapes: newShapes(), idempotency: newIdempotency(limits)}
}

// advance moves the applied index to an entry, before its effects.
func (s *state) advance(index, term uint64) { s.appliedIndex, s.appliedTerm = index, term }

// apply gives the command of the entry at the applied index its effects. Events
// are appended to events unless it is nil.
func (s *state) apply(c *Command, events *[]counter.Event) *Applied {
	// A leader whose clock is behind that of its predecessor must not turn time back.
	s.timeMs = max(s.timeMs, c.TimeMs)
	s.idempotency.forgetAged(s.timeMs)
	switch c.Type {
	case TypeTerm:
		return s.answer(nil, s.beginTerm(c.ClusterID))
	case TypeMember:
		return s.answer(nil, s.pin(c.Member))
	}
	m := &c.Mutation
	// The leader has checked it before. A leader of another build may have
	// checked less, and its mistake must not become a different state. What can
	// never be applied is not remembered: each attempt is refused for the same reason.
	if err := m.Check(); err != nil {
		return s.answer(nil, err)
	}
	if m.IdempotencyKey != "" {
		return s.mutateOnce(m, events)
	}
	outcomes, refusal := s.mutate(m, events)
	return s.decided(m, outcomes, refusal)
}

// mutateOnce applies a mutation with an idempotency key unless another attempt
// of it was decided before, or may have been.
func (s *state) mutateOnce(m *counter.Mutation, events *[]counter.Event) *Applied {
	a := newAttempt(m, &s.scratch.bytes)
	if settled := s.settled(&a, m); settled != nil {
		return settled
	}
	if s.idempotency.isAhead(&a, s.timeMs) {
		return s.answer(nil, ahead(a.timeMs, s.timeMs))
	}
	outcomes, refusal := s.mutate(m, events)
	e := entry{revision: s.appliedIndex, refused: refusal != nil}
	if e.refused {
		e.result = refusal.append(s.scratch.bytes[:0])
	} else {
		e.result = appendOutcomes(s.scratch.bytes[:0], m, outcomes)
	}
	s.idempotency.remember(&a, s.timeMs, e)
	s.scratch.bytes = e.result[:0]
	return s.decided(m, outcomes, refusal)
}

// settled returns the answer to an attempt that must not be executed, as far as
// no later log time can change it; nil for any other. It changes nothing.
func (s *state) settled(a *attempt, m *counter.Mutation) *Applied {
	switch e, found := s.idempotency.find(a); {
	case found && e.request == a.request:
		return e.replay(m)
	case found:
		return s.answer(nil, reused(s.timeMs))
	case s.idempotency.isExpired(a, s.timeMs):
		return s.answer(nil, expired(a.timeMs, s.idempotency.markAt(s.timeMs), s.timeMs))
	}
	return nil
}

// decided returns the answer to a mutation that was not answered before.
func (s *state) decided(m *counter.Mutation, outcomes []counter.Outcome, refusal *refusal) *Applied {
	if refusal != nil {
		return s.answer(nil, refusal.explain(m))
	}
	return s.answer(outcomes, nil)
}

// answer puts the revision to a result, or to a refusal if it is not nil.
func (s *state) answer(outcomes []counter.Outcome, err *counter.Error) *Applied {
	if err != nil {
		err.Revision = s.appliedIndex
		return &Applied{Err: err}
	}
	return &Applied{Result: counter.Result{Revision: s.appliedIndex, Outcomes: outcomes}}
}

// beginTerm notes the leader's term and adopts the cluster ID if there is none yet.
func (s *state) beginTerm(clusterID string) *counter.Error {
	if len(clusterID) > IdentityBytesMax {
		return counter.Errorf(counter.InvalidRequest, "the cluster ID has %d bytes; at most %d are allowed", len(clusterID), IdentityBytesMax)
	}
	s.termCommand = s.appliedTerm
	if s.clusterID == "" {
		s.clusterID = strings.Clone(clusterID)
	}
	return nil
}

// pin puts a member into the table.
func (s *state) pin(m Member) *counter.Error {
	if err := m.check(); err != nil {
		return err
	}
	list, err := s.members.pin(Member{ID: strings.Clone(m.ID), Incarnation: strings.Clone(m.Incarnation), Removed: m.Removed})
	if err != nil {
		return err
	}
	s.setMembers(list)
	return nil
}

func (s *state) setMembers(list members) {
	s.members, s.membersHash = list, 0
	for _, m := range list {
		s.membersHash += memberHash(m)
	}
}

// put replaces a group, and removes it when g does not exist. Everything that
// depends on the groups is kept up here and nowhere else.
func (s *state) put(name groupName, old, g group) {
	// First acquire, then release: a shape that stays must not be forgotten in between.
	if g.exists() {
		s.shapes.acquire(g.shape)
	}
	if old.exists() {
		s.shapes.release(old.shape)
	}
	s.groupsHash += groupHash(name, g) - groupHash(name, old)
	s.groups.put(name, g)
}

// stateView is the whole state at one moment.
type stateView struct {
	header   header
	groups   *view
	requests *pagesView
	mark     int64 // of the idempotency table
	hash     uint64
}

// freeze takes hold of the whole state in the time it takes to copy one pointer
// for each shard and page. Call thaw when done with it.
func (s *state) freeze() *stateView {
	return &stateView{
		header:   s.header,
		groups:   s.groups.freeze(),
		requests: s.idempotency.entries.freeze(),
		mark:     s.idempotency.mark,
		hash:     s.hash(),
	}
}

// thaw ends the use of a view, exactly once.
func (s *state) thaw(v *stateView) {
	s.groups.thaw(v.groups)
	s.idempotency.entries.thaw(v.requests)
}
