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
		appendResult(nil, &counter.Result{Revision: 3, Quota: &counter.Quota{Name: "mutations", CallsMax: 20, Window: 5 * time.Second, Remaining: 19, RetryAfter: time.Second}}),
		appendRefusal(nil, (&counter.Quota{Name: "mutations", CallsMax: 20, Window: time.Hour, RetryAfter: time.Millisecond}).Refusal()),
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

func TestReplyCarriesTheQuota(t *testing.T) {
	quota := counter.Quota{Name: "mutations", CallsMax: 20, Window: 5 * time.Second, RetryAfter: 1200 * time.Millisecond}
	result, _, err := decodeReply(appendResult(nil, &counter.Result{Revision: 3, Quota: &quota}))
	if err != nil || result.Quota == nil || *result.Quota != quota {
		t.Errorf("of a result: %+v, %v", result.Quota, err)
	}
	want := quota.Refusal()
	_, refusal, err := decodeReply(appendRefusal(nil, want))
	if err != nil || !reflect.DeepEqual(refusal, want) {
		t.Errorf("of a refusal: %+v, %v", refusal, err)
	}
	if _, _, err := decodeReply(append(appendReplyQuota(nil, &quota), appendResult(nil, &counter.Result{Quota: &quota})...)); err == nil {
		t.Error("a reply with two quotas is read")
	}
}

func someVerdicts() []Verdict {
	return []Verdict{
		{OK: true, Quota: counter.Quota{Name: "reads", CallsMax: 20, Window: 5 * time.Second, Remaining: 3, RetryAfter: time.Second}},
		{Quota: counter.Quota{Name: "reads", CallsMax: 20, Window: 5 * time.Second, RetryAfter: 17 * time.Millisecond}},
	}
}

func TestReadIndexRoundTrip(t *testing.T) {
	for _, users := range [][]string{nil, {"ann"}, {"ann", "bob", "ann", "zoë"}} {
		if got, err := decodeUsers(appendUsers(nil, users)); err != nil || !reflect.DeepEqual(got, users) {
			t.Errorf("users %q: got %q, %v", users, got, err)
		}
	}
	for _, verdicts := range [][]Verdict{nil, someVerdicts()} {
		index, got, err := decodeReadIndex(appendReadIndex(nil, math.MaxUint64, verdicts))
		if err != nil || index != math.MaxUint64 || !reflect.DeepEqual(got, verdicts) {
			t.Errorf("%v: got %d, %v, %v", verdicts, index, got, err)
		}
	}
	_, _, err := decodeReadIndex(appendRefusal(nil, counter.Errorf(counter.NotLeader, "no")))
	if !errors.Is(err, counter.NotLeader) {
		t.Errorf("a refusal is read as %v", err)
	}
}

func TestReadIndexRefusesEveryTruncation(t *testing.T) {
	answer, question := appendReadIndex(nil, 300, someVerdicts()), appendUsers(nil, []string{"ann", "bob"})
	for length := range answer {
		if _, _, err := decodeReadIndex(answer[:length]); !errors.Is(err, errReply) {
			t.Errorf("an answer cut to %d bytes: error %v", length, err)
		}
	}
	for length := 1; length < len(question); length++ {
		if _, err := decodeUsers(question[:length]); !errors.Is(err, errReply) {
			t.Errorf("a question cut to %d bytes: error %v", length, err)
		}
	}
	for name, data := range map[string][]byte{"no verdicts": {replyReadIndex, 1, 0}, "an odd verdict": {replyReadIndex, 1, 1, 2, 0, 0, 0, 0, 0}, "a byte too many": append(answer, 0)} {
		if _, _, err := decodeReadIndex(data); !errors.Is(err, errReply) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := decodeUsers(append(question, 0)); !errors.Is(err, errReply) {
		t.Errorf("a question with a byte too many: error %v", err)
	}
}

func FuzzDecodeReadIndex(f *testing.F) {
	f.Add(appendReadIndex(nil, 300, someVerdicts()))
	f.Add(appendReadIndex(nil, 300, nil))
	f.Add(appendUsers(nil, []string{"ann", "bob"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if users, err := decodeUsers(data); err == nil {
			if again, err := decodeUsers(appendUsers(nil, users)); err != nil || !reflect.DeepEqual(again, users) {
				t.Errorf("%x read as %q, again as %q, %v", data, users, again, err)
			}
		}
		if index, verdicts, err := decodeReadIndex(data); err == nil {
			index2, again, err := decodeReadIndex(appendReadIndex(nil, index, verdicts))
			if err != nil || index2 != index || !reflect.DeepEqual(again, verdicts) {
				t.Errorf("%x read as %d, %v, again as %d, %v, %v", data, index, verdicts, index2, again, err)
			}
		}
	})
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

func BenchmarkReply(b *testing.B) {
	result := counter.Result{Revision: 123456, Outcomes: []counter.Outcome{{Group: "group:0000001", Counters: []counter.Counter{{Key: "likes", Value: 42}}}}}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		buffer := make([]byte, 0, 256)
		for b.Loop() {
			buffer = appendResult(buffer[:0], &result)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		encoded := appendResult(nil, &result)
		for b.Loop() {
			if _, _, err := decodeReply(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
