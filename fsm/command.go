package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"

	"tally/counter"
)

// CommandVersion is the newest version of the command's body that this build
// reads and writes. A leader proposes a version only when every member has
// announced that it knows it.
//
//	1  2026-11-22  mutation, term, member
const CommandVersion = 1

// CommandType says what a command is about. The numbers are on disk and on the
// wire: never reorder or reuse them.
type CommandType uint8

// The types of command.
const (
	// TypeMutation changes counters.
	TypeMutation CommandType = 1
	// TypeTerm is the first command of each leader's term. A leader that has
	// applied it knows everything that was committed before its term.
	TypeTerm CommandType = 2
	// TypeMember pins the incarnation of a member, or buries its ID.
	TypeMember CommandType = 3
)

// Command is the content of a log entry.
type Command struct {
	Type CommandType
	// TimeMs is the leader's time when it proposed, in Unix milliseconds. It is
	// the only time the state machine knows.
	TimeMs int64
	// Mutation is for TypeMutation.
	Mutation counter.Mutation
	// ClusterID is for TypeTerm: the ID that the cluster adopts if it has none yet.
	ClusterID string
	// Member is for TypeMember.
	Member Member
}

// Errors of DecodeCommand and Stamp. A node that finds one of them in a
// committed entry must stop: it cannot know what the others made of the entry.
var (
	// ErrCorrupt means that the bytes are not what was encoded.
	ErrCorrupt = errors.New("the command is corrupt")
	// ErrUnknownVersion means that a newer build wrote the command.
	ErrUnknownVersion = errors.New("the command's version is unknown")
	// ErrUnknownType means that the command, or an operation in it, is of a
	// type that this version does not have.
	ErrUnknownType = errors.New("the command's type is unknown")
)

// An encoded command:
//
//	 0      1      2                        10
//	+------+------+------------------------+-------- - - --------+--------------+
//	| vers | type | time, int64, Unix ms   | body                | CRC-32C      |
//	+------+------+------------------------+-------- - - --------+--------------+
//	                                                              the last 4 bytes
//
// Fixed-size numbers are big-endian; uvarint, varint and text are drawn in
// wire.go. The CRC is over everything before it. This envelope stays the same
// in every version, so that any build can check and stamp the command of any
// other; the version speaks of the body.
//
//	body of a mutation:
//	  flags byte                       1: batch, 2: the user's call limit applies
//	  user text, request ID text, idempotency key text
//	  number of operations uvarint, then each:
//	    kind byte                      1 set, 2 increase, 3 decrease, 4 delete
//	    flags byte                     1: all, 2: condition is checked
//	    group text
//	    modRevision uvarint            of the condition
//	    number of counters uvarint, then each: key text, value varint
//	    number of keys uvarint, then each: text
//	body of a term:
//	  cluster ID text
//	body of a member:
//	  flags byte                       1: removed
//	  ID text, incarnation text
//
// A command has one encoding: other flags, longer varints and trailing bytes
// are refused.
const (
	versionAt     = 0
	typeAt        = 1
	timeAt        = 2
	bodyAt        = 10
	checksumBytes = 4

	flagBatch   = 1
	flagLimited = 2
	flagAll     = 1
	flagChecked = 2
	flagRemoved = 1
)

// Append appends the encoded command to dst.
func (c *Command) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, CommandVersion, byte(c.Type))
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.TimeMs))
	switch c.Type {
	case TypeMutation:
		dst = appendMutation(dst, &c.Mutation)
	case TypeTerm:
		dst = appendText(dst, c.ClusterID)
	case TypeMember:
		dst = append(dst, flag(c.Member.Removed, flagRemoved))
		dst = appendText(dst, c.Member.ID)
		dst = appendText(dst, c.Member.Incarnation)
	}
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func appendMutation(dst []byte, m *counter.Mutation) []byte {
	dst = append(dst, flag(m.Batch, flagBatch)|flag(m.Limited, flagLimited))
	dst = appendText(dst, m.User)
	dst = appendText(dst, m.RequestID)
	dst = appendText(dst, m.IdempotencyKey)
	dst = binary.AppendUvarint(dst, uint64(len(m.Operations)))
	for i := range m.Operations {
		dst = appendOperation(dst, &m.Operations[i])
	}
	return dst
}

func appendOperation(dst []byte, o *counter.Operation) []byte {
	dst = append(dst, byte(o.Kind), flag(o.All, flagAll)|flag(o.Condition.Checked, flagChecked))
	dst = appendText(dst, o.Group)
	dst = binary.AppendUvarint(dst, o.Condition.ModRevision)
	dst = binary.AppendUvarint(dst, uint64(len(o.Counters)))
	for _, c := range o.Counters {
		dst = appendText(dst, c.Key)
		dst = binary.AppendVarint(dst, c.Value)
	}
	dst = binary.AppendUvarint(dst, uint64(len(o.Keys)))
	for _, key := range o.Keys {
		dst = appendText(dst, key)
	}
	return dst
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// Stamp puts a time and the checksum that goes with it into an encoded command,
// in place, so that a leader can propose what a follower encoded. It fails with
// ErrCorrupt, and changes nothing, when the checksum was wrong before.
func Stamp(encoded []byte, timeMs int64) error {
	if err := checkEnvelope(encoded); err != nil {
		return err
	}
	binary.BigEndian.PutUint64(encoded[timeAt:], uint64(timeMs))
	end := len(encoded) - checksumBytes
	binary.BigEndian.PutUint32(encoded[end:], crc32.Checksum(encoded[:end], castagnoli))
	return nil
}

// VerifyEntry returns ErrCorrupt for an entry with a command whose checksum is
// wrong. Other entries have none.
func VerifyEntry(entry *raft.Log) error {
	if entry.Type != raft.LogCommand {
		return nil
	}
	return checkEnvelope(entry.Data)
}

func checkEnvelope(data []byte) error {
	end := len(data) - checksumBytes
	if end < bodyAt {
		return fmt.Errorf("%w: it has %d bytes, fewer than any command", ErrCorrupt, len(data))
	}
	if binary.BigEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], castagnoli) {
		return fmt.Errorf("%w: its CRC-32C is wrong", ErrCorrupt)
	}
	return nil
}

