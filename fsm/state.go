package fsm

import (
	"strings"

	"tally/counter"
)

// state is everything the log has built: a pure function of the commands that
// were applied. It has no lock; whoever owns it sees to that.
type state struct {
	header
	groups *shards
	shapes shapes

	groupsHash uint64 // sum of groupHash over all groups

	scratch scratch
}

// header is the state apart from the groups. It is copied as a whole into a snapshot.
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
	// Err is a refusal that is equal on every node. Its Revision is the index
	// of the entry.
	Err *counter.Error
}

func newState() *state {
	return &state{groups: newShards(), shapes: newShapes()}
}

// advance moves the applied index to an entry, before its effects.
func (s *state) advance(index, term uint64) { s.appliedIndex, s.appliedTerm = index, term }

// apply gives the command of the entry at the applied index its effects. Events
// are appended to events unless it is nil.
func (s *state) apply(c *Command, events *[]counter.Event) *Applied {
	// A leader whose clock is behind that of its predecessor must not turn time back.
	s.timeMs = max(s.timeMs, c.TimeMs)
	var (
		result counter.Result
		err    *counter.Error
	)
	switch c.Type {
	case TypeMutation:
		result.Outcomes, err = s.mutate(&c.Mutation, events)
	case TypeTerm:
		err = s.beginTerm(c.ClusterID)
	case TypeMember:
		err = s.pin(c.Member)
	}
	if err != nil {
		err.Revision = s.appliedIndex
		return &Applied{Err: err}
	}
	result.Revision = s.appliedIndex
	return &Applied{Result: result}
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
