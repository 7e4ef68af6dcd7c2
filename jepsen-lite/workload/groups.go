package workload

import (
	"fmt"
	"slices"
	"sync"
)

// groups hands out the names of groups. All clients of a workload use the same
// one, so that they meet, until it has had its share of requests.
type groups struct {
	operationsMax int

	mu      sync.Mutex
	current map[string]*current // by workload
	used    []string            // every name that was handed out
}

type current struct {
	number     int
	operations int
}

func newGroups(operationsMax int) *groups {
	return &groups{operationsMax: operationsMax, current: map[string]*current{}}
}

// take returns the groups, named after the workload and each part, that the next
// count requests go to. Without parts it is one group.
func (g *groups) take(workload string, count int, parts ...string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.current[workload]
	if c == nil {
		c = &current{}
		g.current[workload] = c
	}
	if c.operations > 0 && c.operations+count > g.operationsMax {
		c.number, c.operations = c.number+1, 0
	}
	c.operations += count
	names := partNames(fmt.Sprintf("%s-%d", workload, c.number), parts)
	if c.operations == count { // the first request
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
func (g *groups) one(workload string) string { return g.take(workload, 1)[0] }

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
