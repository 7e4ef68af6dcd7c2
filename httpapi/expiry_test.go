package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tally/counter"
	"tally/httpapi"
	"tally/identity"
)

const tokenSecret = "a secret of forty-eight bytes that nobody else has"

// withTokens makes the API know its callers by tokens.
func withTokens(t testing.TB) func(*httpapi.Config) {
	t.Helper()
	verifier, err := identity.NewVerifier(identity.Config{Keys: []identity.Key{tokenKey(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *httpapi.Config) { c.Authenticate = verifier.Authenticate }
}

func tokenKey(t testing.TB) identity.Key {
	t.Helper()
	key, err := identity.NewSecret([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// mint returns the Authorization of a user in a role.
func mint(t testing.TB, user string, role identity.Role, expires time.Time) string {
	t.Helper()
	token, err := identity.Mint(tokenKey(t), identity.Claims{User: user, Role: role, Issued: time.Now().Add(-time.Minute), Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

// TestStreamEndsWithItsToken: within a second, with a last word, whether there
// are events or not, and before the next progress is due.
func TestStreamEndsWithItsToken(t *testing.T) {
	for _, target := range []string{"/v1/groups/g/watch", "/v1/watch?group=g&group=h"} {
		for name, c := range map[string]struct {
			life time.Duration
			busy bool
		}{
			"silent":      {life: 3 * time.Second},
			"silent long": {life: 3*time.Minute + 7*time.Second},
			"busy":        {life: 3 * time.Second, busy: true},
		} {
			t.Run(name+" "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := serveStreams(t, withTokens(t))
					// One that is issued in the middle of a second would not live as long as it says.
					expires := time.Now().Truncate(time.Second).Add(c.life)
					ann := mint(t, "ann", identity.RoleUser, expires)
					s := a.open(t, target, "Authorization", ann)
					defer s.close()
					if c.busy {
						stop := a.increaseSteadily(t, "g")
						defer stop()
					}
					messages, last := 0, message{}
					for m, ok := s.next(); ok; m, ok = s.next() {
						messages, last = messages+1, m
					}
					if late := time.Since(expires); late < 0 || late > time.Second {
						t.Errorf("the stream ended %v after its token", late)
					}
					wantExpired(t, last, expires)
					if c.busy && messages < 50 {
						t.Errorf("%d messages of a busy group", messages)
					}
					got := a.get(target, "Authorization", ann)
					got.problem(counter.Unauthenticated)
					if !strings.Contains(got.header.Get("WWW-Authenticate"), "invalid_token") {
						t.Errorf("challenge %q", got.header.Get("WWW-Authenticate"))
					}
				})
			})
		}
	}
}

func wantExpired(t *testing.T, last message, expires time.Time) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(last.data), &p); err != nil || last.event != "expired" || last.id != "" {
		t.Fatalf("the last message is %+v", last)
	}
	if p.Code != string(counter.Unauthenticated) || p.Status != 401 || !p.Definite || p.RequestID == "" ||
		!strings.Contains(p.Detail, expires.UTC().Format(time.RFC3339)) {
		t.Errorf("the last word is %s", last.data)
	}
}

// increaseSteadily makes an event every 20 ms until it is stopped.
func (s *streams) increaseSteadily(t *testing.T, group string) (stop func()) {
	ctx := t.Context()
	done, ended := make(chan struct{}), make(chan struct{})
	service := mint(t, "service", identity.RoleService, time.Now().Add(time.Hour))
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
				s.do("POST", "/v1/groups/"+group+"/counters/a/increase", "", "Authorization", service).ok()
			}
		}
	}()
	return func() { close(done); <-ended }
}

// TestExpiredStreamThatNobodyReads ends, too: a client cannot keep it by not
// reading.
func TestExpiredStreamThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, withTokens(t))
		expires := time.Now().Truncate(time.Second).Add(5 * time.Second)
		r := httptest.NewRequest("GET", "/v1/groups/g/watch", nil)
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Authorization", mint(t, "ann", identity.RoleUser, expires))
		a.handler.ServeHTTP(&stuckWriter{header: http.Header{}}, r)
		if late := time.Since(expires); late > time.Second {
			t.Errorf("the stream ended %v after its token", late)
		}
	})
}

// stuckWriter is a connection whose client reads nothing: what is written waits
// for the deadline.
type stuckWriter struct {
	header   http.Header
	deadline time.Time
}

func (w *stuckWriter) Header() http.Header                 { return w.header }
func (w *stuckWriter) WriteHeader(int)                     {}
func (w *stuckWriter) Flush()                              {}
func (w *stuckWriter) SetWriteDeadline(at time.Time) error { w.deadline = at; return nil }
func (w *stuckWriter) Write([]byte) (int, error) {
	time.Sleep(time.Until(w.deadline))
	return 0, errStuck
}

var errStuck = http.ErrHandlerTimeout

// TestPollEndsWithItsToken: a long poll waits no longer than its token holds.
// Its reply has a position to go on from, and the next request is refused.
func TestPollEndsWithItsToken(t *testing.T) {
	for name, c := range map[string]struct{ method, target, body, want string }{
		"one group":      {"GET", "/v1/groups/g/watch?after=now&wait=5m", "", `{"group":"g","revision":0,"events":[]}` + "\n"},
		"many groups":    {"GET", "/v1/watch?group=g&group=h&wait=5m&cursor=", "", ""},
		"groups by body": {"POST", "/v1/watch?wait=5m", `{"groups":[{"group":"g"}],"cursor":`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, withTokens(t))
				expires := time.Now().Truncate(time.Second).Add(9 * time.Second)
				ann := mint(t, "ann", identity.RoleUser, expires)
				switch name {
				case "many groups":
					c.target += a.get("/v1/watch?group=g&group=h", "Authorization", ann).many().Cursor
				case "groups by body":
					cursor := a.do("POST", "/v1/watch", `{"groups":[{"group":"g"}]}`, "Authorization", ann).many().Cursor
					c.body += quoted(cursor) + "}"
				}
				got := a.do(c.method, c.target, c.body, "Authorization", ann)
				if late := time.Since(expires); late < 0 || late > time.Second {
					t.Errorf("answered %v after the token", late)
				}
				if got.ok(); c.want != "" && got.body != c.want || !strings.Contains(got.body, `"events":[]`) {
					t.Errorf("got %s", got.body)
				}
				a.do(c.method, c.target, c.body, "Authorization", ann).problem(counter.Unauthenticated)
			})
		})
	}
}
