package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/cespare/xxhash/v2"

	"tally/watch"
)

// The cursor of a watch of many groups says up to where they have been given,
// and for which groups that holds, so that a group which the next request adds
// begins with a reset. It goes out with each message, so it holds no names:
//
//	 0         1          9         11
//	+---------+----------+---------+---------+-----+---------+------+-- - - --+-------+
//	| version | position | groups  | check 1 | ... | check n | m    | ahead   | CRC32C|
//	| 1 byte  | 8        | 2       | 8       |     | 8       | 2    | 16 each | 4     |
//	+---------+----------+---------+---------+-----+---------+------+-- - - --+-------+
//
// all big-endian, then in base64 for URLs without padding. n is the number of
// groups, at most checksMax. The fingerprint of a group is a hash of its ID and
// of the keys that are watched.
//
// Of up to checksMax groups there is one check each: its fingerprint, ascending.
// Of more there are checksMax sums, modulo 2^64, of the fingerprints whose six
// highest bits are the number of the check, counted from 0. A sum holds for all
// groups that it was made of. If it does not hold, but does without one of the
// groups, that one is new; otherwise all its groups count as new, and begin with a
// reset that they did not need. See docs/decisions/0004-watch-cursors.md.
//
// Ahead are the groups whose own position is later, each as its fingerprint and
// position; there are hardly ever any.
const (
	cursorVersion    = 1
	cursorHeadBytes  = 1 + 8 + 2
	cursorAheadBytes = 8 + 8
	checksMax        = 64
	checkShift       = 64 - 6 // of a fingerprint, to the number of its sum
)

var (
	cursorText  = base64.RawURLEncoding.Strict() // one spelling for each cursor
	cursorTable = crc32.MakeTable(crc32.Castagnoli)
)

// checks are what a cursor knows of its groups.
type checks struct {
	groups int
	values []uint64
}

// aheadGroup is a group whose position is later than the cursor's.
type aheadGroup struct{ fingerprint, position uint64 }

// watchCursor is a decoded cursor.
type watchCursor struct {
	position uint64
	checks   checks
	ahead    map[uint64]uint64 // fingerprint to position, of those that are ahead
}

// fingerprint tells groups and choices of keys apart, equally on every node.
// Neither IDs nor keys contain the control character that parts them.
func fingerprint(s *watch.Selection) uint64 {
	buffer := append(make([]byte, 0, 256), s.Group...)
	for _, key := range slices.Sorted(slices.Values(s.Keys)) {
		buffer = append(buffer, 0)
		buffer = append(buffer, key...)
	}
	return xxhash.Sum64(buffer)
}

func newChecks(selections []watch.Selection) checks {
	c := checks{groups: len(selections), values: make([]uint64, min(len(selections), checksMax))}
	for i := range selections {
		if f := fingerprint(&selections[i]); c.each() {
			c.values[i] = f
		} else {
			c.values[f>>checkShift] += f
		}
	}
	if c.each() {
		slices.Sort(c.values)
	}
	return c
}

// each says that there is a check for each group.
func (c checks) each() bool { return c.groups <= checksMax }

// known says which of the selections the checks were made of.
func (c checks) known(selections []watch.Selection) []bool {
	known := make([]bool, len(selections))
	fingerprints := make([]uint64, len(selections))
	var sums [checksMax]uint64
	for i := range selections {
		f := fingerprint(&selections[i])
		fingerprints[i] = f
		sums[f>>checkShift] += f
	}
	for i, f := range fingerprints {
		if c.each() {
			_, known[i] = slices.BinarySearch(c.values, f)
		} else {
			bucket := f >> checkShift
			known[i] = c.holds(fingerprints, bucket, sums[bucket], f)
		}
	}
	return known
}

// holds says whether the sum of a bucket shows that f is part of it: f is among
// all the bucket's groups, or among all but one.
func (c checks) holds(fingerprints []uint64, bucket, sum, f uint64) bool {
	surplus := sum - c.values[bucket]
	if surplus == 0 {
		return true
	}
	return surplus != f && surplus>>checkShift == bucket && slices.Contains(fingerprints, surplus)
}

// appendCursor appends the cursor of a position, with the groups ahead of it.
func (c checks) appendCursor(out []byte, position uint64, ahead []aheadGroup) []byte {
	raw := append(make([]byte, 0, 640), cursorVersion)
	raw = binary.BigEndian.AppendUint64(raw, position)
	raw = binary.BigEndian.AppendUint16(raw, uint16(c.groups))
	for _, value := range c.values {
		raw = binary.BigEndian.AppendUint64(raw, value)
	}
	raw = binary.BigEndian.AppendUint16(raw, uint16(len(ahead)))
	for _, g := range ahead {
		raw = binary.BigEndian.AppendUint64(raw, g.fingerprint)
		raw = binary.BigEndian.AppendUint64(raw, g.position)
	}
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum(raw, cursorTable))
	return cursorText.AppendEncode(out, raw)
}

// decodeWatchCursor reads a cursor; ok is false for anything that appendCursor
// did not write.
func decodeWatchCursor(text string) (c watchCursor, ok bool) {
	raw, err := cursorText.DecodeString(text)
	if err != nil || len(raw) < cursorHeadBytes+2+4 || raw[0] != cursorVersion {
		return c, false
	}
	body, sum := raw[:len(raw)-4], binary.BigEndian.Uint32(raw[len(raw)-4:])
	if crc32.Checksum(body, cursorTable) != sum {
		return c, false
	}
	c.position = binary.BigEndian.Uint64(body[1:])
	c.checks.groups = int(binary.BigEndian.Uint16(body[9:]))
	n := min(c.checks.groups, checksMax)
	rest := body[cursorHeadBytes:]
	if n == 0 || c.checks.groups > watchGroupsMax || len(rest) < 8*n+2 {
		return c, false
	}
	c.checks.values = make([]uint64, n)
	for i := range c.checks.values {
		c.checks.values[i] = binary.BigEndian.Uint64(rest[8*i:])
	}
	rest = rest[8*n:]
	return c, (!c.checks.each() || slices.IsSorted(c.checks.values)) && c.decodeAhead(rest)
}

func (c *watchCursor) decodeAhead(rest []byte) bool {
	m := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if m > c.checks.groups || len(rest) != cursorAheadBytes*m {
		return false
	}
	c.ahead = make(map[uint64]uint64, m)
	for ; len(rest) > 0; rest = rest[cursorAheadBytes:] {
		position := binary.BigEndian.Uint64(rest[8:])
		if position <= c.position {
			return false
		}
		c.ahead[binary.BigEndian.Uint64(rest)] = position
	}
	return true
}
