package peer

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// fullRequest has every field set, each to another value, but for the name of the
// leader that the header replaced.
func fullRequest(t testing.TB) *raft.AppendEntriesRequest {
	r := &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n1"), Addr: []byte("a:1")},
		Term:      7, PrevLogEntry: 10, PrevLogTerm: 6, LeaderCommitIndex: 9,
		Entries: []*raft.Log{
			{Index: 11, Term: 7, Type: raft.LogCommand, Data: []byte("like"), Extensions: []byte("x"), AppendedAt: time.Unix(0, 258)},
			{Index: 12, Term: 7, Type: raft.LogNoop},
		},
	}
	for _, v := range []reflect.Value{reflect.ValueOf(*r), reflect.ValueOf(r.RPCHeader), reflect.ValueOf(*r.Entries[0])} {
		for i := range v.NumField() {
			// Type 0 is a command's.
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Leader" && name != "Type" {
				t.Fatalf("field %s is new: set it here and see that it is carried", name)
			}
		}
	}
	return r
}

func fullAnswer(t testing.TB) *raft.AppendEntriesResponse {
	r := &raft.AppendEntriesResponse{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n2"), Addr: []byte("b:2")},
		Term:      7, LastLog: 12, Success: true, NoRetryBackoff: true,
	}
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("field %s is new: set it here and see that it is carried", v.Type().Field(i).Name)
		}
	}
	return r
}

const (
	goldenEntries = "03" + "0000000000000007" + "000000000000000a" + "0000000000000006" + "0000000000000009" +
		"00000002" + "00000005" + "00026e31" + "0003613a31" +
		"000000000000000b" + "0000000000000007" + "0000000000000102" + "00" + "00000004" + "00000001" + "6c696b65" + "78" +
		"000000000000000c" + "0000000000000007" + "0000000000000000" + "01" + "00000000" + "00000000"
	goldenAnswer  = "01" + "03" + "03" + "0000000000000007" + "000000000000000c" + "00026e32" + "0003623a32"
	goldenFailure = "02" + "00026e6f"
)

func encodedRequest(t testing.TB, r *raft.AppendEntriesRequest) []byte {
	t.Helper()
	data, err := appendEntriesRequest(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readerOf(data []byte) *entriesReader {
	return &entriesReader{buffer: bufio.NewReader(bytes.NewReader(data))}
}

func TestEntriesKeepTheirBytes(t *testing.T) {
	if got := hex.EncodeToString(encodedRequest(t, fullRequest(t))); got != goldenEntries {
		t.Errorf("request\n%s, want\n%s", got, goldenEntries)
	}
	if got := hex.EncodeToString(appendEntriesReply(nil, raft.RPCResponse{Response: fullAnswer(t)})); got != goldenAnswer {
		t.Errorf("answer\n%s, want\n%s", got, goldenAnswer)
	}
	if got := hex.EncodeToString(appendEntriesReply(nil, raft.RPCResponse{Error: errors.New("no")})); got != goldenFailure {
		t.Errorf("failure\n%s, want\n%s", got, goldenFailure)
	}
}

func TestEntriesAreReadBack(t *testing.T) {
	many := &raft.AppendEntriesRequest{Term: 1}
	for i := range 1500 { // more than are taken at once, and than one arena holds
		many.Entries = append(many.Entries, &raft.Log{Index: uint64(i + 1), Term: 1, Data: bytes.Repeat([]byte{byte(i)}, 1+i%200), AppendedAt: time.Unix(0, int64(i+1))})
	}
	many.Entries[700].Data = bytes.Repeat([]byte("large"), 100_000)
	requests := []*raft.AppendEntriesRequest{fullRequest(t), {}, many, fullRequest(t)}
	var data []byte
	for _, r := range requests {
		data = append(data, encodedRequest(t, r)...)
	}
	reader := readerOf(data)
	for i, want := range requests {
		got, err := reader.request()
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("request %d is not what was sent", i)
		}
	}
	if _, err := reader.request(); err != io.EOF {
		t.Errorf("after the last request: %v, want EOF", err)
	}
}

func TestEntriesThatAreAppendedToLeaveTheirNeighboursAlone(t *testing.T) {
	r := &raft.AppendEntriesRequest{Entries: []*raft.Log{{Data: []byte("one")}, {Data: []byte("two")}}}
	got, err := readerOf(encodedRequest(t, r)).request()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(got.Entries[0].Data, "more"...)
	if string(got.Entries[1].Data) != "two" {
		t.Errorf("the second entry became %q", got.Entries[1].Data)
	}
}

func TestEntriesReply(t *testing.T) {
	for _, test := range []struct {
		name   string
		reply  raft.RPCResponse
		answer raft.AppendEntriesResponse
		failed string
	}{
		{"all fields", raft.RPCResponse{Response: fullAnswer(t)}, *fullAnswer(t), ""},
		{"none", raft.RPCResponse{Response: &raft.AppendEntriesResponse{}}, raft.AppendEntriesResponse{}, ""},
		{"an error and an answer", raft.RPCResponse{Response: fullAnswer(t), Error: errors.New("the disk says no")}, raft.AppendEntriesResponse{}, "the disk says no"},
		{"nothing", raft.RPCResponse{}, raft.AppendEntriesResponse{}, "Raft answered with <nil>"},
		{"another answer", raft.RPCResponse{Response: &raft.RequestVoteResponse{}}, raft.AppendEntriesResponse{}, "Raft answered with *raft.RequestVoteResponse"},
		{"a long error", raft.RPCResponse{Error: errors.New(strings.Repeat("x", 1<<20))}, raft.AppendEntriesResponse{}, strings.Repeat("x", refusalReasonBytes)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var answer raft.AppendEntriesResponse
			err := readEntriesReply(bufio.NewReader(bytes.NewReader(appendEntriesReply(nil, test.reply))), &answer)
			var failed *entriesFailed
			if errors.As(err, &failed) != (test.failed != "") || failed != nil && failed.Error() != test.failed || failed == nil && err != nil {
				t.Errorf("error %v, want %q", err, test.failed)
			}
			if !reflect.DeepEqual(answer, test.answer) {
				t.Errorf("answer %+v, want %+v", answer, test.answer)
			}
		})
	}
}

