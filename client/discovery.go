package client

import (
	"context"
	"net/http"
	"time"

	"tally/counter"
)

// How often the client looks at the cluster: while all goes well, to hear of new
// members and leaders, and after failures.
const (
	lookEvery  = 30 * time.Second
	lookFaults = time.Second
)

// note learns from an attempt: whether the endpoint is of use, and who leads.
func (c *Client) note(ctx context.Context, to *endpoint, f *failure) {
	switch {
	case f == nil:
		c.endpoints.answered(to)
		c.look(lookEvery)
		return
	case f.refusal == nil && ctx.Err() == context.Canceled:
		return // the caller has gone, which says nothing of the endpoint
	case f.refusal == nil:
		c.endpoints.failed(to, f)
	case f.refusal.Code != counter.RateLimited && passing(f.refusal.Code):
		c.endpoints.failed(to, f)
		c.endpoints.leads(f.refusal.Leader)
	default:
		c.endpoints.answered(to)
		return
	}
	c.look(lookFaults)
}

// look asks a node for the members and the leader, unless somebody does or has
// within the given time. Nobody waits for it.
func (c *Client) look(age time.Duration) {
	if !c.config.discovery {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.looking || time.Since(c.looked) < age {
		return
	}
	c.looking = true
	c.background.Go(func() {
		c.lookNow()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.looking, c.looked = false, time.Now()
	})
}

// lookNow makes one attempt. If it fails, the client goes on with what it knows;
// callers without the right to see the cluster always do.
func (c *Client) lookNow() {
	to, wait := c.endpoints.pick()
	// A node that rests because it refused a call can still say who there is.
	if why := c.endpoints.reason(to); wait > 0 && (why == nil || why.refusal == nil) && !sleep(c.life, wait) {
		return
	}
	r := &request{method: http.MethodGet, path: "/v1/cluster", decode: func(r *reply) error {
		cluster, err := decodeCluster(r.body)
		if err == nil {
			c.endpoints.learn(cluster)
		}
		return err
	}}
	if f := c.attempt(c.life, to, r); f != nil && f.refusal == nil && c.life.Err() == nil {
		c.endpoints.failed(to, f)
	}
}
