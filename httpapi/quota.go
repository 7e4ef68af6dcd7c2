package httpapi

import (
	"fmt"

	"tally/counter"
)

// setQuota tells a caller under the call limit what it has left, in the header
// fields of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4:
//
//	RateLimit-Policy: "mutations";q=20;w=5
//	RateLimit: "mutations";r=17;t=3
//
// Any 5 seconds have room for 20 mutations, and within the next 3 seconds there
// are no more than 17. The seconds are rounded up as those of Retry-After are,
// because that must not be earlier (section 6).
func (c *call) setQuota(q *counter.Quota) {
	if q == nil {
		return
	}
	header := c.w.Header()
	header["Ratelimit-Policy"] = []string{fmt.Sprintf("%q;q=%d;w=%d", q.Name, q.CallsMax, int64(q.Window.Seconds()))}
	header["Ratelimit"] = []string{fmt.Sprintf("%q;r=%d;t=%d", q.Name, q.Remaining, retryAfterSeconds(q.RetryAfter))}
}
