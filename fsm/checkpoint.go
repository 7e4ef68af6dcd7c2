package fsm

import "tally/counter"

const (
	// CheckpointInterval is how many indexes lie between two remembered state
	// hashes, so that nodes that are not equally far can be compared at an
	// index that all have passed.
	CheckpointInterval = 1000
	// CheckpointsMax is how many state hashes are remembered.
	CheckpointsMax = 64
)

// checkpoints are the state hashes at the newest multiples of
// CheckpointInterval. They are about the state and no part of it: a node that
// restored a snapshot knows fewer, and hashes alike.
type checkpoints struct {
	list []counter.StateHash // ascending
}

// passed remembers the hash for the multiples in [from, to) that are not
// remembered yet, given that no entry between the two changed the state. There
// can be several, because Raft's own entries have indexes too and never reach
// the state machine.
func (c *checkpoints) passed(from, to uint64, hash func() uint64) {
	newest := (to - 1) / CheckpointInterval * CheckpointInterval
	if newest < from || newest <= c.newest() {
		return
	}
	oldest := max((from+CheckpointInterval-1)/CheckpointInterval*CheckpointInterval, c.newest()+CheckpointInterval, CheckpointInterval)
	if span := uint64((CheckpointsMax - 1) * CheckpointInterval); newest-oldest > span {
		oldest = newest - span
	}
	text := hashText(hash())
	for index := oldest; index <= newest; index += CheckpointInterval {
		c.remember(counter.StateHash{Index: index, Hash: text})
	}
}

func (c *checkpoints) newest() uint64 {
	if len(c.list) == 0 {
		return 0
	}
	return c.list[len(c.list)-1].Index
}

func (c *checkpoints) remember(h counter.StateHash) {
	if len(c.list) == CheckpointsMax {
		copy(c.list, c.list[1:])
		c.list = c.list[:CheckpointsMax-1]
	}
	c.list = append(c.list, h)
}

func (c *checkpoints) at(index uint64) (hash string, found bool) {
	for _, h := range c.list {
		if h.Index == index {
			return h.Hash, true
		}
	}
	return "", false
}