func TestEntriesCutShort(t *testing.T) {
	request, reply := encodedRequest(t, fullRequest(t)), appendEntriesReply(nil, raft.RPCResponse{Response: fullAnswer(t)})
	for n := 1; n < len(request); n++ {
		if _, err := readerOf(request[:n]).request(); err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of a request: %v", n, err)
		}
	}
	for n := range reply {
		if err := readEntriesReply(bufio.NewReader(bytes.NewReader(reply[:n])), &raft.AppendEntriesResponse{}); err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of a reply: %v", n, err)
		}
	}
}

func TestEntriesBeyondTheLimits(t *testing.T) {
	large := make([]byte, entryBytesMax+1)
	for name, r := range map[string]*raft.AppendEntriesRequest{
		"data":       {Entries: []*raft.Log{{Data: large}}},
		"extensions": {Entries: []*raft.Log{{Extensions: large}}},
		"count":      {Entries: make([]*raft.Log, entriesCountMax+1)},
	} {
		if _, err := appendEntriesRequest(nil, r); err == nil {
			t.Errorf("%s: it was encoded", name)
		}
	}
	good := encodedRequest(t, fullRequest(t))
	count, data := entriesHeaderBytes-8, len(good)-2*entryHeaderBytes-5+25
	for name, at := range map[string]int{"count": count, "data": data, "extensions": data + 4} {
		bad := bytes.Clone(good)
		bad[at] = 0xff
		if _, err := readerOf(bad).request(); !errors.Is(err, errEntriesGarbage) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := readEntriesReply(bufio.NewReader(strings.NewReader("\x03")), &raft.AppendEntriesResponse{}); !errors.Is(err, errEntriesGarbage) {
		t.Errorf("a reply of kind 3: error %v", err)
	}
}

func FuzzReadEntries(f *testing.F) {
	f.Add(encodedRequest(f, fullRequest(f)))
	f.Add(encodedRequest(f, &raft.AppendEntriesRequest{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := readerOf(data)
		var again []byte
		for {
			r, err := reader.request()
			if err != nil {
				break
			}
			start := len(again)
			again = append(again, encodedRequest(t, r)...)
			// The hint is the sender's.
			copy(again[start+entriesHeaderBytes-4:start+entriesHeaderBytes], data[start+entriesHeaderBytes-4:])
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("what was read is encoded as %x", again)
		}
	})
}

func FuzzReadEntriesReply(f *testing.F) {
	for _, golden := range []string{goldenAnswer, goldenFailure} {
		data, _ := hex.DecodeString(golden)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var answer raft.AppendEntriesResponse
		if readEntriesReply(bufio.NewReader(bytes.NewReader(data)), &answer) != nil {
			return
		}
		again := appendEntriesReply(nil, raft.RPCResponse{Response: &answer})
		const flags = 2
		if again[flags] = data[flags]; !bytes.HasPrefix(data, again) { // others are ignored
			t.Fatalf("%+v is encoded as %x", answer, again)
		}
	})
}
