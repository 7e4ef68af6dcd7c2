package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"tally/counter"
	"tally/httpapi"
)

// TestBackendErrors shows every code of the closed list as the backend's refusal
// of a mutation and of a read.
func TestBackendErrors(t *testing.T) {
	for _, info := range counter.Codes() {
		t.Run(string(info.Code), func(t *testing.T) {
			a := newAPI(t)
			a.backend.fail = func(context.Context) error {
				return &counter.Error{Code: info.Code, Detail: "do this", Revision: 7, Leader: &counter.Leader{ID: "n2", URL: "http://h"}, RetryAfter: 1200 * time.Millisecond}
			}
			write := a.do("POST", "/v1/groups/g/counters/a/increase", "")
			if p := write.problem(info.Code); p.Definite != info.Definite || p.Revision != 7 || p.Leader == nil || p.Leader.ID != "n2" || p.Type != "urn:tally:error:"+string(info.Code) {
				t.Errorf("got %s", write.body)
			}
			want := ""
			if info.Status == 503 || info.Status == 429 {
				want = "2"
			}
			if got := write.header.Get("Retry-After"); got != want {
				t.Errorf("Retry-After %q, want %q", got, want)
			}
			for _, target := range []string{"/v1/groups/g/counters", "/v1/groups/g/counters/a", "/v1/groups", "/v1/cluster"} {
				if p := a.get(target).problem(info.Code); !p.Definite {
					t.Errorf("a failed read of %s is not definite", target)
				}
			}
			for _, got := range []reply{
				a.do("POST", "/v1/cluster/members", `{"id":"n4","peerAddr":"h:1"}`),
				a.do("DELETE", "/v1/cluster/members/n2", ""),
				a.do("POST", "/v1/cluster/leader", ""),
				a.do("POST", "/v1/batch", `{"operations":[{"op":"delete","group":"g","all":true}]}`),
				a.do("DELETE", "/v1/groups/g/counters", ""),
				a.do("PUT", "/v1/groups/g/counters", `{"counters":{"a":1}}`),
			} {
				got.problem(info.Code)
			}
		})
	}
}

func TestRetryAfterIsAtLeastOneSecond(t *testing.T) {
	a := newAPI(t)
	a.backend.fail = func(context.Context) error { return counter.Errorf(counter.NoLeader, "wait") }
	if got := a.get("/v1/cluster").header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
}

// TestMistakesOfOurs: what is not on the closed list is internal, is logged with
// the request ID, and tells the caller nothing of the inside.
func TestMistakesOfOurs(t *testing.T) {
	for name, fail := range map[string]func(context.Context) error{
		"unknown error":  func(context.Context) error { return errors.New("secret") },
		"nil of a kind":  func(context.Context) error { var e *counter.Error; return e },
		"panic":          func(context.Context) error { panic("secret") },
		"panic of error": func(context.Context) error { panic(errors.New("secret")) },
		"unknown code":   func(context.Context) error { return &counter.Error{Code: "secret", Detail: "d"} },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			a := newAPI(t, func(c *httpapi.Config) { c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log}) })
			a.backend.fail = fail
			got := a.do("POST", "/v1/groups/g/counters/a/increase", "", "X-Request-Id", "r-77")
			if p := got.problem(counter.Internal); p.Definite || strings.Contains(got.body, "secret") {
				t.Errorf("got %s", got.body)
			}
			if p := a.get("/v1/groups/g/counters").problem(counter.Internal); !p.Definite {
				t.Error("a failed read is not definite")
			}
			if name != "unknown code" && !strings.Contains(log.String(), "r-77") {
				t.Errorf("log: %s", log.String())
			}
			if strings.HasPrefix(name, "panic") && !strings.Contains(log.String(), "problem_test.go") {
				t.Errorf("no stack in the log: %s", log.String())
			}
			a.backend.fail = nil
			a.do("POST", "/v1/groups/g/counters/a/increase", "").has(200, 1)
		})
	}
}

func TestAbortedHandlersStayAborted(t *testing.T) {
	a := newAPI(t)
	a.backend.fail = func(context.Context) error { panic(http.ErrAbortHandler) }
	defer func() {
		if fault := recover(); fault != http.ErrAbortHandler {
			t.Errorf("recovered %v", fault)
		}
	}()
	a.get("/v1/cluster")
}

// TestBackendHasADeadline: the backend decides what the end of its time means.
func TestBackendHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, func(c *httpapi.Config) { c.RequestTimeout = 3 * time.Second })
		a.backend.fail = func(ctx context.Context) error {
			<-ctx.Done()
			return counter.Errorf(counter.OutcomeUnknown, "read the group to find out")
		}
		started := time.Now()
		if p := a.do("POST", "/v1/groups/g/counters/a/increase", "").problem(counter.OutcomeUnknown); p.Definite {
			t.Error("definite")
		}
		if took := time.Since(started); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestRequestIDs(t *testing.T) {
	a := newAPI(t)
	for id, kept := range map[string]bool{
		"r-1": true, "{\"~!": true, strings.Repeat("x", 128): true,
		strings.Repeat("x", 129): false, "a b": false, "ü": false, "a\x7f": false, "": false,
	} {
		got := a.get("/livez", "X-Request-Id", id).header.Get("X-Request-Id")
		if (got == id) != kept || got == "" {
			t.Errorf("%q became %q", id, got)
		}
	}
	first, second := a.get("/livez").header.Get("X-Request-Id"), a.get("/livez").header.Get("X-Request-Id")
	if first == second {
		t.Errorf("%q twice", first)
	}
}

func TestRefusalsUnderIdempotencyKeys(t *testing.T) {
	a := newAPI(t)
	refuseWith := func(err *counter.Error) reply {
		a.backend.fail = func(context.Context) error { return err }
		return a.do("POST", "/v1/groups/g/counters/a/increase", "", "Idempotency-Key", "k")
	}
	replayed := refuseWith(&counter.Error{Code: counter.OutOfRange, Detail: "no", Revision: 9, Replayed: true})
	if replayed.problem(counter.OutOfRange); replayed.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a replayed refusal is not marked: %v", replayed.header)
	}
	expired := refuseWith(&counter.Error{Code: counter.IdempotencyKeyExpired, Detail: "too old", Revision: 10, ServerTimeMs: 1795390019414})
	if p := expired.problem(counter.IdempotencyKeyExpired); p.ServerTimeMs != 1795390019414 || expired.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("expired: %v %s", expired.header, expired.body)
	}
}
