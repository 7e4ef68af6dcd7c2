package workload

import (
	"context"

	"tally/jepsen-lite/history"
)

// several changes a few counters of a group at once. Increases and decreases
// leave the sum of the counters as it is; who reads another sum has seen a half.
type several struct{ groups *groups }

func (w *several) turn(ctx context.Context, c *client) {
	group := w.groups.one(c.lane)
	d := int64(1 + c.random.IntN(9))
	shift := []history.Counter{{Key: "a", Value: d}, {Key: "b", Value: -2 * d}, {Key: "c", Value: d}}
	c.random.Shuffle(len(shift), func(i, k int) { shift[i], shift[k] = shift[k], shift[i] })
	switch c.random.IntN(10) {
	case 0, 1, 2, 3:
		c.one(ctx, history.Part{Kind: history.Read, Group: group})
	case 4:
		c.one(ctx, history.Part{Kind: history.Read, Group: group, Keys: []string{"a", "c", "none"}})
	case 5, 6:
		c.one(ctx, history.Part{Kind: history.Increase, Group: group, Counters: shift})
	case 7:
		c.one(ctx, history.Part{Kind: history.Decrease, Group: group, Counters: shift})
	case 8:
		all := []history.Counter{{Key: "c", Value: -d}, {Key: "a", Value: d}, {Key: "b", Value: 0}}
		c.one(ctx, history.Part{Kind: history.Set, Group: group, Counters: all})
	case 9:
		c.one(ctx, history.Part{Kind: history.Delete, Group: group, All: true})
	}
}
