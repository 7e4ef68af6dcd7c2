package workload

import (
	"context"

	"tally/jepsen-lite/history"
)

// ticket increases one counter by one: the new value is the caller's alone.
type ticket struct{ groups *groups }

func (w *ticket) turn(ctx context.Context, c *client) {
	group := w.groups.one(c.lane)
	c.one(ctx, history.Part{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: "next", Value: 1}}})
}
