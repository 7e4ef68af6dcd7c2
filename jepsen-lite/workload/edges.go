package workload

import (
	"context"
	"math"
	"strconv"

	"tally/counter"
	"tally/jepsen-lite/history"
)

const (
	largest  int64 = math.MaxInt64
	smallest int64 = math.MinInt64
)

// edges keeps counters near the ends of int64, where many changes have to be
// refused, and groups near the most counters that they can have.
type edges struct{ groups *groups }

func (w *edges) turn(ctx context.Context, c *client) {
	group := w.groups.one(c.lane)
	key := "e" + strconv.Itoa(c.random.IntN(3))
	value := w.value(c)
	switch c.random.IntN(10) {
	case 0, 1:
		c.one(ctx, history.Part{Kind: history.Read, Group: group})
	case 2, 3:
		c.one(ctx, history.Part{Kind: history.Set, Group: group, Counters: []history.Counter{{Key: key, Value: value}}})
	case 4, 5:
		c.one(ctx, history.Part{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: key, Value: value}}})
	case 6, 7:
		c.one(ctx, history.Part{Kind: history.Decrease, Group: group, Counters: []history.Counter{{Key: key, Value: value}}})
	default:
		// More names than a group can hold.
		name := "n" + strconv.Itoa(c.random.IntN(counter.GroupCountersMax+5))
		c.one(ctx, history.Part{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: name, Value: 1}}})
	}
}

// value returns a number near an end or near 0.
func (w *edges) value(c *client) int64 {
	near := int64(c.random.IntN(3))
	switch c.random.IntN(4) {
	case 0:
		return largest - near
	case 1:
		return smallest + near
	case 2:
		return -near
	}
	return near
}
