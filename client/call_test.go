package client_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tally/client"
	"tally/counter"
)

// like increases room/likes by 1.
func like(c *client.Client, options ...client.CallOption) (counter.Result, error) {
	return c.Increase(context.Background(), "room", map[string]int64{"likes": 1}, options...)
}

// TestKeysThatWouldNotArrive: a key of the caller's is sent as it is or not at
// all. An empty one must not become a new one each time, and HTTP takes spaces
// off the ends of a header, where " a" would meet "a".
func TestKeysThatWouldNotArrive(t *testing.T) {
	server := serve(t, increased(7, 1))
	c := dial(t, nil, server)
	for _, key := range []string{"", " ", " a", "a ", "a\tb", "a\nb", "\xff", strings.Repeat("k", 129)} {
		if _, err := like(c, client.IdempotencyKey(key)); !errors.Is(err, counter.InvalidRequest) {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"a b", "ключ", strings.Repeat("k", 128)} {
		if _, err := like(c, client.IdempotencyKey(key)); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	if got := len(server.requests()); got != 3 {
		t.Errorf("%d requests were sent, want 3", got)
	}
}

// TestMutationEnds: what a change ends with after each sequence of answers.
func TestMutationEnds(t *testing.T) {
	sm := map[string]any{"revision": 9} // decided by the state machine
	for name, test := range map[string]struct {
		steps   []http.HandlerFunc
		want    error // nil for success
		not     error // what the error must not be, too
		tries   int   // requests; 0 for two or more
		newKeys bool  // more than one key is used
	}{
		"answered":                          {steps: steps(increased(7, 1)), tries: 1},
		"reset after it was sent, then":     {steps: steps(reset, replayed(increased(7, 1))), tries: 2},
		"the answer is cut off, then":       {steps: steps(cutOff, replayed(increased(7, 1))), tries: 2},
		"a page of a proxy, then":           {steps: steps(proxy(502), increased(7, 1)), tries: 2},
		"success that is not to understand": {steps: steps(ok(`{"revision":7,"results":[]}`), increased(7, 1)), tries: 2},
		"another group's success":           {steps: steps(ok(`{"revision":7,"results":[{"group":"hall","counters":{"likes":1}}]}`), increased(7, 1)), tries: 2},
		"a value that is no int64":          {steps: steps(ok(`{"revision":7,"results":[{"group":"room","counters":{"likes":9223372036854775808}}]}`), increased(7, 1)), tries: 2},
		"no leader, then":                   {steps: steps(refuse(counter.NoLeader, nil), increased(7, 1)), tries: 2},
		"unknown, no leader, then":          {steps: steps(refuse(counter.OutcomeUnknown, nil), refuse(counter.NoLeader, nil), increased(7, 1)), tries: 3},
		"disk full, then":                   {steps: steps(refuse(counter.DiskFull, nil), increased(7, 1)), tries: 2},

		"refused by the state machine":          {steps: steps(refuse(counter.OutOfRange, sm)), want: counter.OutOfRange, tries: 1},
		"unknown, then refused by it":           {steps: steps(reset, refuse(counter.OutOfRange, sm)), want: counter.OutOfRange, not: counter.OutcomeUnknown, tries: 2},
		"unknown, then key reused":              {steps: steps(reset, refuse(counter.IdempotencyKeyReused, sm)), want: counter.IdempotencyKeyReused, tries: 2},
		"refused at the door":                   {steps: steps(refuse(counter.Forbidden, nil)), want: counter.Forbidden, tries: 1},
		"a refusal of a kind from the future":   {steps: steps(refuse("too_beautiful", map[string]any{"definite": true})), want: counter.Code("too_beautiful"), tries: 1},
		"unknown, then refused at the door":     {steps: steps(reset, refuse(counter.Forbidden, nil)), want: counter.OutcomeUnknown, not: counter.Forbidden},
		"unknown, then no leader for ever":      {steps: steps(reset, refuse(counter.NoLeader, nil)), want: counter.OutcomeUnknown, not: counter.NoLeader},
		"unknown, then over the limit":          {steps: steps(reset, refuse(counter.RateLimited, map[string]any{"retryAfter": 60})), want: counter.OutcomeUnknown, not: counter.RateLimited, tries: 2},
		"unknown, then the key has expired":     {steps: steps(reset, refuse(counter.IdempotencyKeyExpired, sm)), want: counter.OutcomeUnknown, not: counter.IdempotencyKeyExpired, tries: 2},
		"unknown for ever":                      {steps: steps(refuse(counter.OutcomeUnknown, nil)), want: counter.OutcomeUnknown},
		"internal for ever":                     {steps: steps(refuse(counter.Internal, nil)), want: counter.OutcomeUnknown, not: counter.Internal},
		"internal, and surely nothing done":     {steps: steps(refuse(counter.Internal, map[string]any{"definite": true})), want: counter.Internal, not: counter.OutcomeUnknown},
		"pages of a proxy for ever":             {steps: steps(proxy(504)), want: counter.OutcomeUnknown},
		"no leader for ever":                    {steps: steps(refuse(counter.NoLeader, nil)), want: counter.NoLeader, not: counter.OutcomeUnknown},
		"over the limit for long":               {steps: steps(refuse(counter.RateLimited, map[string]any{"retryAfter": 60})), want: counter.RateLimited, tries: 1},
		"the key has expired, another is taken": {steps: steps(refuse(counter.IdempotencyKeyExpired, sm), increased(7, 1)), tries: 2, newKeys: true},
		"expired, and unknown under the second": {steps: steps(refuse(counter.IdempotencyKeyExpired, sm), reset, refuse(counter.IdempotencyKeyExpired, sm)), want: counter.OutcomeUnknown, tries: 3, newKeys: true},
		"the key expires again and again":       {steps: steps(refuse(counter.IdempotencyKeyExpired, sm)), want: counter.IdempotencyKeyExpired, tries: 3, newKeys: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, test.steps...)
			result, err := like(dial(t, within(700*time.Millisecond), server))
			if !errors.Is(err, test.want) || test.not != nil && errors.Is(err, test.not) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if test.want == nil && (result.Revision != 7 || result.Outcomes[0].Counters[0] != counter.Counter{Key: "likes", Value: 1}) {
				t.Errorf("result %+v", result)
			}
			checkAttempts(t, server.requests(), test.tries, test.newKeys)
		})
	}
}

