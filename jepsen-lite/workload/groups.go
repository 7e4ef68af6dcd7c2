package workload

import (
	"fmt"
	"slices"
	"sync"
)

// groups hands out the names of groups. Clients of one lane of a workload use
// the same one, so that they meet, until it has had its share of requests. Lanes
// keep down how many requests to one group are under way at once: the time that
// it takes to find an order for them grows with that number, out of all bounds.
type groups struct {
	operationsMax int

	mu      sync.Mutex
	numbers map[string]int    // of names handed out, by workload
	current map[lane]*current // what clients use now
	used    []string          // every name that was handed out
}

// lane is some clients of a workload, from every node.
type lane struct {
	workload string
	number   int
}

type current struct {
	number     int
	operations int
}

func newGroups(operationsMax int) *groups {
	return &groups{operationsMax: operationsMax, numbers: map[string]int{}, current: map[lane]*current{}}
}

// take returns the groups, named after the workload and each part, that the next
// count requests of a lane go to. Without parts it is one group.
func (g *groups) take(l lane, count int, parts ...string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.current[l]
	fresh := c == nil || c.operations+count > g.operationsMax
	if fresh {
		c = &current{number: g.numbers[l.workload]}
		g.numbers[l.workload]++
		g.current[l] = c
	}
	c.operations += count
	names := partNames(fmt.Sprintf("%s-%d", l.workload, c.number), parts)
	if fresh {
		g.used = append(g.used, names...)
	}
	return names
}

func partNames(base string, parts []string) []string {
	if len(parts) == 0 {
		return []string{base}
	}
	names := make([]string, len(parts))
	for i, part := range parts {
		names[i] = base + "." + part
	}
	return names
}

// one is take for a workload that uses one group for one request.
func (g *groups) one(l lane) string { return g.take(l, 1)[0] }

// keep notes a group that is never given up.
func (g *groups) keep(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used = append(g.used, name)
}

// all returns every group that was handed out.
func (g *groups) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.used)
}
