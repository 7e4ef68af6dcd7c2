package httpapi_test

import (
	"context"
	"io"
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
	o := &m.Operations[0]
	return counter.Result{Revision: 123456, Outcomes: []counter.Outcome{{Group: o.Group, Counters: o.Counters}}}, nil
}

func (idle) Read(_ context.Context, group string, keys []string, _ bool) (counter.Reading, error) {
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