func steps(list ...http.HandlerFunc) []http.HandlerFunc { return list }

// checkAttempts: the same request under the same key every time, unless another
// key was to be made.
func checkAttempts(t *testing.T, requests []seen, tries int, newKeys bool) {
	t.Helper()
	if tries != 0 && len(requests) != tries || tries == 0 && len(requests) < 2 {
		t.Errorf("%d requests, want %d", len(requests), tries)
	}
	keys := make(map[string]bool)
	for _, r := range requests {
		if _, ok := counter.ParseUUIDv7(r.key()); !ok || r.body != requests[0].body || r.uri != "/v1/batch" {
			t.Errorf("request %+v", r)
		}
		keys[r.key()] = true
	}
	if (len(keys) > 1) != newKeys {
		t.Errorf("%d keys", len(keys))
	}
}

// TestBrokenConnectionsAreSeen: net/http, given an idempotency key, would send
// again by itself over another connection when one that it had kept breaks, and
// tell nobody of the first time.
func TestBrokenConnectionsAreSeen(t *testing.T) {
	server := serve(t, increased(6, 1), reset, refuse(counter.Forbidden, nil))
	c := dial(t, within(500*time.Millisecond), server)
	if _, err := like(c); err != nil {
		t.Fatal(err)
	}
	if _, err := like(c); !errors.Is(err, counter.OutcomeUnknown) || errors.Is(err, counter.Forbidden) {
		t.Errorf("got %v", err)
	}
}

