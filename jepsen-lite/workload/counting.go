package workload

import (
	"context"

	"tally/jepsen-lite/history"
)

// counting increases, decreases and reads one counter, also by negative numbers
// and by 0. Nothing else changes it, so that its value is bounded by what was
// acknowledged and by what was sent.
type counting struct{ groups *groups }

func (w *counting) turn(ctx context.Context, c *client) {
	group := w.groups.one(c.lane)
	change := []history.Counter{{Key: "c", Value: int64(c.random.IntN(12) - 3)}}
	switch c.random.IntN(10) {
	case 0, 1, 2:
		c.one(ctx, history.Part{Kind: history.Read, Group: group, Keys: []string{"c"}})
	case 3:
		c.one(ctx, history.Part{Kind: history.Stale, Group: group})
	case 4, 5, 6:
		c.one(ctx, history.Part{Kind: history.Increase, Group: group, Counters: change})
	default:
		c.one(ctx, history.Part{Kind: history.Decrease, Group: group, Counters: change})
	}
}
