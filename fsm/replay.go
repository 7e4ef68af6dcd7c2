package fsm

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tally/counter"
)

// What was decided about a request is kept without what the request says
// itself: a replay has an equal request in its hands, key by key and in the same
// order, and puts the two together.
//
// The result of a request that was applied, for each operation in order:
//
//	set                  nothing: the new values are those of the request
//	increase, decrease   for each counter: new value varint
//	delete of keys       one bit for each key, 1: it existed; the first key is
//	                     the lowest bit of the first byte
//	delete of all        number uvarint, then each deleted key text, sorted
//
// The result of one that was refused:
//
//	code byte            1 out_of_range, 2 too_many_counters, 3 revision_mismatch
//	operation uvarint    which operation was refused, from 0
//	counter uvarint      which of its counters was, from 0
//	found varint         out_of_range: the value that the counter had;
//	                     revision_mismatch: the group's modRevision

// refusal is what the state decides against a mutation. It is no text, so that
// it takes a few bytes to remember.
type refusal struct {
	code      counter.Code
	operation int   // position in the mutation
	counter   int   // position in the operation; for out_of_range and too_many_counters
	found     int64 // see above
}

// explain returns the refusal of m for its caller.
func (r *refusal) explain(m *counter.Mutation) *counter.Error {
	err := r.explainOperation(&m.Operations[r.operation])
	if m.Batch {
		at := r.operation
		err.Operation = &at
	}
	return err
}

func (r *refusal) explainOperation(o *counter.Operation) *counter.Error {
	switch r.code {
	case counter.OutOfRange:
		given := o.Counters[r.counter]
		return counter.Errorf(r.code,
			"the counter %s is %d; to %s it by %d gives no signed 64-bit integer, and nothing was changed; send a smaller value, or set the counter",
			strconv.QuoteToASCII(given.Key), r.found, o.Kind, given.Value)
	case counter.TooManyCounters:
		return counter.Errorf(r.code,
			"the group has %d counters, which is the limit, and %s is not one of them; nothing was changed; delete a counter or use another group",
			counter.GroupCountersMax, strconv.QuoteToASCII(o.Counters[r.counter].Key))
	}
	asked := o.Condition.ModRevision
	switch {
	case r.found == 0:
		return counter.Errorf(r.code, "the group has no counters, and modRevision %d was asked for; read the group again and decide anew", asked)
	case asked == 0:
		return counter.Errorf(r.code, "the group exists already, with modRevision %d; read it and decide anew", r.found)
	}
	return counter.Errorf(r.code, "the group's modRevision is %d, and %d was asked for; read the group again and decide anew", r.found, asked)
}

// The numbers of the codes in a result. Never reorder or reuse them.
const (
	refusedOutOfRange       = 1
	refusedTooManyCounters  = 2
	refusedRevisionMismatch = 3
)

func (r *refusal) append(dst []byte) []byte {
	switch r.code {
	case counter.OutOfRange:
		dst = append(dst, refusedOutOfRange)
	case counter.TooManyCounters:
		dst = append(dst, refusedTooManyCounters)
	case counter.RevisionMismatch:
		dst = append(dst, refusedRevisionMismatch)
	}
	dst = binary.AppendUvarint(dst, uint64(r.operation))
	dst = binary.AppendUvarint(dst, uint64(r.counter))
	return binary.AppendVarint(dst, r.found)
}

// appendOutcomes appends the result of m.
func appendOutcomes(dst []byte, m *counter.Mutation, outcomes []counter.Outcome) []byte {
	for i := range outcomes {
		o, outcome := &m.Operations[i], &outcomes[i]
		switch {
		case o.Kind == counter.Set:
		case o.Kind != counter.Delete:
			for _, c := range outcome.Counters {
				dst = binary.AppendVarint(dst, c.Value)
			}
		case o.All:
			dst = binary.AppendUvarint(dst, uint64(len(outcome.Deleted)))
			for _, key := range outcome.Deleted {
				dst = appendText(dst, key)
			}
		default:
			dst = appendDeleted(dst, o.Keys, outcome.Deleted)
		}
	}
	return dst
}

// appendDeleted appends a bit for each key: whether it is one of those deleted,
// which have the same order.
func appendDeleted(dst []byte, keys, deleted []string) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, bitBytes(len(keys)))...)
	for i, key := range keys {
		if len(deleted) > 0 && deleted[0] == key {
			dst[start+i/8] |= 1 << (i % 8)
			deleted = deleted[1:]
		}
	}
	return dst
}

func bitBytes(bits int) int { return (bits + 7) / 8 }

