package client

import (
	"bytes"
	"net/http"
	"testing"

	"tally/counter"
)

// FuzzReply: nothing that a server can say makes the decoders panic, and what
// they take as an answer is one to the question.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		`{"revision":7,"results":[{"group":"g","counters":{"a":1,"b":-2}},{"group":"h","deleted":["x"]}]}`,
		`{"group":"g","revision":7,"counters":{"a":1,"b":2}}`,
		`{"group":"g","revision":7,"modRevision":3,"counters":{"a":9223372036854775807}}`,
		`{"groups":[{"group":"g","size":1,"modRevision":3}],"next":"Zw"}`,
		`{"clusterId":"c","node":"n1","leader":{"id":"n1","url":"http://127.0.0.1:8101"},"members":[{"id":"n1","url":"http://127.0.0.1:8101"}]}`,
		`{"code":"no_leader","definite":true,"leader":{"id":"n1","url":"http://x"},"operation":3}`,
		`{"events":[{"type":"reset","group":"g","revision":0,"counters":{}},{"type":"delete","revision":1,"group":"g","key":"a","timeMs":1}]}`,
		`{"a":1,"a":2}`, `{"revision":1e3}`, "\xff", ``,
	} {
		f.Add([]byte(seed))
	}
	operations := []counter.Operation{
		{Kind: counter.Increase, Group: "g", Counters: []counter.Counter{{Key: "b", Value: 1}, {Key: "a", Value: 1}}},
		{Kind: counter.Delete, Group: "h", All: true},
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if result, err := decodeBatch(body, operations); err == nil {
			if result.Revision == 0 || len(result.Outcomes) != 2 || len(result.Outcomes[0].Counters) != 2 || result.Outcomes[0].Counters[0].Key != "b" {
				t.Errorf("taken as an answer: %+v", result)
			}
		}
		if result, err := decodeChange(body, &operations[0]); err == nil && (result.Revision == 0 || len(result.Outcomes[0].Counters) != 2) {
			t.Errorf("taken as an answer: %+v", result)
		}
		if reading, err := decodeReading(body, "g"); err == nil && reading.Group != "g" {
			t.Errorf("taken as a reading: %+v", reading)
		}
		if cluster, err := decodeCluster(body); err == nil {
			endpoints, _ := newEndpoints([]string{"127.0.0.1:1"})
			endpoints.learn(cluster)
			if one, _ := endpoints.pick(); one == nil {
				t.Error("no endpoint is left")
			}
		}
		if refusal, _, err := decodeProblem(http.Header{"Retry-After": {string(body)}}, body); err == nil && refusal.Code == "" {
			t.Error("an error without a code")
		}
		_, _, _ = decodeGroups(body)
		if events, err := decodeEvents(body, "c"); err == nil {
			for _, e := range events {
				if (e.Reset == nil) == (e.Kind == 0) || e.Group == "" {
					t.Errorf("an event %+v", e)
				}
			}
		}
	})
}

// FuzzStream: a stream that is cut off anywhere gives no message that the whole
// stream does not give.
func FuzzStream(f *testing.F) {
	f.Add([]byte("retry: 5\n\nid: 1\ndata: {}\n\n: c\nevent: progress\r\nid: 2\r\ndata: a\r\ndata: b\r\n\r\n"), 20)
	f.Add([]byte("data\n\nid\n\n"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		if cut < 0 || cut > len(text) {
			return
		}
		whole, part := newStream(bytes.NewReader(text)), newStream(bytes.NewReader(text[:cut]))
		for {
			m, err := part.next()
			if err != nil {
				return
			}
			want, err := whole.next()
			if err != nil || m.id != want.id || m.event != want.event || !bytes.Equal(m.data, want.data) {
				t.Fatalf("%q was cut off at %d and gives %q %q, not %q %q", text, cut, m.id, m.data, want.id, want.data)
			}
		}
	})
}
