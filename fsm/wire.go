package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// castagnoli is CRC-32C (RFC 3720, appendix B.4), which processors compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The encodings that commands, packed groups and snapshots share:
//
//	uvarint   unsigned LEB128 of a uint64, in as few bytes as it takes
//	varint    uvarint of the zigzag of an int64: 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
//	text      uvarint length, then so many bytes
//	uint32, uint64, int64   fixed size, big-endian
//
// A number has one spelling: a varint that carries a useless last byte is
// refused, so that equal content always has equal bytes.

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// uvarintAt reads the uvarint that starts at text[at] and returns where the
// next thing starts, or -1 when there is no uvarint in its one spelling.
func uvarintAt(text string, at int) (value uint64, next int) {
	for shift := uint(0); shift < 64 && at < len(text); shift += 7 {
		b := text[at]
		at++
		if b >= 0x80 {
			value |= uint64(b&0x7f) << shift
			continue
		}
		useless := b == 0 && shift > 0
		overflows := shift == 63 && b > 1
		if useless || overflows {
			return 0, -1
		}
		return value | uint64(b)<<shift, at
	}
	return 0, -1
}

func unzigzag(value uint64) int64 { return int64(value>>1) ^ -int64(value&1) }

var errEnds = errors.New("it ends too early")

// reader takes a text apart. After the first failure it returns zeros, so that
// a caller may look at err once, at the end, as long as it allocates only what
// count allows.
type reader struct {
	text string
	at   int
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.text)
}

func (r *reader) failf(format string, arguments ...any) {
	// After a failure the callers go on for a while, and fail at every step.
	if r.err == nil {
		r.fail(fmt.Errorf(format, arguments...))
	}
}

func (r *reader) remaining() int { return len(r.text) - r.at }

func (r *reader) byte() byte {
	if r.remaining() < 1 {
		r.fail(errEnds)
		return 0
	}
	b := r.text[r.at]
	r.at++
	return b
}

func (r *reader) uint64() uint64 {
	if r.remaining() < 8 {
		r.fail(errEnds)
		return 0
	}
	var value uint64
	for _, b := range []byte(r.text[r.at : r.at+8]) {
		value = value<<8 | uint64(b)
	}
	r.at += 8
	return value
}

func (r *reader) uvarint() uint64 {
	value, next := uvarintAt(r.text, r.at)
	if next < 0 {
		r.failf("there is no varint at byte %d", r.at)
		return 0
	}
	r.at = next
	return value
}

func (r *reader) varint() int64 { return unzigzag(r.uvarint()) }

// string returns a substring: it keeps the whole text alive.
func (r *reader) string() string {
	length := r.uvarint()
	if length > uint64(r.remaining()) {
		r.fail(errEnds)
		return ""
	}
	text := r.text[r.at : r.at+int(length)]
	r.at += int(length)
	return text
}

// count reads how many elements follow, each of which takes at least so many
// bytes. It refuses a number that cannot be true, so that a few hostile bytes
// never make the caller allocate much.
func (r *reader) count(elementBytesMin int) int {
	count := r.uvarint()
	if count > uint64(r.remaining()/elementBytesMin) {
		r.failf("%d elements are announced and %d bytes are left", count, r.remaining())
		return 0
	}
	return int(count)
}

// end returns the first failure, or an error if anything is left over.
func (r *reader) end() error {
	if r.err == nil && r.remaining() > 0 {
		r.failf("%d bytes are left over", r.remaining())
	}
	return r.err
}
