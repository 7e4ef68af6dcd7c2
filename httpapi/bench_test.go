package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tally/counter"
	"tally/httpapi"
)

// idle answers at once and keeps nothing: what is left is the cost of this package.
type idle struct{ *memory }

func (idle) Propose(_ context.Context, m *counter.Mutation) (counter.Result, error) {
	outcomes := make([]counter.Outcome, len(m.Operations))
	for i := range outcomes {
		outcomes[i] = counter.Outcome{Group: m.Operations[i].Group, Counters: m.Operations[i].Counters}
	}
	return counter.Result{Revision: 123456, Outcomes: outcomes}, nil
}

// batchOf returns the body of a batch that increases a counter of n groups.
func batchOf(n int) string {
	operations := make([]string, n)
	for i := range operations {
		operations[i] = fmt.Sprintf(`{"op":"increase","group":"group:%07d","counters":{"likes":1}}`, i)
	}
	return `{"operations":[` + strings.Join(operations, ",") + `]}`
}

func (idle) Read(_ context.Context, _ counter.Caller, group string, keys []string, _ bool) (counter.Reading, error) {
	return counter.Reading{Group: group, Revision: 123456, ModRevision: 123, Counters: []counter.Counter{{Key: "likes", Value: 42}, {Key: "views", Value: 1234567}}}, nil
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header              { return d.header }
func (d *discard) WriteHeader(int)                  {}
func (d *discard) Write(p []byte) (int, error)      { return len(p), nil }
func (d *discard) SetWriteDeadline(time.Time) error { return nil }

func BenchmarkHandler(b *testing.B) {
	for _, c := range []struct{ name, method, target, body string }{
		{"increase by one", "POST", "/v1/groups/group:0000001/counters/likes/increase", ""},
		{"increase by value", "POST", "/v1/groups/group:0000001/counters/likes/increase", `{"value":2}`},
		{"increase two", "POST", "/v1/groups/group:0000001/increase", `{"counters":{"likes":2,"views":1}}`},
		{"batch of 100", "POST", "/v1/batch", batchOf(100)},
		{"read group", "GET", "/v1/groups/group:0000001/counters", ""},
		{"not found", "GET", "/nowhere", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			handler, err := httpapi.New(httpapi.Config{Backend: idle{}})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			w := &discard{header: make(http.Header)}
			body := strings.NewReader(c.body)
			r.Body = io.NopCloser(body)
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(c.body)
				clear(w.header)
				handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkEncodeEvents is what all watchers of one change cost together, before
// it is sent to each.
func BenchmarkEncodeEvents(b *testing.B) {
	events := []counter.Event{{Revision: 123456, Kind: counter.Increase, Group: "group:0000001", Key: "likes", Value: 42, Delta: 1, User: "ann", TimeMs: 1795390019414}}
	b.ReportAllocs()
	for b.Loop() {
		httpapi.EncodeEvents(events)
	}
}

// BenchmarkServer is the same over loopback connections, one for each goroutine,
// with a client that costs as little as one can.
func BenchmarkServer(b *testing.B) {
	handler, err := httpapi.New(httpapi.Config{Backend: idle{}})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := httpapi.Open(httpapi.ServerConfig{Handler: handler, Listener: listener})
	b.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	})
	const request = "POST /v1/groups/group:0000001/counters/likes/increase HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"value\":2}"
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		connection, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer connection.Close()
		replies := bufio.NewReader(connection)
		for pb.Next() {
			if _, err := io.WriteString(connection, request); err != nil {
				b.Error(err)
				return
			}
			for { // the body's newline is the only one that follows a brace
				line, err := replies.ReadSlice('\n')
				if err != nil {
					b.Error(err)
					return
				}
				if line[len(line)-2] == '}' {
					break
				}
			}
		}
	})
}