func TestReplayIsTold(t *testing.T) {
	result, err := like(dial(t, nil, serve(t, reset, replayed(increased(7, 1)))))
	if err != nil || !result.Replayed {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestUnknownOutcomeNamesTheKey, so that its caller can go on with it.
func TestUnknownOutcomeNamesTheKey(t *testing.T) {
	server := serve(t, reset)
	_, err := like(dial(t, within(200*time.Millisecond), server))
	if key := server.requests()[0].key(); !strings.Contains(err.Error(), key) {
		t.Errorf("%q does not name the key %s", err, key)
	}
}

// TestOwnKey: a caller's key is sent as it is, and never replaced.
func TestOwnKey(t *testing.T) {
	server := serve(t, refuse(counter.IdempotencyKeyExpired, map[string]any{"revision": 3}))
	_, err := like(dial(t, nil, server), client.IdempotencyKey("order 66"))
	if !errors.Is(err, counter.IdempotencyKeyExpired) || len(server.requests()) != 1 || server.requests()[0].key() != "order 66" {
		t.Errorf("%v after %+v", err, server.requests())
	}
}

// TestClockIsCorrected: a refused key tells the cluster's time, and later keys have it.
func TestClockIsCorrected(t *testing.T) {
	ahead := time.Now().Add(-5 * time.Hour)
	server := serve(t, refuse(counter.IdempotencyKeyExpired, map[string]any{"revision": 3, "serverTimeMs": ahead.UnixMilli()}), increased(7, 1))
	c := dial(t, nil, server)
	for range 2 {
		if _, err := like(c); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range server.requests()[1:] {
		id, _ := counter.ParseUUIDv7(r.key())
		if off := time.UnixMilli(id.TimeMs()).Sub(ahead); off < -time.Second || off > time.Minute {
			t.Errorf("key %d is %v off the cluster's time", i+1, off)
		}
	}
}

// TestRetryAfterIsHonoured by who is over the limit, within the same call.
func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []counter.Code{counter.RateLimited, counter.Overloaded} {
			server := &script{steps: steps(refuse(code, map[string]any{"retryAfter": 4}), increased(7, 1))}
			if _, err := like(virtually(t, server)); err != nil {
				t.Fatal(err)
			}
			if waited := server.requests()[1].at.Sub(server.requests()[0].at); waited < 4*time.Second || waited > 5*time.Second {
				t.Errorf("%s: the second attempt came after %v", code, waited)
			}
		}
	})
}

// TestNodeWithoutALeaderNamesOthers: who knows no other node asks it for them, and
// does not wait until it has rested.
func TestNodeWithoutALeaderNamesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := &script{steps: steps(refuse(counter.NoLeader, map[string]any{"retryAfter": 1}))}
		member := &script{steps: steps(increased(7, 1))}
		lists := &script{steps: steps(ok(`{"node":"n1","members":[{"id":"n2","url":"http://n2:8101"}]}`))}
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Path == "/v1/cluster":
				return lists.RoundTrip(r)
			case r.URL.Host == "n2:8101":
				return member.RoundTrip(r)
			}
			return cut.RoundTrip(r)
		})
		c, err := client.New([]string{"n1:8101"}, client.WithHTTPClient(&http.Client{Transport: transport}))
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if _, err := like(c); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took != 0 || len(cut.requests()) != 1 || len(member.requests()) != 1 {
			t.Errorf("%d and %d requests in %v", len(cut.requests()), len(member.requests()), took)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestCallsThatCannotBeServedInTime fail at once, with the reason that an earlier
// one was given.
func TestCallsThatCannotBeServedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &script{steps: steps(refuse(counter.Overloaded, map[string]any{"retryAfter": 60}))}
		c := virtually(t, server)
		started := time.Now()
		for range 3 {
			if _, err := like(c); !errors.Is(err, counter.Overloaded) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(started); took != 0 || len(server.requests()) != 1 {
			t.Errorf("%d requests in %v", len(server.requests()), took)
		}
	})
}

// TestDefaultTimeout bounds a call whose context has no deadline, also when the
// node hangs, and attempts become rarer.
func TestDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, steps := range map[string][]http.HandlerFunc{"hangs": steps(hang), "resets": steps(reset)} {
			server := &script{steps: steps}
			started := time.Now()
			_, err := like(virtually(t, server))
			took := time.Since(started)
			if !errors.Is(err, counter.OutcomeUnknown) || took > client.DefaultTimeout || took < client.DefaultTimeout-3*time.Second {
				t.Errorf("%s: %v after %v", name, err, took)
			}
			if n := len(server.requests()); n < 3 || n > 20 {
				t.Errorf("%s: %d attempts", name, n)
			}
		}
	})
}

