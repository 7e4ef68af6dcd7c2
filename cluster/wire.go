package cluster

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"tally/counter"
	"tally/fsm"
	"tally/peer"
)

// Methods of the peer port. The numbers are on the wire: never reuse one.
const (
	methodPropose   peer.Method = 1 // an encoded command -> a reply as drawn below
	methodReadIndex peer.Method = 2 // users -> a read index, as drawn below
	methodConfirm   peer.Method = 3 // nothing -> the node's current term, 8 bytes big endian
	methodInfo      peer.Method = 4 // the asker's info -> the node's info, JSON
	methodMembers   peer.Method = 5 // a membership request, JSON -> a reply whose result has only a revision
)

// A reply is either a result or a refusal. Numbers are unsigned varints unless
// said otherwise; text is a length and its bytes.
//
//	+------+-----------------------------------------------------------------+
//	| 0x01 | revision | outcomes | outcome ...                               |
//	+------+-----------------------------------------------------------------+
//	  outcome: group text | flags | counters | (key text, value zigzag) ... | deleted | key text ...
//	  flags: bit 0 counters given, bit 1 deleted given, bit 2 (first outcome only) replayed
//
//	+------+-----------------------------------------------------------------+
//	| 0x02 | code text | detail text | param text | operation+1 | revision |  |
//	|      | retry after in ms | replayed (0 or 1) | server time in ms       |
//	+------+-----------------------------------------------------------------+
//
//	+------+-----------------------------------------------------------------+
//	| 0x03 | quota | a reply 0x01 or 0x02                                    |
//	+------+-----------------------------------------------------------------+
//	  to a caller whose call was counted or refused for its number
//	  quota: name text | calls max | window in s | remaining | retry after in ms
//
// The question for a read index names the readers that are under the call limit,
//
//	+-------------------+     no bytes at all: none
//	| users | text ...  |
//	+-------------------+
//
// and the answer is a refusal (0x02), or a result (0x01) whose revision is the
// read index where there is no limit, or it has a verdict on each of them:
//
//	+------+-----------------------------------------------------------------+
//	| 0x04 | read index | verdicts | (admitted byte (0 or 1), quota) ...     |
//	+------+-----------------------------------------------------------------+
const (
	replyResult    byte = 1
	replyRefusal   byte = 2
	replyQuota     byte = 3
	replyReadIndex byte = 4

	outcomeHasCounters byte = 1 << 0
	outcomeHasDeleted  byte = 1 << 1
	outcomeReplayed    byte = 1 << 2
)

var errReply = errors.New("malformed reply")

// appendApplied encodes what the state machine or the proposer answered.
func appendApplied(dst []byte, applied *fsm.Applied, err *counter.Error) []byte {
	switch {
	case err != nil:
		return appendRefusal(dst, err)
	case applied.Err != nil:
		return appendRefusal(dst, applied.Err)
	}
	return appendResult(dst, &applied.Result)
}

func appendResult(dst []byte, result *counter.Result) []byte {
	dst = appendReplyQuota(dst, result.Quota)
	dst = append(dst, replyResult)
	dst = binary.AppendUvarint(dst, result.Revision)
	dst = binary.AppendUvarint(dst, uint64(len(result.Outcomes)))
	for i, o := range result.Outcomes {
		var flags byte
		if o.Counters != nil {
			flags |= outcomeHasCounters
		}
		if o.Deleted != nil {
			flags |= outcomeHasDeleted
		}
		if i == 0 && result.Replayed {
			flags |= outcomeReplayed
		}
		dst = appendText(dst, o.Group)
		dst = append(dst, flags)
		dst = binary.AppendUvarint(dst, uint64(len(o.Counters)))
		for _, c := range o.Counters {
			dst = appendText(dst, c.Key)
			dst = binary.AppendVarint(dst, c.Value)
		}
		dst = binary.AppendUvarint(dst, uint64(len(o.Deleted)))
		for _, key := range o.Deleted {
			dst = appendText(dst, key)
		}
	}
	return dst
}

