package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// messages is a watch that gives what it is made of.
type messages []string

func (m *messages) next() ([]byte, error) {
	if len(*m) == 0 {
		return nil, io.EOF
	}
	first := (*m)[0]
	*m = (*m)[1:]
	return []byte(first), nil
}

func increased(value string) string {
	return `{"group":"w-00003","revision":9,"events":[{"revision":9,"type":"increase","group":"w-00003","key":"n","value":` + value + `,"delta":1,"timeMs":1700000000000}]}`
}

const (
	resetMessage    = `{"group":"w-00003","revision":7,"events":[{"type":"reset","group":"w-00003","revision":7,"counters":{}}]}`
	progressMessage = `{"group":"w-00003","revision":20,"events":[]}`
)

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name     string
		messages messages
		want     faults
	}{
		{"none", messages{resetMessage, increased("1"), progressMessage, increased("2"), increased("3")}, faults{}},
		{"missing", messages{resetMessage, increased("1"), increased("3")}, faults{Missing: 1}},
		{"missing at the end", messages{resetMessage, increased("1")}, faults{Missing: 2}},
		{"twice", messages{resetMessage, increased("1"), increased("2"), increased("2"), increased("3")}, faults{Misplaced: 1}},
		{"out of order", messages{resetMessage, increased("2"), increased("1"), increased("3")}, faults{Missing: 1, Misplaced: 1}},
		{"another group", messages{resetMessage, strings.ReplaceAll(increased("1"), "00003", "00004"), increased("1"), increased("2"), increased("3")}, faults{Misplaced: 1}},
		{"reset", messages{resetMessage, increased("1"), increased("2"), resetMessage, increased("3")}, faults{Resets: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &watcher{source: &test.messages, first: 3, values: make([]int64, 1), resets: 1}
			for len(test.messages) > 0 {
				if _, err := w.read(func() time.Duration { return 0 }); err != nil {
					t.Fatal(err)
				}
			}
			got, err := (&watchers{all: []*watcher{w}}).verdict([]int64{0, 0, 0, 3})
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
			if (got.err() == nil) != (test.want == faults{}) {
				t.Errorf("the verdict is %v", got.err())
			}
		})
	}
}

func TestScanAgreesWithJSON(t *testing.T) {
	message := `{"cursor":"x","events":[` +
		`{"type":"reset","group":"w-00001","revision":7,"counters":{"n":4}},` +
		`{"revision":9,"type":"increase","group":"w-00012","key":"n","value":5,"delta":1,"user":"ann","timeMs":1},` +
		`{"revision":9,"type":"set","group":"w-00002","key":"n","value":123456789012}]}` + "\n"
	var decoded struct {
		Events []struct {
			Type  string
			Group string
			Value int64
		}
	}
	if err := json.Unmarshal([]byte(message), &decoded); err != nil {
		t.Fatal(err)
	}
	var want, got []event
	for _, e := range decoded.Events {
		group, err := number([]byte(e.Group[len(e.Group)-groupDigits:]))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, event{group: int(group), value: e.Value, reset: e.Type == "reset"})
	}
	if err := scan([]byte(message), func(e event) { got = append(got, e) }); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, damaged := range []string{
		`{"events":[{"type":"set","key":"n","value":1}]}`,
		`{"events":[{"type":"set","group":"w-00001","key":"n"}]}`,
		`{"events":[{"type":"set","group":"w-00001","key":"n","value":-1}]}`,
		`{"events":[{"type":"set","group":"other","key":"n","value":1}]}`,
	} {
		if err := scan([]byte(damaged), func(event) {}); err == nil {
			t.Errorf("%s passes", damaged)
		}
	}
}

// serve answers as a node would, once in each way that net/http has.
func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/stream":
		for _, piece := range []string{"retry: 1000\n\nid: 7\nda", "ta: one\n\n", ": nothing\n\ndata:two\n", "\n"} {
			_, _ = io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	case "/chunked":
		_, _ = io.WriteString(w, "in ")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "pieces")
	case "/refused":
		http.Error(w, "too many", http.StatusServiceUnavailable)
	default:
		_, _ = io.WriteString(w, "whole")
	}
}

func TestConn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(serve))
	defer server.Close()
	c, err := dial(context.Background(), server.URL, 512)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for path, want := range map[string]string{"/": "whole", "/chunked": "in pieces"} {
		if got, err := c.do(request("GET", path, "")); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
	if _, err := c.do(request("GET", "/refused", "")); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "too many") {
		t.Errorf("a refusal: %v", err)
	}
	s, err := c.stream(request("GET", "/stream", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		if got, err := s.next(); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if _, err := s.next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for endpoint, good := range map[string]bool{
		"http://127.0.0.1:8101": true,
		"http://[::1]:8101":     true,
		"http://192.0.2.1:8101": false,
		"http://example.org:80": false,
		"http://127.0.0.1":      false,
	} {
		if err := checkLoopback(endpoint); (err == nil) != good {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
