package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

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
		messages []string
		want     faults
	}{
		{"none", []string{resetMessage, increased("1"), progressMessage, increased("2"), increased("3")}, faults{}},
		{"missing", []string{resetMessage, increased("1"), increased("3")}, faults{Missing: 1}},
		{"missing at the end", []string{resetMessage, increased("1")}, faults{Missing: 2}},
		{"twice", []string{resetMessage, increased("1"), increased("2"), increased("2"), increased("3")}, faults{Misplaced: 1}},
		{"out of order", []string{resetMessage, increased("2"), increased("1"), increased("3")}, faults{Missing: 1, Misplaced: 1}},
		{"another group", []string{resetMessage, strings.ReplaceAll(increased("1"), "00003", "00004"), increased("1"), increased("2"), increased("3")}, faults{Misplaced: 1}},
		{"reset", []string{resetMessage, increased("1"), increased("2"), resetMessage, increased("3")}, faults{Resets: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &watcher{first: 3, values: make([]int64, 1), resets: 1}
			for _, message := range test.messages {
				if err := w.message([]byte(message)); err != nil {
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

// replies is what a node sends, on one connection.
const replies = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole" +
	"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nX: y\r\n\r\nanother\n\r\n" +
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
	"15\r\nretry: 1000\n\nid: 7\nda\r\n" + "b\r\nta: one\n\n:-\r\n" + "1\r\n\n\r\n" + "d\r\n\ndata:two\n\nid\r\n"

// TestDecoder cuts the replies in two at every place, and into single bytes.
func TestDecoder(t *testing.T) {
	want := []string{"whole", "another\n\r\n", " one", "two"}
	for cut := range len(replies) {
		pieces := []string{replies[:cut], replies[cut:]}
		if cut == 0 {
			pieces = strings.Split(replies, "")
		}
		var got []string
		d := decoder{message: func(message []byte) error {
			got = append(got, string(message))
			return nil
		}}
		for _, piece := range pieces {
			if err := d.feed([]byte(piece)); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("cut at %d: got %q, want %q", cut, got, want)
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	for data, want := range map[string]string{
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\ntoo many": "503 Service Unavailable: too many",
		"HTTP/1.1 204 No Content\r\n\r\n":                                       "without a body",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n":                          "invalid syntax",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":        "ended",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n":            "invalid syntax",
	} {
		d := decoder{message: func([]byte) error { return nil }}
		if err := d.feed([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", data, err, want)
		}
	}
}

func TestConn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	}))
	defer server.Close()
	c, err := dial(t.Context(), server.URL, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, path := range []string{"/one", "/two"} {
		if got, err := c.do(request("POST", path, "")); err != nil || string(got) != "POST "+path {
			t.Errorf("%s: got %q, %v", path, got, err)
		}
	}
}

// TestWatchers reads from a node that tells of the same change twice and then
// ends the connection.
func TestWatchers(t *testing.T) {
	opened := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, message := range []string{resetMessage, increased("1"), increased("1")} {
			_, _ = io.WriteString(w, "data: "+strings.ReplaceAll(message, "w-00003", strings.Split(r.URL.Path, "/")[3])+"\n\n")
			w.(http.Flusher).Flush()
			<-opened
		}
	}))
	defer server.Close()
	w, err := openWatchers(t.Context(), server.URL, "w", crowd{connections: 4, groupsEach: 1, groups: 2})
	if err != nil {
		t.Fatal(err)
	}
	close(opened)
	w.running.Wait()
	w.close()
	got, err := w.verdict([]int64{1, 1})
	if want := (faults{Misplaced: 4, Ended: 4}); got != want || err == nil {
		t.Errorf("got %+v, %v, want %+v and why connections ended", got, err, want)
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
