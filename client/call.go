package client

import (
	"context"
	"fmt"
	"time"

	"tally/counter"
)

// call is one call on its way through its attempts.
//
// What ends it depends on what may have happened before. While no attempt can
// have changed anything, the first refusal that another attempt would meet too
// is the answer. From the first attempt on that may have changed something,
// only the state machine's answer under the call's key is: a refusal by anybody
// else speaks of its own attempt and settles none before it. Without such an
// answer the call ends as counter.OutcomeUnknown.
type call struct {
	client  *Client
	request *request
	keyed   bool // the request carries an idempotency key, so it may be repeated
	minted  bool // ... which this client made, so it may make another while nothing was done

	indefinite bool // an attempt may have changed something
	refusals   int  // attempts since that were refused for good
	keys       int  // how many keys were made
	last       *failure
	notBefore  time.Time // the caller is over its call limit until then
}

// keysMax is how many keys a call makes: one, one more when the clock was wrong,
// and one more in case that the correction came too late.
const keysMax = 3

// do carries out a call that needs no key.
func (c *Client) do(ctx context.Context, r *request) error {
	if err := c.open(); err != nil {
		return err
	}
	return (&call{client: c, request: r}).run(ctx)
}

// settle carries out a mutation under the given key, or one of its own if that is "".
func (c *Client) settle(ctx context.Context, r *request, key string) error {
	a := &call{client: c, request: r, keyed: true, minted: key == ""}
	if key != "" {
		r.header["Idempotency-Key"] = []string{key}
	} else {
		a.mint()
	}
	return a.run(ctx)
}

func (a *call) mint() {
	a.keys++
	a.request.header["Idempotency-Key"] = []string{a.client.NewIdempotencyKey()}
}

func (a *call) run(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.client.config.timeout)
		defer cancel()
	}
	for {
		learned := a.client.endpoints.learned()
		to, wait := a.client.endpoints.pick()
		switch a.pause(ctx, max(wait, time.Until(a.notBefore)), learned) {
		case pickAgain:
			continue
		case outOfTime:
			return a.over(ctx, to)
		}
		failed := a.client.attempt(ctx, to, a.request)
		a.client.note(ctx, to, failed)
		if failed == nil {
			return nil
		}
		if ended, err := a.judge(ctx, failed); ended {
			return err
		}
	}
}

// judge says whether the call ends with this failure, and how.
func (a *call) judge(ctx context.Context, f *failure) (ended bool, _ error) {
	if a.last == nil || ctx.Err() == nil { // else the one before tells more
		a.last = f
	}
	switch {
	case !f.definite:
		a.indefinite = true
		if !a.keyed { // another attempt could do it twice
			return true, a.unknown(ctx)
		}
		return false, nil
	case f.refusal == nil:
		return false, nil
	case f.refusal.Code == counter.IdempotencyKeyExpired:
		return a.renew(ctx, f.refusal)
	case f.refusal.Code == counter.RateLimited:
		a.notBefore = time.Now().Add(max(f.refusal.RetryAfter, restMin))
		return false, nil
	case passing(f.refusal.Code):
		return false, nil
	case a.indefinite && f.refusal.Revision == 0:
		// Nothing says that this will pass, but only another answer can end the call.
		a.notBefore = time.Now().Add(backoff(a.refusals, restMin, restMax))
		a.refusals++
		return false, nil
	}
	return true, fmt.Errorf("client: %w", f.refusal)
}

// renew goes on under a new key if no attempt can have done anything under the
// old one, and then with a clock that is right.
func (a *call) renew(ctx context.Context, refusal *counter.Error) (ended bool, _ error) {
	if a.indefinite {
		// The key is too old to be told apart from one never seen, and will not
		// become younger: nobody will ever know.
		return true, a.unknown(ctx)
	}
	if refusal.ServerTimeMs != 0 {
		a.client.clock.set(refusal.ServerTimeMs)
	}
	if !a.minted || a.keys >= keysMax {
		return true, fmt.Errorf("client: %w", refusal)
	}
	a.mint()
	return false, nil
}

// passing says that another attempt, elsewhere or later, may succeed.
func passing(code counter.Code) bool {
	switch code {
	case counter.NoLeader, counter.NotLeader, counter.Overloaded, counter.TooManyWatchers, counter.ShuttingDown,
		counter.RateLimited, counter.DiskFull, counter.Internal, counter.OutcomeUnknown:
		return true
	}
	return false
}

// afterPause is what a call does next.
type afterPause int

const (
	goOn      afterPause = iota // with the endpoint that was picked
	pickAgain                   // another one may be better now
	outOfTime                   // end
)

// pause waits before the next attempt, or until another endpoint may be better.
// Who cannot be served before ctx ends is told at once.
func (a *call) pause(ctx context.Context, wait time.Duration, learned <-chan struct{}) afterPause {
	if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ok && wait > 0 && time.Until(deadline) <= wait {
		return outOfTime
	}
	if wait <= 0 {
		return goOn
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return goOn
	case <-learned:
		return pickAgain
	case <-ctx.Done():
		return outOfTime
	}
}

// over ends a call for which there is no more time. to is where it would go next.
func (a *call) over(ctx context.Context, to *endpoint) error {
	last := a.last
	if last == nil && ctx.Err() == nil {
		last = a.client.endpoints.reason(to) // why it rests, as an earlier call was told
	}
	switch {
	case a.indefinite:
		return a.unknown(ctx)
	case last == nil:
		return fmt.Errorf("client: %w", ctx.Err())
	case last.refusal != nil:
		return withCause(ctx, last.refusal)
	}
	return withCause(ctx, fmt.Errorf("%w: %w", ErrUnreachable, last.err))
}

// unknown is the end of a call that may have changed something. It tells of the
// last attempt in words only: errors.Is must not take its refusal for the call's.
func (a *call) unknown(ctx context.Context) error {
	const advice = "the change may have been made, or be made later"
	if key := a.request.header["Idempotency-Key"]; len(key) == 1 {
		return withCause(ctx, counter.Errorf(counter.OutcomeUnknown, "%s; repeat it under the idempotency key %s until it is answered; the last attempt: %v", advice, key[0], a.last.err))
	}
	return withCause(ctx, counter.Errorf(counter.OutcomeUnknown, "%s; look before you repeat it; the last attempt: %v", advice, a.last.err))
}

// withCause adds that the context has ended, if it has.
func withCause(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("client: %w (%w)", err, cause)
	}
	return fmt.Errorf("client: %w", err)
}

// sleep waits, and is false if ctx ends meanwhile.
func sleep(ctx context.Context, wait time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
