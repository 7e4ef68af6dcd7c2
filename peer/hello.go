package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
)

// Hello is what a node says of itself when a connection is made. The port
// carries it and compares cluster IDs and, when it dials a node by its ID, node
// IDs; what else it means is for Config.Admit.
type Hello struct {
	NodeID         string
	Incarnation    string // of the node's data directory
	ClusterID      string // empty until the node belongs to a cluster
	PeerAddr       string // where other nodes reach this port, host:port
	HTTPURL        string // where clients reach the node
	CommandVersion uint8  // the newest command version the node understands
}

// A connection begins with three messages: the side that dialed says hello, the
// other accepts with its own hello or refuses, the first confirms or refuses.
//
//	 0               4         6      7      8         10             10+n     14+n
//	+---------------+---------+------+------+---------+----- ... -----+---------+
//	| magic "TLYp"  | version | type | kind | n       | body          | CRC32C  |
//	+---------------+---------+------+------+---------+----- ... -----+---------+
//
//	type 1 hello, 2 accepted: body is the Hello as below
//	type 3 refused:           body is one string, the reason
//	type 4 confirmed:         body is empty
//	kind 1 raft:              messages of raft.NetworkTransport follow
//	kind 2 calls:             frames follow (frame.go)
//	kind 3 entries:           Raft's AppendEntries follow (entries.go)
//
//	+----+----+----+----+----+-----------------+
//	| s  | s  | s  | s  | s  | command version |    s: length u16, bytes
//	+----+----+----+----+----+-----------------+
//	node ID, incarnation, cluster ID, peer address, HTTP URL
//
// Numbers are big endian; the CRC (Castagnoli) covers all that precedes it. The
// outer layout is the same in every version, so that a node can read, and
// refuse with a reason, what a newer node says.
const (
	protocolVersion = 1

	greetingMagic      = "TLYp"
	greetingHeader     = 10
	greetingBytesMax   = 4096 // of a whole message
	greetingBodyMax    = greetingBytesMax - greetingHeader - crc32.Size
	refusalReasonBytes = 1024 // a longer reason is cut
)

type greetingType uint8

const (
	greetingHello     greetingType = 1
	greetingAccepted  greetingType = 2
	greetingRefused   greetingType = 3
	greetingConfirmed greetingType = 4
)

// streamKind says what follows the hello.
type streamKind uint8

const (
	kindRaft    streamKind = 1
	kindCalls   streamKind = 2
	kindEntries streamKind = 3
)

// String is the kind's label in metrics.
func (k streamKind) String() string {
	switch k {
	case kindRaft:
		return "raft"
	case kindCalls:
		return "calls"
	case kindEntries:
		return "entries"
	}
	return "unknown"
}

// errGarbage says that the other side does not speak this protocol at all, or
// not correctly. Such a connection is closed without an answer.
var errGarbage = errors.New("not a peer hello")

// greeting is one message of the beginning of a connection.
type greeting struct {
	version uint16
	typ     greetingType
	kind    streamKind
	body    []byte
}

func (g greeting) encode() ([]byte, error) {
	if len(g.body) > greetingBodyMax {
		return nil, fmt.Errorf("peer: a hello of %d bytes is larger than %d", len(g.body), greetingBodyMax)
	}
	data := make([]byte, 0, greetingHeader+len(g.body)+crc32.Size)
	data = append(data, greetingMagic...)
	data = binary.BigEndian.AppendUint16(data, g.version)
	data = append(data, byte(g.typ), byte(g.kind))
	data = binary.BigEndian.AppendUint16(data, uint16(len(g.body)))
	data = append(data, g.body...)
	return binary.BigEndian.AppendUint32(data, checksum(data)), nil
}

// readGreeting reads exactly one message and not a byte more: what follows
// belongs to the decoder of the stream. Unknown versions, types and kinds are
// returned as they are.
func readGreeting(r io.Reader) (greeting, error) {
	data := make([]byte, greetingHeader, 256)
	if _, err := io.ReadFull(r, data); err != nil {
		return greeting{}, err
	}
	if string(data[:4]) != greetingMagic {
		return greeting{}, fmt.Errorf("%w: it begins with %q", errGarbage, data[:4])
	}
	n := int(binary.BigEndian.Uint16(data[8:]))
	if n > greetingBodyMax {
		return greeting{}, fmt.Errorf("%w: its body has %d bytes, at most %d are allowed", errGarbage, n, greetingBodyMax)
	}
	data = append(data, make([]byte, n+crc32.Size)...)
	if _, err := io.ReadFull(r, data[greetingHeader:]); err != nil {
		return greeting{}, err
	}
	covered, sum := data[:greetingHeader+n], data[greetingHeader+n:]
	if binary.BigEndian.Uint32(sum) != checksum(covered) {
		return greeting{}, fmt.Errorf("%w: its checksum is wrong", errGarbage)
	}
	return greeting{
		version: binary.BigEndian.Uint16(data[4:]),
		typ:     greetingType(data[6]),
		kind:    streamKind(data[7]),
		body:    covered[greetingHeader:],
	}, nil
}

func (h Hello) appendTo(dst []byte) ([]byte, error) {
	for _, s := range []string{h.NodeID, h.Incarnation, h.ClusterID, h.PeerAddr, h.HTTPURL} {
		if len(s) > math.MaxUint16 {
			return nil, fmt.Errorf("peer: a string of %d bytes in a hello", len(s))
		}
		dst = appendString(dst, s)
	}
	return append(dst, h.CommandVersion), nil
}

func decodeHello(body []byte) (Hello, error) {
	var h Hello
	var ok bool
	for _, field := range []*string{&h.NodeID, &h.Incarnation, &h.ClusterID, &h.PeerAddr, &h.HTTPURL} {
		if *field, body, ok = cutString(body); !ok {
			return Hello{}, fmt.Errorf("%w: its body is cut short", errGarbage)
		}
	}
	if len(body) != 1 {
		return Hello{}, fmt.Errorf("%w: %d bytes where the command version should be", errGarbage, len(body))
	}
	h.CommandVersion = body[0]
	return h, nil
}

func encodeReason(reason string) []byte {
	if len(reason) > refusalReasonBytes {
		reason = strings.ToValidUTF8(reason[:refusalReasonBytes], "")
	}
	return appendString(nil, reason)
}

func decodeReason(body []byte) (string, error) {
	reason, rest, ok := cutString(body)
	if !ok || len(rest) != 0 {
		return "", fmt.Errorf("%w: its reason is cut short", errGarbage)
	}
	return strings.ToValidUTF8(reason, "\uFFFD"), nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func cutString(data []byte) (s string, rest []byte, ok bool) {
	if len(data) < 2 {
		return "", nil, false
	}
	n := int(binary.BigEndian.Uint16(data))
	if len(data) < 2+n {
		return "", nil, false
	}
	return string(data[2 : 2+n]), data[2+n:], true
}

func checksum(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}
