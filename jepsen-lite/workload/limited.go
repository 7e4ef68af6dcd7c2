package workload

import (
	"context"
	"fmt"

	"tally/jepsen-lite/history"
)

// limited lets a few users call through all nodes, together more often than the
// call limit allows. They share counters, which nobody else changes.
type limited struct{ groups *groups }

// limitedUsers is how many users there are.
const limitedUsers = 3

func (w *limited) turn(ctx context.Context, c *client) {
	group := w.groups.one(c.lane)
	user := fmt.Sprintf("user-%d", c.random.IntN(limitedUsers))
	part := history.Part{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: user, Value: 1}}}
	c.do(ctx, history.Op{Kind: history.Increase, User: user, Parts: []history.Part{part}})
}
