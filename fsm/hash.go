package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// The state hash tells whether nodes hold the same state. It covers everything
// a later answer can depend on: the counters with their revisions, the
// idempotency table, log time, cluster ID, members, and the term of the last
// term command. The applied index
// stands beside it (counter.StateHash) and is not in it.
//
// Sets enter as the sum of their elements' hashes, modulo 2^64, so that a change
// costs one subtraction and one addition whatever the size of the state, and the
// order of elements does not matter. It finds accidents; it is no defence
// against somebody who makes collisions on purpose.

// groupHash is what one group contributes.
func groupHash(name groupName, g group) uint64 {
	if !g.exists() {
		return 0
	}
	var parts [24]byte
	binary.BigEndian.PutUint64(parts[0:], name.hash)
	binary.BigEndian.PutUint64(parts[8:], g.shape.hash)
	binary.BigEndian.PutUint64(parts[16:], xxhash.Sum64String(g.packed))
	return xxhash.Sum64(parts[:])
}

// memberHash is what one member contributes.
func memberHash(m Member) uint64 { return xxhash.Sum64(appendMember(nil, m)) }

// hash returns the hash of the whole state. It costs the same for every state.
func (s *state) hash() uint64 {
	var parts [128]byte
	text := binary.BigEndian.AppendUint64(parts[:0], s.groupsHash)
	text = binary.BigEndian.AppendUint64(text, s.membersHash)
	text = binary.BigEndian.AppendUint64(text, s.idempotency.hash)
	text = binary.BigEndian.AppendUint64(text, uint64(s.idempotency.mark))
	text = binary.BigEndian.AppendUint64(text, uint64(s.timeMs))
	text = binary.BigEndian.AppendUint64(text, s.termCommand)
	text = append(text, s.clusterID...)
	return xxhash.Sum64(text)
}

func hashText(hash uint64) string { return fmt.Sprintf("%016x", hash) }
