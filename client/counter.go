package client

import (
	"context"
	"fmt"

	"tally/counter"
)

// Counter is one counter of a group. Making one calls nobody, and it may be used
// from many goroutines at once.
type Counter struct {
	client     *Client
	group, key string

	// The cells that its newest additions joined, so that most are found without a
	// look into a map. Guarded by coalescer.mu.
	up, down *cell
}

// Counter returns a handle of one counter, which need not exist.
func (c *Client) Counter(group, key string) *Counter {
	return &Counter{client: c, group: group, key: key}
}

// Add adds delta, which may be negative, and returns the value after it.
//
// With [WithCoalescing], additions that come within the window leave together,
// those of all counters of the client in one atomic batch. Each caller waits
// until that batch is durable and is told the value after its own addition, in
// some order of those that came together. An addition that does not fit
// (counter.OutOfRange) fails alone.
//
// A coalesced addition whose context ends before the batch has left is withdrawn
// and returns the context's error; later it returns counter.OutcomeUnknown.
func (c *Counter) Add(ctx context.Context, delta int64) (int64, error) {
	if c.client.coalescer != nil {
		return c.client.coalescer.add(ctx, c, delta)
	}
	result, err := c.client.Increase(ctx, c.group, map[string]int64{c.key: delta})
	if err != nil {
		return 0, err
	}
	return result.Outcomes[0].Counters[0].Value, nil
}

// Get returns the value now (linearizable), and counter.CounterNotFound if the
// counter does not exist.
func (c *Counter) Get(ctx context.Context) (int64, error) {
	reading, err := c.client.Get(ctx, c.group, c.key)
	if err != nil {
		return 0, err
	}
	if len(reading.Counters) == 0 {
		return 0, fmt.Errorf("client: %w", counter.Errorf(counter.CounterNotFound, "the group %q has no counter %q; set or increase it first", c.group, c.key).WithParam("key"))
	}
	return reading.Counters[0].Value, nil
}

// Set sets the value.
func (c *Counter) Set(ctx context.Context, value int64) error {
	_, err := c.client.Set(ctx, c.group, map[string]int64{c.key: value})
	return err
}
