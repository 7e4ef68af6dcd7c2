package fsm

import "encoding/binary"

// bareTimes has the times of the bare keys in the idempotency table.
//
// Nearly all keys are told apart by the first half of their digest: a million of
// them have two with the same half once in 30 million tables. A map of halves
// takes a third less than one of digests, and what it says is held against the
// table, which has whole digests. Keys whose half is taken have a map of their own.
type bareTimes struct {
	byHalf map[uint64]int64
	twins  map[digest]int64
}

func newBareTimes() bareTimes {
	return bareTimes{byHalf: make(map[uint64]int64), twins: make(map[digest]int64)}
}

func half(key digest) uint64 { return binary.BigEndian.Uint64(key[:]) }

// of returns the time of the key. It can be that of another key, if this one has none.
func (b *bareTimes) of(key digest) (timeMs int64, found bool) {
	if timeMs, found = b.twins[key]; !found {
		timeMs, found = b.byHalf[half(key)]
	}
	return timeMs, found
}

// add notes the time of a key that has none.
func (b *bareTimes) add(key digest, timeMs int64) {
	if _, taken := b.byHalf[half(key)]; taken {
		b.twins[key] = timeMs
		return
	}
	b.byHalf[half(key)] = timeMs
}

// remove forgets the time of a key that has one.
func (b *bareTimes) remove(key digest) {
	if _, twin := b.twins[key]; twin {
		delete(b.twins, key)
		return
	}
	delete(b.byHalf, half(key))
}

// count returns how many keys have a time.
func (b *bareTimes) count() int { return len(b.byHalf) + len(b.twins) }
