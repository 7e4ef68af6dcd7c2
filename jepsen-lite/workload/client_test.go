package workload_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tally/jepsen-lite/history"
	"tally/jepsen-lite/workload"
)

// runAgainst lets a workload run against one node until it has had some
// requests, and returns the history.
func runAgainst(t *testing.T, name, url string, enough <-chan struct{}) *history.History {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	recorder, err := history.Open(path, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	suite, err := workload.New(workload.Config{
		Nodes:    func() []workload.Node { return []workload.Node{{ID: "n1", URL: url}} },
		Recorder: recorder, Seed: 1, Names: []string{name}, Timeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() {
		select {
		case <-enough:
		case <-ctx.Done():
		}
		cancel()
	}()
	if err := suite.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := history.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Operations) == 0 {
		t.Fatal("nothing was sent")
	}
	return h
}

// counted serves changes with a handler, and closes enough when it has seen many.
func counted(t *testing.T, many int, handle http.HandlerFunc) (url string, enough chan struct{}, seen map[string]int) {
	enough, seen = make(chan struct{}), map[string]int{}
	var (
		mu   sync.Mutex
		once sync.Once
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/cluster" {
			http.Error(w, "{}", http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		seen[r.Header.Get("X-Request-Id")]++
		if len(seen) == many {
			once.Do(func() { close(enough) })
		}
		mu.Unlock()
		handle(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, enough, seen
}

const oneIncrease = `{"group":"ticket-0","revision":9,"counters":{"next":1}}`

// A change whose connection breaks is not sent again, neither by a client nor
// behind its back: net/http would, where it carries an idempotency key.
func TestNoChangeIsRepeated(t *testing.T) {
	for _, name := range []string{"ticket", "retry"} {
		var mu sync.Mutex
		turn := 0
		url, enough, seen := counted(t, 8, func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			turn++
			breaks := turn%2 == 0 // on a connection that was used before
			mu.Unlock()
			if breaks {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write([]byte(oneIncrease))
		})
		h := runAgainst(t, name, url, enough)
		unknown := 0
		for i := range h.Operations {
			if o := &h.Operations[i]; o.Unknown() {
				unknown++
			}
		}
		if unknown == 0 {
			t.Errorf("%s: no outcome is unknown", name)
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("%s: request %s was sent %d times", name, id, times)
			}
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		name      string
		handle    http.HandlerFunc
		want      history.Type
		malformed bool
	}{
		{"an answer", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(oneIncrease)) }, history.TypeOK, false},
		{"a definite error", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"no_leader","definite":true}`))
		}, history.TypeFail, false},
		{"an indefinite error", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusGatewayTimeout)
			_, _ = w.Write([]byte(`{"code":"outcome_unknown","definite":false}`))
		}, history.TypeInfo, false},
		{"an error that says nothing", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "{}", http.StatusServiceUnavailable)
		}, history.TypeInfo, true},
		{"a cut body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(oneIncrease[:20]))
		}, history.TypeInfo, false},
		{"a success without a revision", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Replace(oneIncrease, `"revision":9,`, "", 1)))
		}, history.TypeInfo, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, enough, _ := counted(t, 3, test.handle)
			h := runAgainst(t, "ticket", url, enough)
			processes := map[int]int{}
			for i := range h.Operations {
				o := &h.Operations[i]
				processes[o.Process]++
				if o.Outcome != test.want || o.Reply.Malformed != test.malformed {
					t.Errorf("it is %s: %+v", o.Outcome, o.Reply)
				}
			}
			if asNew := len(processes) == len(h.Operations); asNew != (test.want == history.TypeInfo) {
				t.Errorf("%d requests of %d processes", len(h.Operations), len(processes))
			}
		})
	}
}

// What a watcher is told is written down also where it makes no sense.
func TestNonsenseIsWrittenDown(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	url, enough, _ := counted(t, 1_000_000, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		switch {
		case !strings.Contains(r.URL.Path, "/watch"):
			_, _ = w.Write([]byte(oneIncrease))
		case r.Header.Get("Accept") == "text/event-stream":
			_, _ = w.Write([]byte("id: 7\ndata: {\"revision\":8,\"events\":[]}\n\n"))
		default:
			_, _ = w.Write([]byte(`{"events":[]}`)) // no position
		}
	})
	time.AfterFunc(500*time.Millisecond, func() { close(enough) })
	told := map[history.Form]int{}
	for _, m := range runAgainst(t, "watch", url, enough).Messages {
		if m.What.Malformed != "" {
			told[m.What.Form]++
		}
	}
	for _, form := range []history.Form{history.Stream, history.GroupPoll, history.GroupStream} {
		if told[form] == 0 {
			t.Errorf("nothing was written down of %s: %v", form, told)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	enough := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(enough) })
	for _, o := range runAgainst(t, "ticket", "http://"+addr, enough).Operations {
		if o.Outcome != history.TypeFail {
			t.Errorf("a refused connection is %s: %s", o.Outcome, o.Reply.Error)
		}
	}
}

func TestUnknownWorkload(t *testing.T) {
	_, err := workload.New(workload.Config{Nodes: func() []workload.Node { return nil }, Recorder: new(history.Recorder), Names: []string{"registers"}})
	if err == nil || !strings.Contains(err.Error(), "registers") {
		t.Errorf("the error is %v", err)
	}
}
