package checker

import (
	"slices"
	"sort"
	"strconv"

	"tally/jepsen-lite/history"
)

// follower is what one watcher must be told next.
type follower struct {
	name     string
	several  bool
	watch    []history.Part
	position string
	final    bool
	groups   map[string]*following
}

// following is how far a watcher is in the events of one group.
type following struct {
	events   []history.Event // of the keys that are watched
	next     int
	begun    bool
	revision uint64 // of the last event or reset
}

// watchCheck follows all watchers through the history.
type watchCheck struct {
	replay    *replay
	result    *Result
	followers map[string]*follower
	resets    int
	events    int
}

// resetQueries returns a query for the state in each reset, which is known to be
// right or wrong when the log is replayed.
func resetQueries(h *history.History, result *Result) []query {
	keys := map[string]map[string][]string{} // by watcher and group
	var queries []query
	for _, m := range h.Messages {
		for _, part := range m.What.Watch {
			if keys[m.What.Watcher] == nil {
				keys[m.What.Watcher] = map[string][]string{}
			}
			keys[m.What.Watcher][part.Group] = part.Keys
		}
		for _, e := range m.What.Events {
			if e.Type != "reset" {
				continue
			}
			watched := keys[m.What.Watcher][e.Group]
			queries = append(queries, query{e.Revision, e.Group, func(g group) {
				if want := g.selected(watched); !slices.Equal(e.Counters, want) {
					result.violation("%s was given %v as the state of %s at revision %d, which was %v", m.What.Watcher, e.Counters, e.Group, e.Revision, want)
				}
			}})
		}
	}
	return queries
}

// watchedGroups returns every group that somebody watches.
func watchedGroups(h *history.History) []string {
	var names []string
	for _, m := range h.Messages {
		for _, part := range m.What.Watch {
			if !slices.Contains(names, part.Group) {
				names = append(names, part.Group)
			}
		}
	}
	return names
}

// checkWatch holds what each watcher was told, over all its connections, against
// the events of the log: all of them, once, in order, those of one revision
// together; or else the state, and everything after it.
func checkWatch(r *replay, result *Result) {
	c := watchCheck{replay: r, result: result, followers: map[string]*follower{}}
	for i := range r.history.Messages {
		c.message(&r.history.Messages[i].What)
	}
	for _, f := range c.followers {
		c.end(f)
	}
	result.Checked = c.events
	result.summarize("%d watchers, %d messages, %d events, %d resets", len(c.followers), len(r.history.Messages), c.events, c.resets)
}

func (c *watchCheck) message(m *history.Message) {
	if m.Malformed != "" {
		c.result.violation("%s was told by %s, whole, what makes no sense: %s", m.Watcher, m.Node, m.Malformed)
		return
	}
	f := c.followers[m.Watcher]
	if f == nil {
		f = c.newFollower(m)
	}
	if m.After != "" && m.After != f.position {
		c.result.unknown("%s began a connection from %q, and not from %q: this is a mistake of the client's", f.name, m.After, f.position)
	}
	var newest uint64 // revision of the events in this message
	for i := range m.Events {
		e := &m.Events[i]
		g := f.groups[e.Group]
		switch {
		case g == nil:
			c.result.violation("%s was told of %s, which it does not watch", f.name, e.Group)
		case e.Type == "reset":
			c.reset(f, g, e)
		default:
			c.event(f, g, e)
			if e.Revision < newest {
				c.result.violation("%s was told of revision %d after %d in one message", f.name, e.Revision, newest)
			}
			newest = max(newest, e.Revision)
		}
	}
	c.position(f, m, newest)
	f.position, f.final = m.Position, m.Final
}