// TestOtherNodeIsTried: at once when one is busy, down, or hangs.
func TestOtherNodeIsTried(t *testing.T) {
	down := serve(t, reset)
	down.Close()
	for name, bad := range map[string]*script{
		"busy":  serve(t, refuse(counter.Overloaded, map[string]any{"retryAfter": 30})),
		"down":  down,
		"reset": serve(t, reset),
		"hangs": serve(t, hang),
	} {
		t.Run(name, func(t *testing.T) {
			good := serve(t, increased(7, 1))
			c := dial(t, []client.Option{client.WithAttemptTimeout(200 * time.Millisecond), client.WithTimeout(5 * time.Second)}, bad, good)
			for range 4 { // it begins with one or the other
				if _, err := like(c); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(bad.requests()); n > 2 {
				t.Errorf("the bad one was asked %d times", n)
			}
		})
	}
}

// TestLeaderIsLearned from a refusal, and asked from then on.
func TestLeaderIsLearned(t *testing.T) {
	leader := serve(t, increased(7, 1))
	other := serve(t, refuse(counter.NotLeader, map[string]any{"leader": counter.Leader{ID: "n1", URL: leader.URL}}))
	c := dial(t, nil, other)
	for range 3 {
		if _, err := like(c); err != nil {
			t.Fatal(err)
		}
	}
	if len(other.requests()) != 1 || len(leader.requests()) != 3 {
		t.Errorf("%d requests to the other, %d to the leader", len(other.requests()), len(leader.requests()))
	}
}

// TestNobodyAnswers: a change that was never sent was surely not made.
func TestNobodyAnswers(t *testing.T) {
	server := serve(t, reset)
	server.Close()
	_, err := like(dial(t, within(300*time.Millisecond), server))
	if !errors.Is(err, client.ErrUnreachable) || errors.Is(err, counter.OutcomeUnknown) {
		t.Errorf("got %v", err)
	}
}

// TestForeignTransport: one that does not say whether it has sent anything may have.
func TestForeignTransport(t *testing.T) {
	silent := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") })}
	c, err := client.New(nil, client.WithHTTPClient(silent), client.WithTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := like(c); !errors.Is(err, counter.OutcomeUnknown) {
		t.Errorf("got %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestReadsAreRepeated, and a read that fails is not an unknown outcome.
func TestReadsAreRepeated(t *testing.T) {
	server := serve(t, reset, refuse(counter.Internal, map[string]any{"definite": true}), ok(`{"group":"room","revision":5,"modRevision":4,"counters":{"a":-9223372036854775808},"new":true}`))
	reading, err := dial(t, nil, server).Get(t.Context(), "room")
	if err != nil || reading.Counters[0].Value != -9223372036854775808 || reading.Revision != 5 || reading.ModRevision != 4 {
		t.Errorf("%+v, %v", reading, err)
	}
	_, err = dial(t, within(200*time.Millisecond), serve(t, cutOff)).Get(t.Context(), "room")
	if !errors.Is(err, client.ErrUnreachable) || errors.Is(err, counter.OutcomeUnknown) {
		t.Errorf("got %v", err)
	}
}

// TestMemberChangesAreNotRepeated when they may have been made.
func TestMemberChangesAreNotRepeated(t *testing.T) {
	server := serve(t, refuse(counter.NoLeader, nil), reset)
	_, err := dial(t, nil, server).RemoveMember(t.Context(), "n3")
	if !errors.Is(err, counter.OutcomeUnknown) || len(server.requests()) != 2 || server.requests()[0].key() != "" {
		t.Errorf("%v after %d requests", err, len(server.requests()))
	}
}

// TestMemberChangesAreWaitedFor longer than for one of several attempts, because
// there is no other: a node without a leader says late that it did nothing.
func TestMemberChangesAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second) // virtual
			refuse(counter.NoLeader, nil)(w, r)
		}
		server := &script{steps: []http.HandlerFunc{late, ok(`{"node":"n1","members":[{"id":"n1"}]}`)}}
		cluster, err := virtually(t, server).RemoveMember(t.Context(), "n3")
		if err != nil || len(cluster.Members) != 1 || len(server.requests()) != 2 {
			t.Errorf("%+v, %v after %d requests", cluster, err, len(server.requests()))
		}
	})
}

