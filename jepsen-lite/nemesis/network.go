//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"time"

	"tally/jepsen-lite/proc"
	"tally/jepsen-lite/proxy"
)

// networkKinds cut and disturb the links between machines, and those of clients.
func networkKinds() []Kind {
	filter := []proc.Capability{proc.Namespaces}
	kinds := []Kind{
		// These two are felt only when the nodes of both ends are members and run, and
		// while one is replaced, or another leader waited for, they can leave nobody to
		// make it one: the one fault would wait for the other.
		{Name: "partition-halves", Does: "two sides that do not reach each other", Smallest: 3, Touches: Members | Leader, Inject: partitionHalves},
		{Name: "partition-majorities-ring", Does: "every node reaches a majority, each another one", Smallest: 5, Touches: Members | Leader, Inject: partitionRing},
		{Name: "partition-leader", Does: "the leader is alone until another one leads, and longer", Smallest: 3, Touches: Leader, Inject: partitionLeader},
		{Name: "partition-bridge", Does: "two sides that do not reach each other, and one node that reaches both", Smallest: 3, Inject: partitionBridge},
		{Name: "partition-one-way", Does: "one node hears nobody, or nobody hears it", Smallest: 2, Touches: Leader, Inject: partitionOneWay},
		{Name: "partition-clients", Does: "clients do not reach some nodes, which reach each other", Needs: filter, Inject: partitionClients},
		{Name: "loss", Does: "10 to 40 % of the packets are lost, everywhere", Smallest: 2, Needs: filter, Inject: loss},
	}
	for _, bad := range badNetworks {
		kinds = append(kinds, Kind{Name: bad.name, Does: bad.does, Smallest: 2, Inject: func(i *Injection) error {
			return disturb(i, bad)
		}})
	}
	for k := range kinds {
		kinds[k].Touches |= Network
	}
	return kinds
}

func both(a, b []*proc.Machine) []proc.Link {
	return append(proc.Links(a, b), proc.Links(b, a)...)
}

func partitionHalves(i *Injection) error {
	side := i.Some(i.minority())
	rest := i.others(side)
	i.Begin(side, "cut off from %s", names(rest))
	return cut(i, both(side, rest), nil)
}

func partitionLeader(i *Injection) error {
	leader, err := i.leader()
	if err != nil {
		return err
	}
	side := []*proc.Machine{leader.Machine}
	rest := i.others(side)
	i.Begin(side, "leads in term %d, cut off from %s", leader.Term, names(rest))
	return cut(i, both(side, rest), func() error { return i.proveNewLeader(leader) })
}

func partitionBridge(i *Injection) error {
	order := i.Some(len(i.Cluster.Machines()))
	half := (len(order) - 1) / 2
	left, middle, right := order[:half], order[half], order[half+1:]
	i.Begin(left, "cut off from %s, both reach %s", names(right), middle.Name)
	return cut(i, both(left, right), nil)
}

// partitionRing puts the machines into a ring: each reaches those next to it, as
// many on both sides as make a majority with itself.
func partitionRing(i *Injection) error {
	ring := i.Some(len(i.Cluster.Machines()))
	reach := i.majority() / 2
	var links []proc.Link
	for a := range ring {
		for b := range ring {
			distance := (b - a + len(ring)) % len(ring)
			if distance > reach && len(ring)-distance > reach {
				links = append(links, proc.Link{From: ring[a], To: ring[b]})
			}
		}
	}
	i.Begin(ring, "each reaches only its %d neighbours in the ring %s", 2*reach, names(ring))
	return cut(i, links, nil)
}

func partitionOneWay(i *Injection) error {
	side := i.Some(1)
	rest := i.others(side)
	if i.Rand.IntN(2) == 0 {
		i.Begin(side, "hears nobody")
		return cut(i, proc.Links(rest, side), nil)
	}
	i.Begin(side, "is heard by nobody")
	return cut(i, proc.Links(side, rest), nil)
}

func partitionClients(i *Injection) error {
	side := i.Some(1 + i.Rand.IntN(i.majority()))
	i.Begin(side, "clients do not reach it")
	d, err := i.Cluster.DropClients(side)
	return observe(i, d, err, len(side), 1, nil)
}

// cut drops everything on links. Then, if it is not nil, is what has to happen
// before they are healed.
func cut(i *Injection, links []proc.Link, then func() error) error {
	d, err := i.Cluster.Drop(links, 100)
	return observe(i, d, err, len(links), 1, then)
}

