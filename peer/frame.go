package peer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// After the hellos a connection for calls carries frames in both directions.
// Requests go from the side that dialed to the side that accepted; replies and
// errors come back in any order.
//
//	 0        4      5        6                14               18
//	+--------+------+--------+----------------+----------------+---------
//	| length | kind | method | id             | timeout, ms    | payload
//	+--------+------+--------+----------------+----------------+---------
//
//	length:  bytes after this field, 14 to 14 + 4 MiB
//	kind:    1 request, 2 reply, 3 error, 4 ping, 5 pong
//	method:  of a request; of an error: what went wrong, 1 unknown method,
//	         2 too many unanswered calls, 3 the reply is too large; else 0
//	id:      of a request, chosen by the caller and repeated by the reply
//	timeout: what is left of the caller's time when it wrote the request, 0 for
//	         no end; 0 in all other kinds
//
// Numbers are big endian. There is no checksum: TCP has one, and what must not
// be changed on the way (commands) carries its own.
const (
	frameLengthBytes = 4
	frameFixedBytes  = 14 // after the length
	frameHeaderBytes = frameLengthBytes + frameFixedBytes

	// PayloadBytesMax bounds the payload of a request and of a reply.
	PayloadBytesMax = 4 << 20
)

type frameKind uint8

const (
	frameRequest frameKind = 1
	frameReply   frameKind = 2
	frameError   frameKind = 3
	framePing    frameKind = 4
	framePong    frameKind = 5
)

// What an error frame says, in the place of the method.
const (
	failUnknownMethod Method = 1
	failBusy          Method = 2
	failReplyTooLarge Method = 3
)

type frame struct {
	kind      frameKind
	method    Method
	id        uint64
	timeoutMs uint32
	payload   []byte
}

// appendFrame adds the encoded frame. The payload is copied.
func appendFrame(dst []byte, f frame) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(frameFixedBytes+len(f.payload)))
	dst = append(dst, byte(f.kind), byte(f.method))
	dst = binary.BigEndian.AppendUint64(dst, f.id)
	dst = binary.BigEndian.AppendUint32(dst, f.timeoutMs)
	return append(dst, f.payload...)
}

// readFrame reads one frame. Its payload is memory of its own, nil if empty.
// Any error leaves the reader at an unknown place: the connection is lost.
func readFrame(r *bufio.Reader) (frame, error) {
	header, err := r.Peek(frameHeaderBytes)
	if err != nil {
		if err == io.EOF && len(header) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	length := binary.BigEndian.Uint32(header)
	if length < frameFixedBytes || length > frameFixedBytes+PayloadBytesMax {
		return frame{}, fmt.Errorf("peer: a frame of %d bytes", length)
	}
	f := frame{
		kind:      frameKind(header[4]),
		method:    Method(header[5]),
		id:        binary.BigEndian.Uint64(header[6:]),
		timeoutMs: binary.BigEndian.Uint32(header[14:]),
	}
	if f.kind < frameRequest || f.kind > framePong {
		return frame{}, fmt.Errorf("peer: a frame of kind %d", f.kind)
	}
	if _, err := r.Discard(frameHeaderBytes); err != nil {
		return frame{}, err
	}
	if length == frameFixedBytes {
		return f, nil
	}
	f.payload = make([]byte, length-frameFixedBytes)
	if _, err := io.ReadFull(r, f.payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	return f, nil
}

// frameID and frameLength read one frame of a buffer that appendFrame wrote.
func frameID(data []byte) uint64  { return binary.BigEndian.Uint64(data[6:]) }
func frameLength(data []byte) int { return frameLengthBytes + int(binary.BigEndian.Uint32(data)) }
