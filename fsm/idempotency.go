package fsm

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"tally/internal/planted"
)

// idempotencyLimits bound the idempotency table. They are constants of the state
// machine: every node must forget alike.
type idempotencyLimits struct {
	entriesMax     int
	resultBytesMax int   // of all results together, as they are packed
	ageMaxMs       int64 // of log time, after which an entry may be forgotten
	aheadMaxMs     int64 // how far a key may be ahead of log time
	// agedPerCommandMax is how many entries one command forgets because of their
	// age, so that none takes long after a time without any.
	agedPerCommandMax int

	// ignoreKeyTimes keeps all entries in the order of log time. That is wrong,
	// and here for tests alone, which must notice.
	ignoreKeyTimes bool
}

// The limits that every node has, with those of limits.go. To change one is to
// change the snapshot's version.
const (
	IdempotencyResultBytesMax = 128 << 20
	IdempotencyAheadMaxMs     = 60 * 1000

	idempotencyAgedPerCommandMax = 256
)

func productLimits() idempotencyLimits {
	return idempotencyLimits{
		entriesMax:        IdempotencyEntriesMax,
		resultBytesMax:    IdempotencyResultBytesMax,
		ageMaxMs:          IdempotencyAgeMaxMs,
		aheadMaxMs:        IdempotencyAheadMaxMs,
		agedPerCommandMax: idempotencyAgedPerCommandMax,
		ignoreKeyTimes:    planted.On("table-in-log-order"),
	}
}

// idempotency is the table of the requests that were decided under an
// idempotency key, so that another attempt is answered and not executed.
//
// Entries are in the order of their keys' times, and the one with the smallest
// time is forgotten first. A UUIDv7 carries its time, which every attempt
// repeats; any other key, called bare, has the log time at which its request
// was decided. The mark is the greatest time of any entry forgotten, or the log
// time less ageMaxMs when that is greater. A UUIDv7 above the mark that is not
// in the table was never in it, and is executed; one at or below the mark that
// is not in the table may have been in it, and never is. This is why requests
// with a UUIDv7 are executed once at most, whatever is forgotten: order by
// anything but what the key itself says, and a retry can come after its entry
// was forgotten without being told from a first attempt.
//
// What is in the table is answered, also when it is at or below the mark: an
// entry that is too old may be forgotten some commands late.
type idempotency struct {
	limits  idempotencyLimits
	entries pages
	// bare has the times of the bare keys, without which they are not found in
	// entries. It follows from entries; snapshots do without it.
	bare        bareTimes
	resultBytes int
	mark        int64  // greatest time of any entry forgotten
	hash        uint64 // sum of entryHash over all entries

	record []byte // memory that the next entry uses again
}

func newIdempotency(limits idempotencyLimits) *idempotency {
	return &idempotency{limits: limits, entries: newPages(), bare: newBareTimes()}
}

// entry is one request that was decided. As a record of pages:
//
//	 0             8               24              40      41                49
//	+-------------+---------------+---------------+-------+-----------------+- - - - -+
//	| time uint64 | key 16 bytes  | request 16 b. | flags | revision uint64 | result  |
//	+-------------+---------------+---------------+-------+-----------------+- - - - -+
//	  Unix ms       digest          digest          1: bare key               replay.go
//	                                                2: refused
//
// Time and key are the record's key: entries of one millisecond are in the order
// of their digests, which is any order, and the same on every node.
type entry struct {
	timeMs   int64
	key      digest
	request  digest
	bare     bool
	refused  bool
	revision uint64 // log index at which it was decided
	result   []byte
}

const (
	entryRequestAt  = recordKeyBytes
	entryFlagsAt    = entryRequestAt + len(digest{})
	entryRevisionAt = entryFlagsAt + 1
	entryResultAt   = entryRevisionAt + 8

	flagBare    = 1
	flagRefused = 2
)

func entryKey(timeMs int64, key digest) recordKey {
	var k recordKey
	binary.BigEndian.PutUint64(k[:], uint64(timeMs))
	copy(k[8:], key[:])
	return k
}

