package ratelimit

import (
	"fmt"
	"time"

	"tally/counter"
)

// Policy is the value of the header field RateLimit-Policy,
//
//	"mutations";q=20;w=5
//
// in the form of draft-ietf-httpapi-ratelimit-headers-11, section 3. The name is
// plain ASCII without quotes.
func (l *Limiter) Policy(name string) string {
	return fmt.Sprintf("%q;q=%d;w=%d", name, l.callsMax, l.windowMs/1000)
}

// Field is the value of the header field RateLimit for this verdict,
//
//	"mutations";r=0;t=3
//
// in the form of the same draft, section 4: within t seconds there are no more
// than r calls. The seconds are rounded up as those of Retry-After are, because
// that must not be earlier (section 6).
func (v Verdict) Field(name string) string {
	return fmt.Sprintf("%q;r=%d;t=%d", name, v.Remaining, (v.RetryAfter+time.Second-1)/time.Second)
}

// Refusal is the error for a call that v refused. The name says what is counted,
// in the plural: "mutations".
func (l *Limiter) Refusal(name string, v Verdict) *counter.Error {
	err := counter.Errorf(counter.RateLimited, "at most %d %s of a user in any %d s are admitted; try again in %v",
		l.callsMax, name, l.windowMs/1000, v.RetryAfter)
	err.RetryAfter = v.RetryAfter
	return err
}
