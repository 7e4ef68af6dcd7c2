package workload

import (
	"context"
	"sync"

	"tally/jepsen-lite/history"
)

// register sets, reads and deletes one counter. Half of the sets are conditional
// on the group's modRevision that this client, or any other, saw last; so some
// are refused because it was not the last.
type register struct {
	groups *groups

	mu   sync.Mutex
	seen map[string]uint64 // modRevision last seen by anybody, by group
}

const registerKey = "r"

func newRegister(g *groups) *register { return &register{groups: g, seen: map[string]uint64{}} }

func (r *register) turn(ctx context.Context, c *client) {
	group := r.groups.one(c.lane)
	switch c.random.IntN(10) {
	case 0, 1, 2, 3:
		_, reply := c.one(ctx, history.Part{Kind: history.Read, Group: group})
		r.note(group, c, reply.ModRevision)
	case 4:
		c.one(ctx, history.Part{Kind: history.Stale, Group: group})
	case 5, 6:
		r.set(ctx, c, group, nil)
	case 7, 8:
		revision := r.known(group, c)
		r.set(ctx, c, group, &revision)
	case 9:
		c.one(ctx, history.Part{Kind: history.Delete, Group: group, Keys: []string{registerKey}})
	}
}

func (r *register) set(ctx context.Context, c *client, group string, condition *uint64) {
	value := []history.Counter{{Key: registerKey, Value: int64(c.random.IntN(5))}}
	outcome, reply := c.one(ctx, history.Part{Kind: history.Set, Group: group, Counters: value, IfRevision: condition})
	if outcome == history.TypeOK {
		r.note(group, c, reply.Revision)
	}
}

// note remembers a modRevision, 0 for nothing new.
func (r *register) note(group string, c *client, revision uint64) {
	if revision == 0 {
		return
	}
	c.revisions = map[string]uint64{group: revision} // a client forgets the groups before
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.seen[group]; !known {
		clear(r.seen) // so do all
	}
	r.seen[group] = revision
}

// known returns the modRevision to ask for: what the client saw, mostly, or else
// what anybody did; 0, that there is no counter, before anybody saw any.
func (r *register) known(group string, c *client) uint64 {
	if revision := c.revisions[group]; revision != 0 && c.random.IntN(3) > 0 {
		return revision
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[group]
}
