package fsm

import (
	"crypto/sha256"
	"encoding/binary"

	"tally/counter"
)

// digest is the first 128 bits of a SHA-256.
//
// Digests stand for what they are made of, without another look: two keys of
// one digest would be taken for one key. By accident that does not happen: a
// table of 2^20 keys that is asked for a million others each second meets such a
// pair once in 10^18 years. Nor can it be made to happen, and this is why the
// quicker hash of the state hash would not do: it takes 2^64 attempts to find
// two things of one digest, and 2^108 to find a key that is one of the million
// of other callers.
type digest [16]byte

func digestOf(data []byte) digest {
	sum := sha256.Sum256(data)
	return digest(sum[:])
}

// attempt is what the idempotency table sees of a mutation.
type attempt struct {
	key digest // of the caller and the key
	// timed says that the key is a UUIDv7, and so carries its own time.
	timed  bool
	timeMs int64 // of the key
	// request is the digest of what is asked for.
	request digest
}

// The digests are of these bytes, in the encodings of wire.go. They are a part
// of the state, and must stay what they are when commands get another version.
//
//	key      user text, 1, key text
//	         user text, 7, the 16 bytes of a UUIDv7, so that its case does not matter
//	request  flags byte (1: batch), number of operations uvarint, operations as
//	         in version 1 of a mutation
//
// Operations are equal when they name the same counters in the same order: the
// outcomes have that order too.
const (
	keyBare   = 1
	keyUUIDv7 = 7
)

// newAttempt returns the attempt that a mutation with an idempotency key is.
// buffer is memory to use again.
func newAttempt(m *counter.Mutation, buffer *[]byte) attempt {
	var a attempt
	data := appendText((*buffer)[:0], m.User)
	id, timed := counter.ParseUUIDv7(m.IdempotencyKey)
	if timed {
		a.timed, a.timeMs = true, id.TimeMs()
		data = append(append(data, keyUUIDv7), id[:]...)
	} else {
		data = appendText(append(data, keyBare), m.IdempotencyKey)
	}
	a.key = digestOf(data)

	data = append(data[:0], flag(m.Batch, flagBatch))
	data = binary.AppendUvarint(data, uint64(len(m.Operations)))
	for i := range m.Operations {
		data = appendOperation(data, &m.Operations[i])
	}
	a.request = digestOf(data)
	*buffer = data
	return a
}