// replay returns what was decided about a request equal to m.
func (e *entry) replay(m *counter.Mutation) *Applied {
	r := reader{text: string(e.result)}
	var (
		refusal  refusal
		outcomes []counter.Outcome
	)
	if e.refused {
		refusal = r.refusal(m)
	} else {
		outcomes = r.outcomes(m)
	}
	err := r.end()
	switch {
	case err != nil:
		// It is kept under checksums and was made of an equal request. To answer
		// anything else would be to make something up.
		return &Applied{Err: &counter.Error{Code: counter.Internal, Revision: e.revision,
			Detail: fmt.Sprintf("the result of an earlier attempt cannot be read (%v); read the counters", err)}}
	case e.refused:
		refused := refusal.explain(m)
		refused.Revision, refused.Replayed = e.revision, true
		return &Applied{Err: refused}
	}
	return &Applied{Result: counter.Result{Revision: e.revision, Outcomes: outcomes, Replayed: true}}
}

// refusal reads the refusal of a request equal to m.
func (r *reader) refusal(m *counter.Mutation) refusal {
	var found refusal
	switch code := r.byte(); code {
	case refusedOutOfRange:
		found.code = counter.OutOfRange
	case refusedTooManyCounters:
		found.code = counter.TooManyCounters
	case refusedRevisionMismatch:
		found.code = counter.RevisionMismatch
	default:
		r.failf("refusal %d is unknown", code)
	}
	operation, at := r.uvarint(), r.uvarint()
	found.found = r.varint()
	if r.err != nil {
		return refusal{}
	}
	if operation >= uint64(len(m.Operations)) {
		r.failf("operation %d of %d was refused", operation, len(m.Operations))
		return refusal{}
	}
	found.operation = int(operation)
	if found.code == counter.RevisionMismatch {
		return found
	}
	if counters := len(m.Operations[operation].Counters); at >= uint64(counters) {
		r.failf("counter %d of %d was refused", at, counters)
		return refusal{}
	}
	found.counter = int(at)
	return found
}

// outcomes reads the outcomes of a request equal to m.
func (r *reader) outcomes(m *counter.Mutation) []counter.Outcome {
	outcomes := make([]counter.Outcome, len(m.Operations))
	for i := range outcomes {
		o, outcome := &m.Operations[i], &outcomes[i]
		outcome.Group = o.Group
		switch {
		case o.Kind != counter.Delete:
			outcome.Counters = make([]counter.Counter, len(o.Counters))
			copy(outcome.Counters, o.Counters)
			for j := range outcome.Counters {
				if o.Kind != counter.Set {
					outcome.Counters[j].Value = r.varint()
				}
			}
		case o.All:
			outcome.Deleted = make([]string, r.count(keyBytesMin))
			for j := range outcome.Deleted {
				outcome.Deleted[j] = strings.Clone(r.string())
			}
		default:
			outcome.Deleted = r.deleted(o.Keys)
		}
	}
	return outcomes
}

// deleted reads which of the keys were deleted.
func (r *reader) deleted(keys []string) []string {
	deleted := []string{}
	var bits byte
	for i, key := range keys {
		if i%8 == 0 {
			bits = r.byte()
		}
		if bits&1 != 0 {
			deleted = append(deleted, key)
		}
		bits >>= 1
	}
	if bits != 0 {
		r.failf("more keys were deleted than the %d named", len(keys))
	}
	return deleted
}

// reused refuses a key that belongs to another request.
func reused(timeMs int64) *counter.Error {
	return keyRefusal(counter.IdempotencyKeyReused, timeMs,
		"the idempotency key belongs to an earlier request that asked for something else; nothing was done now; make a new key for each request, and repeat the request unchanged under the same one")
}

// expired refuses a key that may have been forgotten.
func expired(keyTimeMs, markMs, timeMs int64) *counter.Error {
	return keyRefusal(counter.IdempotencyKeyExpired, timeMs,
		"the idempotency key is of %s, and keys up to %s may have been forgotten; nothing was done now, but an earlier attempt may have been applied; read before you repeat the request under a new key",
		timeText(keyTimeMs), timeText(markMs))
}

// ahead refuses a key from the future.
func ahead(keyTimeMs, timeMs int64) *counter.Error {
	return keyRefusal(counter.IdempotencyKeyExpired, timeMs,
		"the idempotency key is of %s, and it is %s; no attempt with it has done anything; correct the clock and make a new key",
		timeText(keyTimeMs), timeText(timeMs))
}

func keyRefusal(code counter.Code, timeMs int64, format string, arguments ...any) *counter.Error {
	err := counter.Errorf(code, format, arguments...).WithParam("Idempotency-Key")
	err.ServerTimeMs = timeMs
	return err
}

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
