//go:build jepsen && planted

package fsm

import "tally/internal/planted"

// plantInRestored forgets something that a snapshot had, as a snapshot would that
// never had it.
func plantInRestored(s *state) {
	if planted.On("snapshot-without-table") {
		s.idempotency = newIdempotency(s.idempotency.limits)
	}
	if planted.On("snapshot-without-group") {
		s.forgetGroup()
	}
}

// forgetGroup removes the group that changed last.
func (s *state) forgetGroup() {
	var newest groupName
	var revision uint64
	view := s.groups.freeze()
	defer s.groups.thaw(view)
	for _, shard := range view.groups {
		for id, g := range shard {
			if g.modRevision() > revision {
				newest, revision = nameOf(id), g.modRevision()
			}
		}
	}
	if revision > 0 {
		s.put(newest, s.groups.get(newest), group{})
	}
}
