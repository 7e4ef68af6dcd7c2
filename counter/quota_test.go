package counter_test

import (
	"errors"
	"testing"
	"time"

	"tally/counter"
)

func TestQuotaRefusal(t *testing.T) {
	quota := &counter.Quota{Name: "mutations", CallsMax: 20, Window: 5 * time.Second, RetryAfter: 1200 * time.Millisecond}
	err := quota.Refusal()
	if !errors.Is(err, counter.RateLimited) || !err.Definite() || err.RetryAfter != quota.RetryAfter || err.Quota != quota {
		t.Errorf("the refusal is %+v", err)
	}
	if want := "at most 20 mutations of a user in any 5s are admitted; try again in 1.2s"; err.Detail != want {
		t.Errorf("detail %q, want %q", err.Detail, want)
	}
}