func appendRefusal(dst []byte, err *counter.Error) []byte {
	dst = appendReplyQuota(dst, err.Quota)
	dst = append(dst, replyRefusal)
	dst = appendText(dst, string(err.Code))
	dst = appendText(dst, err.Detail)
	dst = appendText(dst, err.Param)
	operation := uint64(0)
	if err.Operation != nil {
		operation = uint64(*err.Operation) + 1
	}
	dst = binary.AppendUvarint(dst, operation)
	dst = binary.AppendUvarint(dst, err.Revision)
	dst = binary.AppendUvarint(dst, uint64(err.RetryAfter.Milliseconds()))
	replayed := byte(0)
	if err.Replayed {
		replayed = 1
	}
	dst = append(dst, replayed)
	return binary.AppendVarint(dst, err.ServerTimeMs)
}

// appendReplyQuota begins a reply that carries a quota.
func appendReplyQuota(dst []byte, quota *counter.Quota) []byte {
	if quota == nil {
		return dst
	}
	return appendQuota(append(dst, replyQuota), quota)
}

func appendQuota(dst []byte, quota *counter.Quota) []byte {
	dst = appendText(dst, quota.Name)
	dst = binary.AppendUvarint(dst, uint64(quota.CallsMax))
	dst = binary.AppendUvarint(dst, uint64(quota.Window/time.Second))
	dst = binary.AppendUvarint(dst, uint64(quota.Remaining))
	return binary.AppendUvarint(dst, uint64(quota.RetryAfter.Milliseconds()))
}

func appendUsers(dst []byte, users []string) []byte {
	if len(users) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(users)))
	for _, user := range users {
		dst = appendText(dst, user)
	}
	return dst
}

