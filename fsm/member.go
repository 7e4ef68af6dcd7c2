package fsm

import (
	"slices"
	"strings"

	"tally/counter"
)

// Member is what the log knows of a node: which incarnation may bear its ID.
type Member struct {
	ID          string // the node ID
	Incarnation string // made once for each data directory
	// Removed makes the entry a tombstone: no other incarnation may ever bear
	// the ID, because a voter that lost its disk has forgotten its votes.
	Removed bool
}

// Limits of the state machine on members. Like those of counters they are
// constants because every node must decide alike.
const (
	// MembersMax is how many members, tombstones included, a cluster can
	// remember. Tombstones are for ever: this many nodes can ever have been members.
	MembersMax = 1000
	// IdentityBytesMax is the longest node ID, incarnation and cluster ID.
	IdentityBytesMax = 128
)

// check says why the member can never be pinned, or returns nil.
func (m *Member) check() *counter.Error {
	switch {
	case m.ID == "" || len(m.ID) > IdentityBytesMax:
		return counter.Errorf(counter.InvalidRequest, "the node ID has %d bytes; give it 1 to %d", len(m.ID), IdentityBytesMax)
	case len(m.Incarnation) > IdentityBytesMax:
		return counter.Errorf(counter.InvalidRequest, "the incarnation of %q has %d bytes; at most %d are allowed", m.ID, len(m.Incarnation), IdentityBytesMax)
	case m.Incarnation == "" && !m.Removed:
		return counter.Errorf(counter.InvalidRequest, "the incarnation of %q is missing; send the one in its data directory", m.ID)
	}
	return nil
}

// members are the pinned members in the order of their IDs. A change makes a
// new list, so that a snapshot may hold the old one.
type members []Member

func (ms members) find(id string) (at int, found bool) {
	return slices.BinarySearchFunc(ms, id, func(m Member, id string) int { return strings.Compare(m.ID, id) })
}

// pin returns the list with m in it, or says why an incarnation that is known
// already forbids it. A removal that names no incarnation keeps the pinned one.
func (ms members) pin(m Member) (members, *counter.Error) {
	at, found := ms.find(m.ID)
	if !found {
		if len(ms) >= MembersMax {
			return ms, counter.Errorf(counter.InvalidRequest, "the cluster remembers %d members, which is its limit; use a node ID that it knows", len(ms))
		}
		return slices.Insert(slices.Clone(ms), at, m), nil
	}
	pinned := ms[at].Incarnation
	if m.Incarnation == "" && m.Removed {
		m.Incarnation = pinned
	}
	if m.Incarnation != pinned {
		return ms, counter.Errorf(counter.InvalidRequest,
			"node ID %q belongs to incarnation %q, not %q; remove the member if it is still one, and join under a new ID", m.ID, pinned, m.Incarnation)
	}
	list := slices.Clone(ms)
	list[at] = m
	return list, nil
}
