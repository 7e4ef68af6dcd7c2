package workload

import (
	"context"

	"tally/jepsen-lite/history"
)

// batch moves amounts between two groups in one request, and sometimes replaces
// both. Some batches end with an operation that cannot be done, so that nothing
// of the ones before it may remain.
type batch struct{ groups *groups }

func (w *batch) turn(ctx context.Context, c *client) {
	pair := w.groups.take(c.lane, 1, "x", "y")
	c.random.Shuffle(2, func(i, k int) { pair[i], pair[k] = pair[k], pair[i] })
	from, to := pair[0], pair[1]
	amount := []history.Counter{{Key: "a", Value: int64(1 + c.random.IntN(50))}}
	take := history.Part{Kind: history.Decrease, Group: from, Counters: amount}
	give := history.Part{Kind: history.Increase, Group: to, Counters: amount}
	switch c.random.IntN(10) {
	case 0, 1, 2, 3:
		c.one(ctx, history.Part{Kind: history.Read, Group: from})
	case 4, 5, 6:
		c.do(ctx, history.Op{Kind: history.Batch, Parts: []history.Part{take, give}})
	case 7:
		again := history.Part{Kind: history.Increase, Group: from, Counters: []history.Counter{{Key: "turns", Value: 1}}}
		c.do(ctx, history.Op{Kind: history.Batch, Parts: []history.Part{give, again, take, again}})
	case 8:
		c.do(ctx, history.Op{Kind: history.Batch, Parts: []history.Part{
			{Kind: history.Delete, Group: from, All: true},
			{Kind: history.Set, Group: to, Counters: amount},
			{Kind: history.Delete, Group: to, Keys: []string{"turns", "none"}},
		}})
	case 9:
		c.do(ctx, history.Op{Kind: history.Batch, Parts: []history.Part{take, give,
			{Kind: history.Set, Group: to, Counters: []history.Counter{{Key: "a", Value: largest}}},
			{Kind: history.Increase, Group: to, Counters: amount},
		}})
	}
}