func appendReadIndex(dst []byte, index uint64, verdicts []Verdict) []byte {
	if len(verdicts) == 0 {
		return appendResult(dst, &counter.Result{Revision: index})
	}
	dst = append(dst, replyReadIndex)
	dst = binary.AppendUvarint(dst, index)
	dst = binary.AppendUvarint(dst, uint64(len(verdicts)))
	for i := range verdicts {
		admitted := byte(0)
		if verdicts[i].OK {
			admitted = 1
		}
		dst = appendQuota(append(dst, admitted), &verdicts[i].Quota)
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// decodeReply is the inverse of appendResult and appendRefusal: one of result
// and refusal is meaningful unless err says that the bytes are neither.
func decodeReply(data []byte) (result counter.Result, refusal *counter.Error, err error) {
	d := replyDecoder{rest: data}
	kind := d.byte()
	var quota *counter.Quota
	if kind == replyQuota {
		quota = d.quota()
		kind = d.byte()
	}
	switch kind {
	case replyResult:
		result = d.result()
		result.Quota = quota
	case replyRefusal:
		refusal = d.refusal()
		refusal.Quota = quota
	default:
		d.failed = true
	}
	if d.failed || len(d.rest) > 0 {
		return counter.Result{}, nil, errReply
	}
	return result, refusal, nil
}

// decodeUsers is the inverse of appendUsers.
func decodeUsers(data []byte) ([]string, error) {
	if len(data) == 0 {
		return nil, nil
	}
	d := replyDecoder{rest: data}
	count := d.count()
	users := make([]string, 0, min(count, roundReadersMax))
	for i := 0; i < count && !d.failed; i++ {
		users = append(users, d.text())
	}
	if d.failed || len(d.rest) > 0 || count == 0 {
		return nil, errReply
	}
	return users, nil
}

// decodeReadIndex reads any answer to the question for a read index; an error
// may be the leader's refusal.
func decodeReadIndex(data []byte) (index uint64, verdicts []Verdict, err error) {
	if len(data) == 0 || data[0] != replyReadIndex {
		result, refusal, err := decodeReply(data)
		if err == nil && refusal != nil {
			err = refusal
		}
		return result.Revision, nil, err
	}
	d := replyDecoder{rest: data[1:]}
	index = d.number()
	count := d.count()
	verdicts = make([]Verdict, 0, min(count, roundReadersMax))
	for i := 0; i < count && !d.failed; i++ {
		admitted := d.byte()
		d.failed = d.failed || admitted > 1
		verdicts = append(verdicts, Verdict{OK: admitted == 1, Quota: *d.quota()})
	}
	if d.failed || len(d.rest) > 0 || count == 0 {
		return 0, nil, errReply
	}
	return index, verdicts, nil
}

// replyDecoder reads from rest; after the first failure everything reads as zero.
type replyDecoder struct {
	rest   []byte
	failed bool
}

func (d *replyDecoder) result() counter.Result {
	result := counter.Result{Revision: d.number()}
	count := d.count()
	for i := 0; i < count && !d.failed; i++ {
		o := counter.Outcome{Group: d.text()}
		flags := d.byte()
		result.Replayed = result.Replayed || flags&outcomeReplayed != 0
		if counters := d.count(); flags&outcomeHasCounters != 0 {
			o.Counters = make([]counter.Counter, counters)
		} else if counters > 0 {
			d.failed = true
		}
		for j := range o.Counters {
			o.Counters[j] = counter.Counter{Key: d.text(), Value: d.signed()}
		}
		if deleted := d.count(); flags&outcomeHasDeleted != 0 {
			o.Deleted = make([]string, deleted)
		} else if deleted > 0 {
			d.failed = true
		}
		for j := range o.Deleted {
			o.Deleted[j] = d.text()
		}
		result.Outcomes = append(result.Outcomes, o)
	}
	return result
}

func (d *replyDecoder) refusal() *counter.Error {
	err := &counter.Error{Code: counter.Code(d.text()), Detail: d.text(), Param: d.text()}
	if operation := d.small(); operation > 0 {
		index := operation - 1
		err.Operation = &index
	}
	err.Revision = d.number()
	err.RetryAfter = time.Duration(d.small()) * time.Millisecond
	replayed := d.byte()
	err.Replayed, d.failed = replayed == 1, d.failed || replayed > 1
	err.ServerTimeMs = d.signed()
	return err
}

func (d *replyDecoder) quota() *counter.Quota {
	return &counter.Quota{
		Name:       d.text(),
		CallsMax:   d.small(),
		Window:     time.Duration(d.small()) * time.Second,
		Remaining:  d.small(),
		RetryAfter: time.Duration(d.small()) * time.Millisecond,
	}
}

// small reads a number that fits an int on every machine.
func (d *replyDecoder) small() int {
	value := d.number()
	if value > math.MaxInt32 {
		d.failed, d.rest = true, nil
		return 0
	}
	return int(value)
}

func (d *replyDecoder) byte() byte {
	if len(d.rest) == 0 {
		d.failed = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *replyDecoder) number() uint64 {
	value, size := binary.Uvarint(d.rest)
	return value * d.advance(size)
}

func (d *replyDecoder) signed() int64 {
	value, size := binary.Varint(d.rest)
	return value * int64(d.advance(size))
}

// advance skips what a varint took and returns 1, or fails and returns 0.
func (d *replyDecoder) advance(size int) uint64 {
	if size <= 0 || d.failed {
		d.failed, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return 1
}

// count reads a number of elements, each of which takes a byte at least, so that
// a short message cannot ask for much memory.
func (d *replyDecoder) count() int {
	count := d.number()
	if count > uint64(len(d.rest)) {
		d.failed, d.rest = true, nil
		return 0
	}
	return int(count)
}

func (d *replyDecoder) text() string {
	length := d.count()
	text := string(d.rest[:length])
	d.rest = d.rest[length:]
	return text
}