// TestContextEnds: the error says so, and what is known of the change.
func TestContextEnds(t *testing.T) {
	server := serve(t, hang)
	c := dial(t, nil, server)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for len(server.requests()) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := c.Increase(ctx, "room", map[string]int64{"likes": 1})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, counter.OutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	_, err = c.Increase(ctx, "room", map[string]int64{"likes": 1})
	if !errors.Is(err, context.Canceled) || errors.Is(err, counter.OutcomeUnknown) {
		t.Errorf("a call that was never sent: %v", err)
	}
}

// TestLongRepliesAreRefused instead of filling the memory.
func TestLongRepliesAreRefused(t *testing.T) {
	server := serve(t, ok(strings.Repeat(" ", 17<<20)))
	_, err := dial(t, within(3*time.Second), server).Get(t.Context(), "room")
	if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("got %v", err)
	}
}

// TestCallsThatMakeNoSense are refused before anything is sent.
func TestCallsThatMakeNoSense(t *testing.T) {
	server := serve(t, reset)
	c := dial(t, nil, server)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"no counters":        func() error { _, err := c.Set(ctx, "room", nil); return err },
		"no keys":            func() error { _, err := c.Delete(ctx, "room"); return err },
		"no operations":      func() error { _, err := c.Batch(ctx, nil); return err },
		"a group of dots":    func() error { _, err := c.Get(ctx, ".."); return err },
		"an empty key":       func() error { _, err := c.Get(ctx, "room", ""); return err },
		"a node of dots":     func() error { _, err := c.RemoveMember(ctx, ".."); return err },
		"condition on other": func() error { _, err := like(c, client.IfAbsent()); return err },
		"condition in batch": func() error {
			_, err := c.Batch(ctx, []counter.Operation{{Kind: counter.Set, Group: "g", Counters: []counter.Counter{{Key: "k"}}, Condition: counter.Condition{Checked: true}}})
			return err
		},
	} {
		if _, ok := errors.AsType[*counter.Error](call()); !ok {
			t.Errorf("%s: not refused", name)
		}
	}
	if n := len(server.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestEndpoints(t *testing.T) {
	for _, bad := range []string{"", "http://", "ftp://host:1", "http://user:secret@host:1", "http://host:1/?q", "host:port", "localhost", "::1"} {
		if _, err := client.New([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"127.0.0.1:8101", "localhost:8101", "http://[::1]:8101/", "https://tally.example.org/n1/"} {
		if _, err := client.New([]string{good}); err != nil {
			t.Error(err)
		}
	}
}

// TestCredentials go with every request.
func TestCredentials(t *testing.T) {
	server := serve(t, increased(7, 1))
	if _, err := like(dial(t, []client.Option{client.WithToken("abc"), client.WithUser("anna")}, server)); err != nil {
		t.Fatal(err)
	}
	if h := server.requests()[0].header; h.Get("Authorization") != "Bearer abc" || h.Get("X-Tally-User") != "anna" {
		t.Errorf("header %v", h)
	}
}

// TestTokenSource is asked before every attempt; an attempt without a token is
// not made, and surely changed nothing.
func TestTokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &script{steps: steps(increased(7, 1))}
		asked := 0
		source := func(context.Context) (string, error) {
			if asked++; asked == 1 {
				return "", errors.New("not yet")
			}
			return "second", nil
		}
		if _, err := like(virtually(t, server, client.WithTokenSource(source))); err != nil || server.requests()[0].header.Get("Authorization") != "Bearer second" {
			t.Errorf("%v after %+v", err, server.requests())
		}
		never := errors.New("never")
		_, err := like(virtually(t, server, client.WithTokenSource(func(context.Context) (string, error) { return "", never })))
		if !errors.Is(err, never) || !errors.Is(err, client.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
	})
}

func TestClosedClient(t *testing.T) {
	c := dial(t, []client.Option{client.WithCoalescing(time.Millisecond)}, serve(t, increased(7, 1)))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := like(c)
	_, addErr := c.Counter("room", "likes").Add(t.Context(), 1)
	var watchErr error
	for _, err := range c.Watch(t.Context(), "room") {
		watchErr = err
	}
	for _, err := range []error{err, addErr, watchErr} {
		if !errors.Is(err, client.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}
