package workload

import (
	"context"
	"strconv"

	"tally/jepsen-lite/history"
)

// watchedGroups are those that watchers watch. They stay for the whole run, so
// that a watcher that was away has something to catch up with.
func watchedGroups() []string { return []string{"watch-a", "watch-b", "watch-c"} }

// watched changes the groups that are watched, in every way that gives events.
type watched struct{}

func (watched) turn(ctx context.Context, c *client) {
	groups := watchedGroups()
	c.random.Shuffle(len(groups), func(i, k int) { groups[i], groups[k] = groups[k], groups[i] })
	key := "k" + strconv.Itoa(c.random.IntN(4))
	change := []history.Counter{{Key: key, Value: int64(c.random.IntN(100))}}
	increase := history.Part{Kind: history.Increase, Group: groups[0], Counters: change}
	switch c.random.IntN(10) {
	case 0:
		c.one(ctx, history.Part{Kind: history.Set, Group: groups[0], Counters: change})
	case 1:
		c.one(ctx, history.Part{Kind: history.Delete, Group: groups[0], Keys: []string{key, "none"}})
	case 2:
		c.one(ctx, history.Part{Kind: history.Decrease, Group: groups[0], Counters: change})
	case 3:
		both := append(change, history.Counter{Key: "all", Value: 1})
		c.one(ctx, history.Part{Kind: history.Increase, Group: groups[0], Counters: both})
	case 4:
		c.do(ctx, history.Op{Kind: history.Batch, Parts: []history.Part{
			increase,
			{Kind: history.Decrease, Group: groups[1], Counters: change},
			increase, // the same key twice in one revision
			{Kind: history.Delete, Group: groups[2], All: true},
		}})
	default:
		c.one(ctx, increase)
	}
}
