package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// After the hellos a connection for entries carries Raft's AppendEntries
// (the paper's figure 2), heartbeats among them: a request of the side that
// dialed, its reply, the next request.
//
// A request, and behind it each of its entries:
//
//	 0         1      9               17             25       33      37      41
//	+---------+------+---------------+--------------+--------+-------+-------+----+---------+
//	| version | term | previous index| previous term| commit | count | bytes | id | address |
//	+---------+------+---------------+--------------+--------+-------+-------+----+---------+
//
//	 0       8      16          24     25     29           33
//	+-------+------+-----------+------+------+------------+------+------------+
//	| index | term | appended  | type | data | extensions | data | extensions |
//	|       |      |           |      | size | size       |      |            |
//	+-------+------+-----------+------+------+------------+------+------------+
//
//	version:     of Raft's protocol, in messages of the library
//	count:       how many entries follow
//	bytes:       of all their data and extensions; a hint for who takes memory
//	id, address: who sends; length u16, bytes
//	appended:    when the leader made the entry, nanoseconds since 1970, 0 for no time
//
// A reply, which is an answer or says what went wrong:
//
//	 0   1         2       3      11         19
//	+---+---------+-------+------+----------+----+---------+    +---+--------+
//	| 1 | version | flags | term | last log | id | address |    | 2 | reason |
//	+---+---------+-------+------+----------+----+---------+    +---+--------+
//
//	flags:       1 success, 2 no need to wait before the next request
//	reason:      length u16, bytes
//
// Numbers are big endian. The library would carry the same in MessagePack by
// reflection, which took some 5 % of the processor of a change.
const (
	entriesHeaderBytes = 41
	entryHeaderBytes   = 33

	entriesAnswer  = 1
	entriesFailure = 2
	answerBytes    = 19 // before the id

	answerSuccess        = 1
	answerNoRetryBackoff = 2

	// entryBytesMax bounds the data, and the extensions, of one entry. Commands are
	// far smaller; it is against messages that are none.
	entryBytesMax = 64 << 20
	// entriesCountMax bounds the entries of a request; the library sends
	// raft.Config.MaxAppendEntries of them, 1,024 at most.
	entriesCountMax = 1 << 16
	// entriesArenaBytes is how much memory entries share at most, so that one that
	// is kept does not keep much more than itself.
	entriesArenaBytes = 64 << 10
)

// errEntriesGarbage says that a message on a connection for entries cannot be
// read. Where the next one begins is then unknown: the connection is lost.
var errEntriesGarbage = errors.New("peer: a message of entries that cannot be read")

// appendEntriesRequest adds an encoded request. The deprecated name of the
// leader is left out, since the header has it.
func appendEntriesRequest(dst []byte, r *raft.AppendEntriesRequest) ([]byte, error) {
	if len(r.Entries) > entriesCountMax {
		return nil, fmt.Errorf("peer: %d entries in one request, at most %d are allowed", len(r.Entries), entriesCountMax)
	}
	total := 0
	for _, e := range r.Entries {
		if len(e.Data) > entryBytesMax || len(e.Extensions) > entryBytesMax {
			return nil, fmt.Errorf("peer: entry %d has %d bytes and %d of extensions, at most %d are allowed", e.Index, len(e.Data), len(e.Extensions), entryBytesMax)
		}
		total += len(e.Data) + len(e.Extensions)
	}
	dst = slices.Grow(dst, entriesHeaderBytes+2+len(r.ID)+2+len(r.Addr)+len(r.Entries)*entryHeaderBytes+total)
	dst = append(dst, byte(r.ProtocolVersion))
	for _, n := range [...]uint64{r.Term, r.PrevLogEntry, r.PrevLogTerm, r.LeaderCommitIndex} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Entries)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(min(total, 1<<32-1)))
	dst = appendString(appendString(dst, string(r.ID)), string(r.Addr))
	for _, e := range r.Entries {
		dst = appendEntry(dst, e)
	}
	return dst, nil
}

func appendEntry(dst []byte, e *raft.Log) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.Index)
	dst = binary.BigEndian.AppendUint64(dst, e.Term)
	appended := int64(0)
	if !e.AppendedAt.IsZero() {
		appended = e.AppendedAt.UnixNano()
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(appended))
	dst = append(dst, byte(e.Type))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Data)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Extensions)))
	return append(append(dst, e.Data...), e.Extensions...)
}

// entriesReader reads requests from one connection.
type entriesReader struct {
	buffer *bufio.Reader
	arena  []byte // what is left of the memory that entries share
	bytes  int    // that are announced and not yet taken from an arena
}

// request reads a request. Nothing in it is used again by the reader. It fails
// with io.EOF only between two requests.
func (r *entriesReader) request() (*raft.AppendEntriesRequest, error) {
	if _, err := r.buffer.Peek(1); err != nil {
		return nil, err
	}
	header, err := r.buffer.Peek(entriesHeaderBytes)
	if err != nil {
		return nil, cutShort(err)
	}
	request := &raft.AppendEntriesRequest{
		RPCHeader:         raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(header[0])},
		Term:              binary.BigEndian.Uint64(header[1:]),
		PrevLogEntry:      binary.BigEndian.Uint64(header[9:]),
		PrevLogTerm:       binary.BigEndian.Uint64(header[17:]),
		LeaderCommitIndex: binary.BigEndian.Uint64(header[25:]),
	}
	count := binary.BigEndian.Uint32(header[33:])
	r.bytes = int(binary.BigEndian.Uint32(header[37:]))
	if count > entriesCountMax {
		return nil, fmt.Errorf("%w: it has %d entries, at most %d are allowed", errEntriesGarbage, count, entriesCountMax)
	}
	if _, err := r.buffer.Discard(entriesHeaderBytes); err != nil {
		return nil, err
	}
	if request.ID, err = readString(r.buffer); err != nil {
		return nil, err
	}
	if request.Addr, err = readString(r.buffer); err != nil {
		return nil, err
	}
	r.arena = nil
	request.Entries, err = r.entries(int(count))
	return request, err
}

