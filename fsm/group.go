package fsm

import (
	"encoding/binary"
	"slices"
	"strings"

	"tally/counter"
)

// A group is the counters of one group, immutable: a change makes a new one. So
// a reader or a snapshot may keep one without a lock, and taking a change back
// means putting the old one in its place. The zero group has no counters; none
// like it is ever stored.
//
//	packed:
//	+---------------------+-----------+---------+-----------+---------+- - -
//	| modRevision uvarint | v0 varint | uvarint | v1 varint | uvarint |
//	+---------------------+-----------+---------+-----------+---------+- - -
//	                        value       modRevision of the group
//	                                    minus that of the counter
//
// one pair for each key of the shape, in its order.
type group struct {
	shape  *shape
	packed string
}

func (g group) exists() bool { return g.shape != nil }

func (g group) size() int {
	if !g.exists() {
		return 0
	}
	return g.shape.count
}

func (g group) modRevision() uint64 {
	if !g.exists() {
		return 0
	}
	revision, _ := uvarintAt(g.packed, 0)
	return revision
}

// value returns one counter without looking at the ones after it.
func (g group) value(key string) (value int64, found bool) {
	if !g.exists() {
		return 0, false
	}
	position := g.shape.find(key)
	if position < 0 {
		return 0, false
	}
	_, at := uvarintAt(g.packed, 0)
	for range position {
		at = skipUvarint(g.packed, skipUvarint(g.packed, at))
	}
	zigzag, _ := uvarintAt(g.packed, at)
	return unzigzag(zigzag), true
}

func skipUvarint(packed string, at int) int {
	for packed[at] >= 0x80 {
		at++
	}
	return at + 1
}

// counters returns the counters whose keys are wanted, sorted by key; no keys
// at all means every counter.
func (g group) counters(wanted []string) []counter.Counter {
	if len(wanted) == 1 {
		if value, found := g.value(wanted[0]); found {
			return []counter.Counter{{Key: wanted[0], Value: value}}
		}
		return nil
	}
	if !g.exists() {
		return nil
	}
	list := make([]counter.Counter, 0, g.shape.count)
	var cells cells
	cells.unpack(g)
	for _, c := range cells.list() {
		if len(wanted) == 0 || slices.Contains(wanted, c.key) {
			list = append(list, counter.Counter{Key: c.key, Value: c.value})
		}
	}
	return list
}

// cell is one counter, unpacked.
type cell struct {
	key         string
	value       int64
	modRevision uint64
}

// cells are the counters of one group unpacked, to be changed and packed
// again, sorted by key.
type cells struct {
	count       int
	cells       [counter.GroupCountersMax]cell
	keysChanged bool // the keys are no longer those of the group that was unpacked
}

func (c *cells) list() []cell { return c.cells[:c.count] }

func (c *cells) unpack(g group) {
	c.count, c.keysChanged = g.size(), false
	if !g.exists() {
		return
	}
	modRevision, at := uvarintAt(g.packed, 0)
	keys := g.shape.keys
	for i := range c.list() {
		length, keyAt := uvarintAt(keys, 0)
		keyEnd := keyAt + int(length)
		zigzag, deltaAt := uvarintAt(g.packed, at)
		delta, next := uvarintAt(g.packed, deltaAt)
		c.cells[i] = cell{key: keys[keyAt:keyEnd], value: unzigzag(zigzag), modRevision: modRevision - delta}
		keys, at = keys[keyEnd:], next
	}
}

func (c *cells) find(key string) (at int, found bool) {
	return slices.BinarySearchFunc(c.list(), key, func(c cell, key string) int { return strings.Compare(c.key, key) })
}

// insert adds a counter at its place. There must be room.
func (c *cells) insert(at int, added cell) {
	copy(c.cells[at+1:c.count+1], c.cells[at:c.count])
	c.cells[at] = added
	c.count++
	c.keysChanged = true
}

func (c *cells) remove(at int) {
	copy(c.cells[at:], c.cells[at+1:c.count])
	c.count--
	c.keysChanged = true
}

// appendPacked appends the packed form with the given modRevision of the group.
func (c *cells) appendPacked(dst []byte, modRevision uint64) []byte {
	dst = binary.AppendUvarint(dst, modRevision)
	for i := range c.list() {
		dst = binary.AppendVarint(dst, c.cells[i].value)
		dst = binary.AppendUvarint(dst, modRevision-c.cells[i].modRevision)
	}
	return dst
}

// appendKeys appends the keys as a shape holds them.
func (c *cells) appendKeys(dst []byte) []byte {
	for i := range c.list() {
		dst = appendText(dst, c.cells[i].key)
	}
	return dst
}
