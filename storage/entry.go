package storage

import (
	"encoding/binary"
	"time"

	"github.com/hashicorp/raft"
)

// A log entry in log.bolt is the MessagePack map that raft-boltdb v2 makes of
// raft.Log, byte for byte: either program reads what the other wrote. Written
// out here, it takes no reflection and no allocation, where the library builds
// a new table of types for every entry.
//
//	0x86                    a map of six, in this order:
//	"AppendedAt"            nil for the zero time, else raw bytes, big-endian:
//	                          4   seconds
//	                          8   30 bits of nanoseconds, 34 bits of seconds
//	                          12  nanoseconds uint32, seconds int64
//	"Data", "Extensions"    raw bytes, or nil
//	"Index", "Term", "Type" unsigned integers, in as few bytes as they take
const (
	entryAppendedAt = "\x86\xaaAppendedAt"
	entryData       = "\xa4Data"
	entryExtensions = "\xaaExtensions"
	entryIndex      = "\xa5Index"
	entryTerm       = "\xa4Term"
	entryType       = "\xa4Type"
)

// The bytes of MessagePack that an entry needs (its specification, "Formats";
// raw bytes are in the old notation, which knows no bin and no str 8).
const (
	packNil      = 0xc0
	packUint8    = 0xcc
	packUint16   = 0xcd
	packUint32   = 0xce
	packUint64   = 0xcf
	packRaw16    = 0xda
	packRaw32    = 0xdb
	packFixedRaw = 0xa0 // and the length, below 32
	packFixedInt = 0x7f // the greatest number that is its own byte

	fixedRawMax = 31
	secondsBits = 34
)

func appendEntry(dst []byte, entry *raft.Log) []byte {
	dst = appendPackedTime(append(dst, entryAppendedAt...), entry.AppendedAt)
	dst = appendPackedRaw(append(dst, entryData...), entry.Data)
	dst = appendPackedRaw(append(dst, entryExtensions...), entry.Extensions)
	dst = appendPackedUint(append(dst, entryIndex...), entry.Index)
	dst = appendPackedUint(append(dst, entryTerm...), entry.Term)
	return appendPackedUint(append(dst, entryType...), uint64(entry.Type))
}

func appendPackedTime(dst []byte, t time.Time) []byte {
	seconds, nanoseconds := t.Unix(), uint64(t.Nanosecond())
	switch {
	case t.IsZero():
		return append(dst, packNil)
	case seconds < 0 || seconds>>secondsBits != 0:
		dst = binary.BigEndian.AppendUint32(append(dst, packFixedRaw|12), uint32(nanoseconds))
		return binary.BigEndian.AppendUint64(dst, uint64(seconds))
	case nanoseconds == 0 && seconds>>32 == 0:
		return binary.BigEndian.AppendUint32(append(dst, packFixedRaw|4), uint32(seconds))
	}
	return binary.BigEndian.AppendUint64(append(dst, packFixedRaw|8), nanoseconds<<secondsBits|uint64(seconds))
}

func appendPackedRaw(dst, data []byte) []byte {
	switch n := len(data); {
	case data == nil:
		return append(dst, packNil)
	case n <= fixedRawMax:
		dst = append(dst, packFixedRaw|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, packRaw16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, packRaw32), uint32(n))
	}
	return append(dst, data...)
}

func appendPackedUint(dst []byte, n uint64) []byte {
	switch {
	case n <= packFixedInt:
		return append(dst, byte(n))
	case n < 1<<8:
		return append(dst, packUint8, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, packUint16), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, packUint32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, packUint64), n)
}

// decodeEntry is the inverse of appendEntry. What it returns shares nothing with
// data, which is a part of the mapped file. It fails with ErrDamaged.
func decodeEntry(data []byte, entry *raft.Log) error {
	p := unpacker{rest: data}
	var decoded raft.Log
	p.expect(entryAppendedAt)
	decoded.AppendedAt = p.time()
	p.expect(entryData)
	decoded.Data = p.raw()
	p.expect(entryExtensions)
	decoded.Extensions = p.raw()
	p.expect(entryIndex)
	decoded.Index = p.uint()
	p.expect(entryTerm)
	decoded.Term = p.uint()
	p.expect(entryType)
	kind := p.uint()
	if p.failed || len(p.rest) > 0 || kind > 0xff {
		return damaged("an entry of %d bytes cannot be read", len(data))
	}
	decoded.Type = raft.LogType(kind)
	decoded.Data, decoded.Extensions = copied(decoded.Data), copied(decoded.Extensions)
	*entry = decoded
	return nil
}

// copied tells nil from no bytes, as the encoding does.
func copied(data []byte) []byte {
	if data == nil {
		return nil
	}
	return append(make([]byte, 0, len(data)), data...)
}

// unpacker takes an entry apart. After the first failure everything is zero.
type unpacker struct {
	rest   []byte
	failed bool
}

// take returns the next n bytes, or nil after a failure.
func (p *unpacker) take(n uint64) []byte {
	if p.failed || n > uint64(len(p.rest)) {
		p.failed = true
		return nil
	}
	taken := p.rest[:n:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *unpacker) expect(text string) {
	if string(p.take(uint64(len(text)))) != text {
		p.failed = true
	}
}

// number reads a big-endian number of n bytes.
func (p *unpacker) number(n uint64) (value uint64) {
	for _, b := range p.take(n) {
		value = value<<8 | uint64(b)
	}
	return value
}

func (p *unpacker) uint() uint64 {
	switch kind := p.number(1); kind {
	case packUint8:
		return p.number(1)
	case packUint16:
		return p.number(2)
	case packUint32:
		return p.number(4)
	case packUint64:
		return p.number(8)
	default:
		p.failed = p.failed || kind > packFixedInt
		return kind
	}
}

func (p *unpacker) raw() []byte {
	switch kind := p.number(1); {
	case kind == packNil:
		return nil
	case kind == packRaw16:
		return p.take(p.number(2))
	case kind == packRaw32:
		return p.take(p.number(4))
	case kind&^fixedRawMax == packFixedRaw:
		return p.take(kind & fixedRawMax)
	}
	p.failed = true
	return nil
}

func (p *unpacker) time() time.Time {
	switch packed := (unpacker{rest: p.raw()}); len(packed.rest) {
	case 0:
		return time.Time{}
	case 4:
		return time.Unix(int64(packed.number(4)), 0).UTC()
	case 8:
		both := packed.number(8)
		return time.Unix(int64(both&(1<<secondsBits-1)), int64(both>>secondsBits)).UTC()
	case 12:
		nanoseconds := packed.number(4)
		return time.Unix(int64(packed.number(8)), int64(nanoseconds)).UTC()
	}
	p.failed = true
	return time.Time{}
}
