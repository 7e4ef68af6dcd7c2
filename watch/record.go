package watch

import (
	"encoding/binary"
	"sync/atomic"

	"tally/counter"
)

// record is the events of one revision, packed. There are very many of them and
// most are never asked for, so a record is made quickly, in two pieces of memory
// without pointers between its events; what readers need is made of it when
// there are any. All but next is fixed when it is appended to the ring.
type record struct {
	revision uint64
	before   uint64 // revision of the record before it, 0 for the first
	packed   string // it has copies of all strings: a key is often a small part of a large request
	events   int
	runs     int
	bytes    int64 // what is charged for it

	// next is the record after it. It is nil in the newest, and again in one that
	// has been dropped. The writer sets it.
	next atomic.Pointer[record]
}

// A packed event, in the encodings of encoding/binary; text is a uvarint length
// and so many bytes:
//
//	fields byte   which of the next five are there; the others are those of the
//	              event before or, for the first, of counter.Event{Revision: that of the record}
//	group text, key text, user text, time varint, revision uvarint
//	kind byte, value varint, delta varint
//
// It exists in memory only, so it may change at any time.
const (
	hasGroup    = 1
	hasKey      = 2
	hasUser     = 4
	hasTime     = 8
	hasRevision = 16
)

// What is charged for a run and for an event apart from its strings: what they
// occupy when they are unpacked, and what an event's encoding has besides the strings.
const (
	runBytes   = 128
	eventBytes = 224
)

// pack returns a record of the events, of which there is at least one. buffer is
// memory to use again.
func pack(revision uint64, events []counter.Event, buffer *[]byte) *record {
	r := &record{revision: revision, events: len(events)}
	data := (*buffer)[:0]
	texts := 0
	before := &counter.Event{Revision: revision}
	for i := range events {
		e := &events[i]
		if i == 0 || e.Group != before.Group {
			r.runs++
		}
		data = appendPacked(data, e, before)
		texts += len(e.Group) + len(e.Key) + len(e.User)
		before = e
	}
	// Strings count twice: they are in the event and in its encoding.
	r.bytes = int64(r.runs*runBytes + len(events)*eventBytes + 2*texts)
	r.packed = string(data)
	*buffer = data
	return r
}

func appendPacked(data []byte, e, before *counter.Event) []byte {
	at := len(data)
	data = append(data, 0)
	fields := byte(0)
	if e.Group != before.Group {
		fields |= hasGroup
		data = appendText(data, e.Group)
	}
	if e.Key != before.Key {
		fields |= hasKey
		data = appendText(data, e.Key)
	}
	if e.User != before.User {
		fields |= hasUser
		data = appendText(data, e.User)
	}
	if e.TimeMs != before.TimeMs {
		fields |= hasTime
		data = binary.AppendVarint(data, e.TimeMs)
	}
	if e.Revision != before.Revision {
		fields |= hasRevision
		data = binary.AppendUvarint(data, e.Revision)
	}
	data[at] = fields
	data = append(data, byte(e.Kind))
	data = binary.AppendVarint(data, e.Value)
	return binary.AppendVarint(data, e.Delta)
}

func appendText(data []byte, text string) []byte {
	return append(binary.AppendUvarint(data, uint64(len(text))), text...)
}

// unpack returns the events. Their strings are parts of the record.
func (r *record) unpack() []counter.Event {
	events := make([]counter.Event, r.events)
	rest := unpacker(r.packed)
	before := counter.Event{Revision: r.revision}
	for i := range events {
		rest.event(&before)
		events[i] = before
	}
	return events
}

// unpacker is what is left of a packed record.
type unpacker string

// event makes the event before to the next one.
func (u *unpacker) event(e *counter.Event) {
	fields := u.byte()
	if fields&hasGroup != 0 {
		e.Group = u.text()
	}
	if fields&hasKey != 0 {
		e.Key = u.text()
	}
	if fields&hasUser != 0 {
		e.User = u.text()
	}
	if fields&hasTime != 0 {
		e.TimeMs = u.varint()
	}
	if fields&hasRevision != 0 {
		e.Revision = u.uvarint()
	}
	e.Kind = counter.Kind(u.byte())
	e.Value = u.varint()
	e.Delta = u.varint()
}

func (u *unpacker) byte() byte {
	b := (*u)[0]
	*u = (*u)[1:]
	return b
}

func (u *unpacker) uvarint() (value uint64) {
	for shift := 0; ; shift += 7 {
		b := u.byte()
		value |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return value
		}
	}
}

func (u *unpacker) varint() int64 {
	zigzag := u.uvarint()
	return int64(zigzag>>1) ^ -int64(zigzag&1)
}

func (u *unpacker) text() string {
	length := u.uvarint()
	text := (*u)[:length]
	*u = (*u)[length:]
	return string(text)
}