func (r *entriesReader) entries(count int) ([]*raft.Log, error) {
	if count == 0 {
		return nil, nil
	}
	// Taken as they come, because the count is only what the other side says.
	entries := make([]*raft.Log, 0, min(count, 1024))
	var group []raft.Log
	for len(entries) < count {
		if len(group) == 0 {
			group = make([]raft.Log, min(count-len(entries), 64))
		}
		if err := r.entry(&group[0]); err != nil {
			return nil, cutShort(err)
		}
		entries, group = append(entries, &group[0]), group[1:]
	}
	return entries, nil
}

func (r *entriesReader) entry(e *raft.Log) error {
	header, err := r.buffer.Peek(entryHeaderBytes)
	if err != nil {
		return err
	}
	e.Index = binary.BigEndian.Uint64(header)
	e.Term = binary.BigEndian.Uint64(header[8:])
	if appended := int64(binary.BigEndian.Uint64(header[16:])); appended != 0 {
		e.AppendedAt = time.Unix(0, appended)
	}
	e.Type = raft.LogType(header[24])
	data, extensions := int(binary.BigEndian.Uint32(header[25:])), int(binary.BigEndian.Uint32(header[29:]))
	if data > entryBytesMax || extensions > entryBytesMax {
		return fmt.Errorf("%w: entry %d has %d bytes and %d of extensions, at most %d are allowed", errEntriesGarbage, e.Index, data, extensions, entryBytesMax)
	}
	if _, err := r.buffer.Discard(entryHeaderBytes); err != nil {
		return err
	}
	if e.Data, err = r.take(data); err != nil {
		return err
	}
	e.Extensions, err = r.take(extensions)
	return err
}

// take reads n bytes into memory of their own, nil for none.
func (r *entriesReader) take(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if n > len(r.arena) {
		r.arena = make([]byte, max(n, min(r.bytes, entriesArenaBytes)))
	}
	taken := r.arena[:n:n]
	r.arena, r.bytes = r.arena[n:], max(0, r.bytes-n)
	_, err := io.ReadFull(r.buffer, taken)
	return taken, err
}

// appendEntriesReply adds an encoded reply.
func appendEntriesReply(dst []byte, r raft.RPCResponse) []byte {
	answer, ok := r.Response.(*raft.AppendEntriesResponse)
	switch {
	case r.Error != nil:
		return append(append(dst, entriesFailure), encodeReason(r.Error.Error())...)
	case !ok:
		return append(append(dst, entriesFailure), encodeReason(fmt.Sprintf("Raft answered with %T", r.Response))...)
	}
	flags := byte(0)
	if answer.Success {
		flags |= answerSuccess
	}
	if answer.NoRetryBackoff {
		flags |= answerNoRetryBackoff
	}
	dst = append(dst, entriesAnswer, byte(answer.ProtocolVersion), flags)
	dst = binary.BigEndian.AppendUint64(dst, answer.Term)
	dst = binary.BigEndian.AppendUint64(dst, answer.LastLog)
	return appendString(appendString(dst, string(answer.ID)), string(answer.Addr))
}

// readEntriesReply reads a reply. An *entriesFailed says that it was read, and is
// no answer.
func readEntriesReply(r *bufio.Reader, answer *raft.AppendEntriesResponse) error {
	kind, err := r.ReadByte()
	if err != nil {
		return cutShort(err)
	}
	switch kind {
	case entriesAnswer:
		return readAnswer(r, answer)
	case entriesFailure:
		reason, err := readString(r)
		if err != nil {
			return err
		}
		return &entriesFailed{string(reason)}
	}
	return fmt.Errorf("%w: a reply of kind %d", errEntriesGarbage, kind)
}

func readAnswer(r *bufio.Reader, answer *raft.AppendEntriesResponse) error {
	var fixed [answerBytes - 1]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return cutShort(err)
	}
	id, err := readString(r)
	if err != nil {
		return err
	}
	addr, err := readString(r)
	if err != nil {
		return err
	}
	*answer = raft.AppendEntriesResponse{
		RPCHeader:      raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(fixed[0]), ID: id, Addr: addr},
		Success:        fixed[1]&answerSuccess != 0,
		NoRetryBackoff: fixed[1]&answerNoRetryBackoff != 0,
		Term:           binary.BigEndian.Uint64(fixed[2:]),
		LastLog:        binary.BigEndian.Uint64(fixed[10:]),
	}
	return nil
}

// entriesFailed is what went wrong where entries were sent.
type entriesFailed struct{ reason string }

func (e *entriesFailed) Error() string { return e.reason }

func readString(r *bufio.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, cutShort(err)
	}
	n := binary.BigEndian.Uint16(length[:])
	if n == 0 {
		return nil, nil
	}
	s := make([]byte, n)
	_, err := io.ReadFull(r, s)
	return s, cutShort(err)
}

// cutShort tells an end in the middle of a message from one between two.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
