package httpapi_test

import (
	"context"
	"testing"
	"time"

	"tally/counter"
)

// A counted call says what is left, whatever became of it; one that was not counted says nothing.
func TestQuotaIsInTheHeader(t *testing.T) {
	quota := counter.Quota{Name: "mutations", CallsMax: 20, Window: 5 * time.Second}
	for _, test := range []struct {
		remaining  int
		retryAfter time.Duration
		field      string
		seconds    string // Retry-After of a refusal
	}{
		{19, 5 * time.Second, `"mutations";r=19;t=5`, "5"},
		{1, 2001 * time.Millisecond, `"mutations";r=1;t=3`, "3"},
		{0, time.Millisecond, `"mutations";r=0;t=1`, "1"},
	} {
		q := quota
		q.Remaining, q.RetryAfter = test.remaining, test.retryAfter
		a := newAPI(t)
		a.backend.quota = &q
		replies := []reply{
			a.do("POST", "/v1/groups/g/counters/a/increase", ""),
			a.get("/v1/groups/g/counters"),
			a.get("/v1/groups/g/counters/a"),
		}
		for _, got := range replies {
			got.ok()
		}
		missing := a.get("/v1/groups/g/counters/b")
		missing.problem(counter.CounterNotFound)
		a.backend.fail = func(context.Context) error { return q.Refusal() }
		refused := a.do("POST", "/v1/groups/g/counters/a/increase", "")
		if p := refused.problem(counter.RateLimited); p.ErrorCode != 2996 {
			t.Errorf("errorCode %d", p.ErrorCode)
		}
		if got := refused.header.Get("Retry-After"); got != test.seconds {
			t.Errorf("Retry-After: %s, want %s", got, test.seconds)
		}
		for _, got := range append(replies, missing, refused) {
			if field, policy := got.header.Get("RateLimit"), got.header.Get("RateLimit-Policy"); field != test.field || policy != `"mutations";q=20;w=5` {
				t.Errorf("RateLimit: %s, RateLimit-Policy: %s; want %s", field, policy, test.field)
			}
		}
	}
	a := newAPI(t)
	for _, got := range []reply{a.do("POST", "/v1/groups/g/counters/a/increase", ""), a.get("/v1/groups/g/counters")} {
		got.ok()
		if got.header.Get("RateLimit") != "" || got.header.Get("RateLimit-Policy") != "" {
			t.Errorf("a call that was not counted says %v", got.header)
		}
	}
}