func loss(i *Injection) error {
	percent := 10 + i.Rand.IntN(31)
	all := i.Cluster.Machines()
	links := proc.Links(all, all)
	i.Begin(all, "%d %% of the packets between nodes are lost", percent)
	d, err := i.Cluster.Drop(links, percent)
	// Followers have little to say to each other; to and from the leader there is.
	return observe(i, d, err, len(all)-1, 1, nil)
}

// badNetwork is what the byte proxies do to connections.
type badNetwork struct {
	name, does string
	// least is how often it must be felt, by all links together.
	least      int
	conditions func(*Injection) proxy.Conditions
}

var badNetworks = []badNetwork{
	{"delay", "bytes take 10 to 120 ms longer, and vary", 20, func(i *Injection) proxy.Conditions {
		most := 20 + i.Rand.IntN(100)
		return proxy.Conditions{Delay: time.Duration(most/2) * time.Millisecond, Jitter: time.Duration(most/2) * time.Millisecond}
	}},
	{"drip", "bytes come slowly", 20, func(i *Injection) proxy.Conditions {
		return proxy.Conditions{BytesPerSecond: 4000 + i.Rand.IntN(60000)}
	}},
	{"stall", "connections are made, work for a moment, and then carry nothing", 1, func(i *Injection) proxy.Conditions {
		return proxy.Conditions{Stall: proxy.Direction(1 + i.Rand.IntN(3)), StallAfter: time.Duration(i.Rand.IntN(600)) * time.Millisecond}
	}},
	{"reset", "connections are reset again and again", 2, func(i *Injection) proxy.Conditions {
		return proxy.Conditions{ResetAfter: time.Duration(50+i.Rand.IntN(400)) * time.Millisecond}
	}},
	{"ghosts", "each connection has twins that begin like it and never go on", 1, func(i *Injection) proxy.Conditions {
		return proxy.Conditions{Ghosts: 1 + i.Rand.IntN(3)}
	}},
}

// disturb leads the links of one machine, or of all, through bad proxies.
func disturb(i *Injection, bad badNetwork) error {
	all := i.Cluster.Machines()
	side := i.Some(1)
	if i.Rand.IntN(2) == 0 {
		side = all
	}
	conditions := bad.conditions(i)
	i.Begin(side, "%s", describe(conditions))
	links := proc.Links(all, all)
	if len(side) == 1 {
		links = both(side, i.others(side))
	}
	d, err := i.Cluster.Disturb(links, conditions)
	return observe(i, d, err, 1, bad.least, nil)
}

func describe(c proxy.Conditions) string {
	switch {
	case c.Delay > 0:
		return fmt.Sprintf("bytes are delayed by %v to %v", c.Delay, c.Delay+c.Jitter)
	case c.BytesPerSecond > 0:
		return fmt.Sprintf("%d bytes per second", c.BytesPerSecond)
	case c.Stall != proxy.None:
		return fmt.Sprintf("%s stalls after %v", map[proxy.Direction]string{
			proxy.Forward: "what the dialing node sends", proxy.Back: "what the dialed node sends", proxy.Both: "everything"}[c.Stall], c.StallAfter)
	case c.ResetAfter > 0:
		return fmt.Sprintf("connections are reset after %v on average", c.ResetAfter)
	}
	return fmt.Sprintf("%d ghosts of each connection", c.Ghosts)
}

// observe holds a disturbance for a while, and until it was felt in so many
// places and so often altogether.
func observe(i *Injection, d proc.Disturbance, err error, places, least int, then func() error) error {
	if err != nil {
		return err
	}
	i.Heal(d.Heal)
	if then != nil {
		if err := then(); err != nil {
			return err
		}
	}
	if err := i.Hold(); err != nil {
		return err
	}
	var felt proc.Evidence
	err = i.Await(fmt.Sprintf("a disturbance felt in %d places, %d times", places, least), func() (bool, error) {
		felt, err = d.Evidence()
		return err == nil && len(felt) >= places && felt.Times() >= least, errors.Join(fmt.Errorf("felt: %v", felt), err)
	})
	if err != nil {
		return err
	}
	i.Prove("%v", felt)
	return nil
}

func names(machines []*proc.Machine) string {
	text := ""
	for n, m := range machines {
		if n > 0 {
			text += " "
		}
		text += m.Name
	}
	return text
}
