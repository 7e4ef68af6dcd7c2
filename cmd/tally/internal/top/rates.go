// Package top shows a cluster as it lives: its members, and the groups that
// change most.
//
// Rates are counted from a watch of the groups, so they are those of committed
// changes, whoever made them. It keeps nothing and changes nothing.
package top

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"tally/client"
)

// window is how far back changes count for a rate.
const window = 5 * time.Second

// slots divide the window: a rate forgets a slot at a time. The present one,
// which is not over, does not count yet.
const (
	slots    = 10
	slotTime = window / slots
)

// rates counts changes of groups. A change that names several keys counts once
// for each.
type rates struct {
	mu     sync.Mutex
	begin  time.Time
	groups map[string]*groupRate
}

type groupRate struct {
	counts  [slots + 1]int
	filled  int64 // number of the newest slot, counted from begin
	changes uint64
	keys    map[string]int64 // counters and their values, as far as told
}

func newRates(now time.Time) *rates {
	return &rates{begin: now, groups: make(map[string]*groupRate)}
}

func (r *rates) slot(now time.Time) int64 { return int64(now.Sub(r.begin) / slotTime) }

// add takes what a watch told.
func (r *rates) add(e client.Event, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[e.Group]
	if g == nil {
		g = &groupRate{keys: make(map[string]int64), filled: r.slot(now)}
		r.groups[e.Group] = g
	}
	if e.Reset != nil { // a state, and no change
		clear(g.keys)
		for _, c := range e.Reset.Counters {
			g.keys[c.Key] = c.Value
		}
		return
	}
	g.forget(r.slot(now))
	g.counts[g.filled%(slots+1)]++
	g.changes++
	if e.Kind.String() == "delete" {
		delete(g.keys, e.Key)
	} else {
		g.keys[e.Key] = e.Value
	}
}

// forget empties the slots that are older than the window.
func (g *groupRate) forget(now int64) {
	for g.filled < now {
		g.filled++
		g.counts[g.filled%(slots+1)] = 0
		if now-g.filled > slots {
			g.filled = now - slots - 1 // all are too old
		}
	}
}

// Group is one line of the table of groups.
type Group struct {
	Group     string  `json:"group"`
	PerSecond float64 `json:"perSecond"` // changes of its counters
	Changes   uint64  `json:"changes"`   // since the beginning
	Counters  int     `json:"counters"`
}

// busiest returns the groups that change most, and the rate of all.
func (r *rates) busiest(most int, now time.Time) (groups []Group, total float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// At the beginning the window is not full yet.
	present := r.slot(now)
	seen := slotTime * time.Duration(min(slots, max(1, present)))
	for name, g := range r.groups {
		g.forget(present)
		sum := -g.counts[present%(slots+1)]
		for _, count := range g.counts {
			sum += count
		}
		perSecond := float64(sum) / seen.Seconds()
		total += perSecond
		groups = append(groups, Group{name, perSecond, g.changes, len(g.keys)})
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(b.Changes, a.Changes), cmp.Compare(a.Group, b.Group))
	})
	return groups[:min(most, len(groups))], total
}

// keep forgets groups that are not listed any more.
func (r *rates) keep(listed []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.groups {
		if _, found := slices.BinarySearch(listed, name); !found {
			delete(r.groups, name)
		}
	}
}