func (e *entry) append(dst []byte) []byte {
	k := entryKey(e.timeMs, e.key)
	dst = append(dst, k[:]...)
	dst = append(dst, e.request[:]...)
	dst = append(dst, flag(e.bare, flagBare)|flag(e.refused, flagRefused))
	dst = binary.BigEndian.AppendUint64(dst, e.revision)
	return append(dst, e.result...)
}

// parseEntry is the inverse of append. The result is a part of the record.
func parseEntry(record []byte) entry {
	return entry{
		timeMs:   int64(binary.BigEndian.Uint64(record)),
		key:      digest(record[8:]),
		request:  digest(record[entryRequestAt:]),
		bare:     record[entryFlagsAt]&flagBare != 0,
		refused:  record[entryFlagsAt]&flagRefused != 0,
		revision: binary.BigEndian.Uint64(record[entryRevisionAt:]),
		result:   record[entryResultAt:],
	}
}

// entryHash is what one entry contributes to the state hash.
func entryHash(record []byte) uint64 { return xxhash.Sum64(record) }

// isBare says whether the entry of an attempt goes by log time.
func (t *idempotency) isBare(a *attempt) bool { return !a.timed || t.limits.ignoreKeyTimes }

// find returns the entry of the attempt's key. Its result is valid until the
// next change.
func (t *idempotency) find(a *attempt) (e entry, found bool) {
	if t.isBare(a) {
		return t.findBare(a.key)
	}
	return t.lookUp(a.timeMs, a.key)
}

func (t *idempotency) findBare(key digest) (e entry, found bool) {
	timeMs, found := t.bare.of(key)
	if !found {
		return entry{}, false
	}
	return t.lookUp(timeMs, key)
}

func (t *idempotency) lookUp(timeMs int64, key digest) (e entry, found bool) {
	record, found := t.entries.find(entryKey(timeMs, key))
	if !found {
		return entry{}, false
	}
	return parseEntry(record), true
}

// markAt returns the mark at a log time.
func (t *idempotency) markAt(timeMs int64) int64 { return max(t.mark, timeMs-t.limits.ageMaxMs) }

// isExpired says that the attempt's key may have been forgotten.
func (t *idempotency) isExpired(a *attempt, timeMs int64) bool {
	return a.timed && a.timeMs <= t.markAt(timeMs)
}

// isAhead says that the attempt's key is further ahead of log time than any
// honest clock.
func (t *idempotency) isAhead(a *attempt, timeMs int64) bool {
	return a.timed && a.timeMs-timeMs > t.limits.aheadMaxMs
}

// remember adds what was decided, and forgets what there is no room for: that
// can be the new entry itself, when all others have greater times.
func (t *idempotency) remember(a *attempt, timeMs int64, e entry) {
	e.key, e.request, e.bare, e.timeMs = a.key, a.request, t.isBare(a), a.timeMs
	if e.bare {
		e.timeMs = timeMs
	}
	t.record = e.append(t.record[:0])
	t.entries.insert(t.record)
	t.added(&e, t.record)
	for t.isOverfull() {
		t.forgetFirst()
	}
}

func (t *idempotency) isOverfull() bool {
	return t.entries.count > t.limits.entriesMax || t.resultBytes > t.limits.resultBytesMax
}

// added keeps up what follows from the entries.
func (t *idempotency) added(e *entry, record []byte) {
	if e.bare {
		t.bare.add(e.key, e.timeMs)
	}
	t.resultBytes += len(e.result)
	t.hash += entryHash(record)
}

// forgetAged forgets entries that are too old at a log time.
func (t *idempotency) forgetAged(timeMs int64) {
	for range t.limits.agedPerCommandMax {
		if t.entries.count == 0 || parseEntry(t.entries.first()).timeMs > timeMs-t.limits.ageMaxMs {
			return
		}
		t.forgetFirst()
	}
}

// forgetFirst forgets the entry with the smallest time.
func (t *idempotency) forgetFirst() {
	record := t.entries.first()
	e := parseEntry(record)
	t.hash -= entryHash(record)
	t.resultBytes -= len(e.result)
	if e.bare {
		t.bare.remove(e.key)
	}
	t.mark = max(t.mark, e.timeMs)
	t.entries.removeFirst()
}
