package workload

import (
	"context"
	"fmt"
	"time"

	"tally/jepsen-lite/history"
)

// limited lets a few users call through all nodes, together more often than the
// call limit allows. They share counters, which nobody else changes.
type limited struct{ groups *groups }

// limitedUsers is how many users there are.
const limitedUsers = 3

// refusedPause is how long a client waits after a refusal. Without it, clients
// that send as much as is answered would send little else: a refusal is quick.
const refusedPause = 100 * time.Millisecond

func (w *limited) turn(ctx context.Context, c *client) {
	group := w.groups.one(c.lane)
	user := fmt.Sprintf("user-%d", c.random.IntN(limitedUsers))
	part := history.Part{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: user, Value: 1}}}
	if _, reply := c.do(ctx, history.Op{Kind: history.Increase, User: user, Parts: []history.Part{part}}); reply.Code == "rate_limited" {
		sleep(ctx, refusedPause)
	}
}
