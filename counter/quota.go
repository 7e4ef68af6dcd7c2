package counter

import "time"

// Quota is what a user under the call limit has left, after a call that was
// counted or refused.
type Quota struct {
	// Name says what is counted, in the plural: "mutations", "reads" or "stale-reads".
	Name string
	// CallsMax is how many calls a user has in any Window, which is whole seconds.
	CallsMax int
	Window   time.Duration
	// Remaining is how many more calls the user has now.
	Remaining int
	// RetryAfter is how long until there are more than Remaining: positive and at
	// most Window.
	RetryAfter time.Duration
}

// Refusal is the error for a call over the limit.
func (q *Quota) Refusal() *Error {
	err := Errorf(RateLimited, "at most %d %s of a user in any %v are admitted; try again in %v", q.CallsMax, q.Name, q.Window, q.RetryAfter)
	err.RetryAfter, err.Quota = q.RetryAfter, q
	return err
}