func (c *watchCheck) newFollower(m *history.Message) *follower {
	f := &follower{name: m.Watcher, several: m.Form.Several(), watch: m.Watch, groups: map[string]*following{}}
	for _, part := range m.Watch {
		all := c.replay.events[part.Group]
		g := &following{events: all}
		if len(part.Keys) > 0 {
			g.events = nil
			for _, e := range all {
				if slices.Contains(part.Keys, e.Key) {
					g.events = append(g.events, e)
				}
			}
		}
		f.groups[part.Group] = g
	}
	c.followers[m.Watcher] = f
	return f
}

// reset moves a watcher to just after a revision. Whether the state was right,
// the query of that reset has said.
func (c *watchCheck) reset(f *follower, g *following, e *history.Event) {
	c.resets++
	if e.Revision < g.revision {
		c.result.violation("%s was given the state of %s at revision %d, and had been told of %d", f.name, e.Group, e.Revision, g.revision)
	}
	g.begun, g.revision = true, e.Revision
	g.next = sort.Search(len(g.events), func(i int) bool { return g.events[i].Revision > e.Revision })
}

func (c *watchCheck) event(f *follower, g *following, e *history.Event) {
	c.events++
	switch {
	case !g.begun:
		c.result.violation("%s was told of revision %d of %s before it was given a state", f.name, e.Revision, e.Group)
	case g.next == len(g.events):
		c.result.violation("%s was told of an event that the log does not have: %s", f.name, eventText(e))
	case !sameEvent(e, &g.events[g.next]):
		c.result.violation("%s was told of %s where %s comes next", f.name, eventText(e), eventText(&g.events[g.next]))
		// Go on after what it was told, so that one mistake is not counted for ever.
		g.next = sort.Search(len(g.events), func(i int) bool { return g.events[i].Revision > e.Revision }) - 1
	}
	g.begun, g.revision = true, e.Revision
	g.next = min(g.next+1, len(g.events))
}

// position sees that a watcher was told of everything up to the position that it
// goes on from, and that no revision was told of in part.
func (c *watchCheck) position(f *follower, m *history.Message, newest uint64) {
	upTo := newest
	if !f.several {
		position, err := strconv.ParseUint(m.Position, 10, 64)
		if err != nil {
			c.result.violation("%s was given the position %q", f.name, m.Position)
			return
		}
		if before, err := strconv.ParseUint(f.position, 10, 64); err == nil && position < before {
			c.result.violation("the position of %s went back from %d to %d", f.name, before, position)
		}
		if position < newest {
			c.result.violation("%s was told of revision %d and is to go on from %d", f.name, newest, position)
		}
		upTo = position
	}
	for name, g := range f.groups {
		if g.begun && g.next < len(g.events) && g.events[g.next].Revision <= upTo {
			c.result.violation("%s was told up to revision %d, and not of %s of %s", f.name, upTo, eventText(&g.events[g.next]), name)
			g.next = sort.Search(len(g.events), func(i int) bool { return g.events[i].Revision > upTo })
		}
	}
}

// end sees that a watcher was told of everything in the end.
func (c *watchCheck) end(f *follower) {
	if !f.final {
		c.result.unknown("%s was not waited for at the end", f.name)
		return
	}
	for name, g := range f.groups {
		if !g.begun || g.next < len(g.events) {
			c.result.violation("%s was never told of the last %d events of %s", f.name, len(g.events)-g.next, name)
		}
	}
}

func sameEvent(a, b *history.Event) bool {
	return a.Revision == b.Revision && a.Type == b.Type && a.Group == b.Group && a.Key == b.Key &&
		sameNumber(a.Value, b.Value) && sameNumber(a.Delta, b.Delta) && a.User == b.User && a.TimeMs == b.TimeMs
}

func sameNumber(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }

func eventText(e *history.Event) string {
	number := func(n *int64) string {
		if n == nil {
			return "none"
		}
		return strconv.FormatInt(*n, 10)
	}
	return "{revision " + strconv.FormatUint(e.Revision, 10) + " " + e.Type + " " + e.Group + " " + e.Key +
		" value " + number(e.Value) + " delta " + number(e.Delta) + " time " + strconv.FormatInt(e.TimeMs, 10) + "}"
}