// DecodeCommand is the inverse of Append. It takes nothing but what Append
// makes: the checksum, version, type, bounds and the single spelling of every
// number are checked, and that nothing follows. It does not judge what the
// command asks for; counter.Mutation.Check does. The command shares nothing
// with data.
func DecodeCommand(data []byte) (Command, error) { return new(lists).decode(data) }

// lists are the memory of the lists of a mutation, for those who decode many.
type lists struct {
	operations []counter.Operation
	counters   []counter.Counter // those of all operations, one after the other
	keys       []string          // the same
}

// listsKeepMax is how many elements of a list keep their memory for the next
// mutation: those of a batch of one counter an operation, and what a list that
// grows has in reserve.
const listsKeepMax = 2 * counter.BatchOperationsMax

// forget lets go of what the last command brought. That command is unusable from then on.
func (l *lists) forget() {
	l.operations, l.counters, l.keys = emptied(l.operations), emptied(l.counters), emptied(l.keys)
}

func emptied[T any](list []T) []T {
	if cap(list) > listsKeepMax {
		return nil
	}
	clear(list) // or it would keep the text of the command alive
	return list[:0]
}

// decode is DecodeCommand into these lists, which must be empty.
func (l *lists) decode(data []byte) (Command, error) {
	if err := checkEnvelope(data); err != nil {
		return Command{}, err
	}
	if version := data[versionAt]; version != CommandVersion {
		return Command{}, fmt.Errorf("%w: it is of version %d and this build knows version %d; upgrade this node", ErrUnknownVersion, version, CommandVersion)
	}
	c := Command{Type: CommandType(data[typeAt]), TimeMs: int64(binary.BigEndian.Uint64(data[timeAt:]))}
	body := reader{text: string(data[bodyAt : len(data)-checksumBytes])}
	switch c.Type {
	case TypeMutation:
		c.Mutation = body.mutation(l)
	case TypeTerm:
		c.ClusterID = body.string()
	case TypeMember:
		c.Member.Removed = body.flags(flagRemoved) != 0
		c.Member.ID = body.string()
		c.Member.Incarnation = body.string()
	default:
		return Command{}, fmt.Errorf("%w: %d", ErrUnknownType, c.Type)
	}
	if err := body.end(); err != nil {
		if errors.Is(err, ErrUnknownType) {
			return Command{}, err
		}
		return Command{}, fmt.Errorf("%w: its body of type %d is malformed: %w", ErrCorrupt, c.Type, err)
	}
	return c, nil
}

// The fewest bytes that an element of a list takes.
const (
	operationBytesMin = 6
	counterBytesMin   = 2
	keyBytesMin       = 1
)

func (r *reader) mutation(l *lists) counter.Mutation {
	var m counter.Mutation
	flags := r.flags(flagBatch | flagLimited)
	m.Batch = flags&flagBatch != 0
	m.Limited = flags&flagLimited != 0
	m.User = r.string()
	m.RequestID = r.string()
	m.IdempotencyKey = r.string()
	if count := r.count(operationBytesMin); count > 0 {
		if cap(l.operations) < count {
			l.operations = make([]counter.Operation, count)
		}
		l.operations = l.operations[:count]
		m.Operations = l.operations
	}
	for i := range m.Operations {
		r.operation(&m.Operations[i], l)
	}
	return m
}

func (r *reader) operation(o *counter.Operation, l *lists) {
	o.Kind = counter.Kind(r.byte())
	if r.err == nil && o.Kind.String() == "" {
		r.fail(fmt.Errorf("%w: operation kind %d", ErrUnknownType, o.Kind))
	}
	flags := r.flags(flagAll | flagChecked)
	o.All = flags&flagAll != 0
	o.Condition.Checked = flags&flagChecked != 0
	o.Group = r.string()
	o.Condition.ModRevision = r.uvarint()
	start := len(l.counters)
	for range r.count(counterBytesMin) {
		l.counters = append(l.counters, counter.Counter{Key: r.string(), Value: r.varint()})
	}
	o.Counters = since(l.counters, start)
	start = len(l.keys)
	for range r.count(keyBytesMin) {
		l.keys = append(l.keys, r.string())
	}
	o.Keys = since(l.keys, start)
}

// since returns the elements from start on, nil for none, with no room behind them.
func since[T any](list []T, start int) []T {
	if start == len(list) {
		return nil
	}
	return list[start:len(list):len(list)]
}

// flags reads a byte in which only the known bits may be set.
func (r *reader) flags(known byte) byte {
	flags := r.byte()
	if flags&^known != 0 {
		r.failf("flags %#x are unknown", flags&^known)
		return 0
	}
	return flags
}
