package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"tally/client"
	"tally/counter"
)

// script is a server that answers requests as it is told, one step after the
// other, and remembers what it was sent. Requests beyond the last step are
// answered as by the last.
type script struct {
	*httptest.Server
	mu    sync.Mutex
	steps []http.HandlerFunc
	seen  []seen
}

// seen is one request as it came.
type seen struct {
	method, uri, body string
	header            http.Header
	at                time.Time
}

func (s seen) key() string { return s.header.Get("Idempotency-Key") }

func serve(t *testing.T, steps ...http.HandlerFunc) *script {
	t.Helper()
	s := &script{steps: steps}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	step := s.steps[min(len(s.seen), len(s.steps)-1)]
	s.seen = append(s.seen, seen{r.Method, r.RequestURI, string(body), r.Header.Clone(), time.Now()})
	s.mu.Unlock()
	step(w, r)
}

// RoundTrip answers without a network, for tests in virtual time: the script is
// then what the client sends through.
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(r.Context())
	trace.GetConn("")
	trace.GotConn(httptrace.GotConnInfo{})
	trace.WroteHeaders()
	if r.Body == nil {
		r.Body = http.NoBody // as a server has it
	}
	recorder := httptest.NewRecorder()
	answered := make(chan error, 1)
	go func() {
		defer func() {
			if fault := recover(); fault == http.ErrAbortHandler { // see reset
				answered <- io.ErrUnexpectedEOF
			} else if fault != nil {
				panic(fault)
			}
		}()
		s.ServeHTTP(recorder, r)
		answered <- nil
	}()
	select {
	case err := <-answered:
		if err != nil {
			return nil, err
		}
		return recorder.Result(), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// virtually makes a client whose only node follows the script, in a bubble of testing/synctest.
func virtually(t *testing.T, s *script, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(nil, append([]client.Option{client.WithoutDiscovery(), client.WithHTTPClient(&http.Client{Transport: s})}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// requests returns what has come so far.
func (s *script) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.seen...)
}

// dial makes a client of servers alone, without discovery, so that a script sees
// nothing but the calls.
func dial(t *testing.T, options []client.Option, servers ...*script) *client.Client {
	t.Helper()
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL)
	}
	c, err := client.New(urls, append([]client.Option{client.WithoutDiscovery()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// within is the timeout of a call.
func within(d time.Duration) []client.Option { return []client.Option{client.WithTimeout(d)} }

// increased answers a batch that increases room/likes.
func increased(revision, value int) http.HandlerFunc {
	return ok(fmt.Sprintf(`{"revision":%d,"results":[{"group":"room","counters":{"likes":%d}}]}`, revision, value))
}

func ok(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body+"\n") }
}

// replayed answers as to a repeated key.
func replayed(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Idempotent-Replayed", "true")
		answer(w, r)
	}
}

// refuse answers with an error as nodes do. more are fields beyond the usual.
func refuse(code counter.Code, more map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		info := code.Info()
		content := map[string]any{"code": code, "definite": info.Definite, "detail": "as told"}
		for name, value := range more {
			if name == "retryAfter" {
				w.Header().Set("Retry-After", fmt.Sprint(value))
				continue
			}
			content[name] = value
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(info.Status)
		_ = json.NewEncoder(w).Encode(content)
	}
}

// reset breaks the connection after the request has come.
func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cutOff breaks the connection in the middle of an answer that says success.
func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, `{"revision":7,"resul`)
	panic(http.ErrAbortHandler)
}

// hang answers when the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// proxy answers with a page, as what stands before a node may.
func proxy(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>bad gateway</html>")
	}
}
