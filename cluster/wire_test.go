package cluster

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"tally/counter"
)

func someReplies() [][]byte {
	index := 7
	return [][]byte{
		appendResult(nil, &counter.Result{}),
		appendResult(nil, &counter.Result{Revision: math.MaxUint64, Replayed: true, Outcomes: []counter.Outcome{
			{Group: "g", Counters: []counter.Counter{{Key: "likes", Value: math.MinInt64}, {Key: "❤", Value: math.MaxInt64}}},
			{Group: "h", Deleted: []string{"a", "b"}},
			{Group: "i", Deleted: []string{}},
		}}),
		appendRefusal(nil, &counter.Error{Code: counter.OutOfRange, Detail: "no", Param: "value", Operation: &index, Revision: 9, RetryAfter: time.Second}),
		appendRefusal(nil, &counter.Error{Code: counter.NotLeader}),
	}
}

func TestReplyRoundTrip(t *testing.T) {
	index := 0
	result := counter.Result{Revision: 3, Outcomes: []counter.Outcome{
		{Group: "live:1", Counters: []counter.Counter{{Key: "likes", Value: -1}}},
		{Group: "live:2", Deleted: []string{"gifts"}},
	}}
	got, refusal, err := decodeReply(appendResult(nil, &result))
	if err != nil || refusal != nil || !reflect.DeepEqual(got, result) {
		t.Errorf("result: got %+v, %v, %v", got, refusal, err)
	}
	want := counter.Error{Code: counter.TooManyCounters, Detail: "a 21st", Operation: &index, Revision: 12, RetryAfter: 1500 * time.Millisecond, Replayed: true, ServerTimeMs: 1795390019414}
	_, refusal, err = decodeReply(appendRefusal(nil, &want))
	if err != nil || !reflect.DeepEqual(*refusal, want) {
		t.Errorf("refusal: got %+v, %v", refusal, err)
	}
}

func TestReplyRefusesEveryTruncation(t *testing.T) {
	for _, reply := range someReplies() {
		for length := range reply {
			if _, _, err := decodeReply(reply[:length]); !errors.Is(err, errReply) {
				t.Errorf("%x cut to %d bytes: error %v", reply, length, err)
			}
		}
		if _, _, err := decodeReply(append(bytes.Clone(reply), 0)); !errors.Is(err, errReply) {
			t.Errorf("%x with a byte too many: error %v", reply, err)
		}
	}
}

func FuzzDecodeReply(f *testing.F) {
	for _, reply := range someReplies() {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		result, refusal, err := decodeReply(data)
		if err != nil {
			return
		}
		// What can be read can be written and read again.
		again := appendResult(nil, &result)
		if refusal != nil {
			again = appendRefusal(nil, refusal)
		}
		result2, refusal2, err := decodeReply(again)
		if err != nil || !reflect.DeepEqual(result, result2) || !reflect.DeepEqual(refusal, refusal2) {
			t.Errorf("%x read as %+v %v, again as %+v %v (%v)", data, result, refusal, result2, refusal2, err)
		}
	})
}
