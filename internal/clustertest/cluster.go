package clustertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"tally/fsm"
	"tally/node"
	"tally/peer/pipenet"
	"tally/storage/memdisk"
)

// Options say what cluster a test wants. The zero value is three nodes.
type Options struct {
	// Nodes is how many nodes found the cluster, n1 and so on; 0 means 3.
	Nodes int
	// Stopped leaves the founders to be started by the test.
	Stopped bool
	// MonotonicLogs gives the nodes disks whose logs take consecutive indexes
	// only, as the log store wal does.
	MonotonicLogs bool
	// Configure changes the configuration of every start of every node.
	Configure func(*node.Config)
	// Observe returns what Raft is to drive instead of the state machine of a
	// process that starts, which counts only while it is alive; nil: the machine.
	Observe func(id string, machine *fsm.Machine, alive func() bool) raft.FSM
	// Ended is told, when a process has ended itself, why it did.
	Ended func(id string, failure error)
	// Header are the header fields of all requests that do not say otherwise: the
	// token of an admin, where nodes ask for one.
	Header map[string]string
}

// Cluster is some nodes, the network between them and what they logged.
type Cluster struct {
	t        *testing.T
	options  Options
	network  *pipenet.Network
	journal  *journal
	founders []node.Member
	ended    sync.WaitGroup // the processes that were started, until nothing of them is left

	mu    sync.Mutex
	nodes map[string]*Node
}

// Run runs a scenario in a bubble of its own with a cluster that has a leader,
// unless the options leave it stopped.
func Run(t *testing.T, o Options, scenario func(t *testing.T, c *Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := New(t, o)
		if !o.Stopped {
			c.WaitLeader()
		}
		scenario(t, c)
	})
}

// newDisk returns an empty disk for a node.
func (o Options) newDisk() *memdisk.Disk {
	if o.MonotonicLogs {
		return memdisk.NewMonotonic()
	}
	return memdisk.New()
}

// New makes a cluster; t must be of a bubble. The nodes end with the test.
func New(t *testing.T, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	c := &Cluster{t: t, options: o, network: pipenet.New(), journal: newJournal(), nodes: map[string]*Node{}}
	t.Cleanup(c.close)
	for i := range o.Nodes {
		id := fmt.Sprintf("n%d", i+1)
		c.founders = append(c.founders, node.Member{ID: id, PeerAddr: id + ":9101"})
	}
	for _, founder := range c.founders {
		n := c.Add(founder.ID)
		n.Configure(func(config *node.Config) { config.InitialCluster = c.founders })
		if !o.Stopped {
			n.Start()
		}
	}
	return c
}

// close ends all nodes at once and waits until nothing of them runs.
func (c *Cluster) close() {
	if c.t.Failed() {
		c.t.Logf("the network: %s\nthe nodes:\n%s\nthe end of their log:\n%s", c.network, c.state(), c.journal)
	}
	for _, n := range c.Nodes() {
		n.Crash()
		n.disk.Heal()
	}
	c.ended.Wait()
}

// Add makes a node that is not part of the cluster yet and does not run.
func (c *Cluster) Add(id string) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := newNode(c, id)
	c.nodes[id] = n
	return n
}

// Node returns the node with the given ID.
func (c *Cluster) Node(id string) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	if n == nil {
		panic("clustertest: there is no node " + id)
	}
	return n
}

// Nodes returns all nodes, running or not, by ID.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := make([]*Node, 0, len(c.nodes))
	for _, n := range c.nodes {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b *Node) int { return strings.Compare(a.ID, b.ID) })
	return nodes
}

// Running returns the nodes that run, by ID.
func (c *Cluster) Running() []*Node {
	return slices.DeleteFunc(c.Nodes(), func(n *Node) bool { return !n.Running() })
}

// Others returns the nodes that run, without those given.
func (c *Cluster) Others(without ...*Node) []*Node {
	return slices.DeleteFunc(c.Running(), func(n *Node) bool { return slices.Contains(without, n) })
}

// Leader returns the node that leads as a majority of the given nodes sees it
// and as it sees itself, or nil. Without arguments it asks all that run.
func (c *Cluster) Leader(among ...*Node) *Node {
	if len(among) == 0 {
		among = c.Running()
	}
	votes := map[string]int{}
	for _, n := range among {
		votes[n.LeaderID()]++
	}
	for _, n := range among {
		if n.LeaderID() == n.ID && votes[n.ID] > len(among)/2 {
			return n
		}
	}
	return nil
}

// WaitLeader waits until the given nodes, or all that run, have a leader that
// serves linearizable reads, and returns it.
func (c *Cluster) WaitLeader(among ...*Node) *Node {
	c.t.Helper()
	var leader *Node
	c.WaitFor("a leader", func() bool {
		leader = c.Leader(among...)
		return leader != nil && leader.Read("none").OK()
	})
	return leader
}

// WaitAgree waits until the given nodes, or all that run, have applied the same
// entries, everything that was committed before the call among them. It fails
// the test as soon as two nodes differ at the same index.
func (c *Cluster) WaitAgree(among ...*Node) {
	c.t.Helper()
	leader := c.WaitLeader(among...)
	committed := leader.Read("none").Revision
	if len(among) == 0 {
		among = c.Running()
	}
	c.WaitFor("agreement", func() bool {
		first := among[0].Machine().StateHash()
		same := first.Index >= committed
		for _, n := range among[1:] {
			hash := n.Machine().StateHash()
			if hash.Index == first.Index && hash != first {
				c.t.Fatalf("%s and %s differ at index %d: %s and %s", among[0].ID, n.ID, hash.Index, first.Hash, hash.Hash)
			}
			same = same && hash == first
		}
		return same
	})
}

const (
	// patience is how long, in virtual time, a condition may take to come true.
	patience = time.Minute
	// step is how often conditions are looked at.
	step = 5 * time.Millisecond
)

// WaitFor waits until the condition holds.
func (c *Cluster) WaitFor(what string, condition func() bool) {
	c.t.Helper()
	for start := time.Now(); !condition(); time.Sleep(step) {
		if time.Since(start) > patience {
			c.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// Cut stops everything from one node to another; the other direction stays.
func (c *Cluster) Cut(from, to *Node) { c.network.Cut(from.host(), to.host()) }

// Delay sets how long everything takes from one node to another.
func (c *Cluster) Delay(from, to *Node, d time.Duration) { c.network.Delay(from.host(), to.host(), d) }

// Reset breaks the connections between two nodes.
func (c *Cluster) Reset(a, b *Node) { c.network.Reset(a.host(), b.host()) }

// Isolate cuts the given nodes from all others, in both directions.
func (c *Cluster) Isolate(nodes ...*Node) {
	var here, there []string
	for _, n := range c.Nodes() {
		if slices.Contains(nodes, n) {
			here = append(here, n.host())
		} else {
			there = append(there, n.host())
		}
	}
	c.network.Partition(here, there)
}

// Heal ends all cuts.
func (c *Cluster) Heal() { c.network.HealAll() }

// Network is what the nodes are connected by, for clients that send real HTTP:
// they dial from a host of their own, and what breaks between it and a node is
// up to the test. Nodes are hosts under their IDs; clients are served at ID:8101.
func (c *Cluster) Network() *pipenet.Network { return c.network }

// Traffic returns what was counted from one node to another, so that a test can
// show that a fault was felt.
func (c *Cluster) Traffic(from, to *Node) pipenet.Traffic {
	return c.network.Traffic(from.host(), to.host())
}

// Log returns the last lines that the nodes logged.
func (c *Cluster) Log() string { return c.journal.String() }

// state describes the nodes, for the message of a failed test.
func (c *Cluster) state() string {
	var b strings.Builder
	for _, n := range c.Nodes() {
		if !n.Running() {
			fmt.Fprintf(&b, "%s does not run; it ended itself because of: %v\n", n.ID, n.Failure())
			continue
		}
		hash := n.Machine().StateHash()
		fmt.Fprintf(&b, "%s sees leader %q, applied %d, hash %s", n.ID, n.LeaderID(), hash.Index, hash.Hash)
		for _, check := range n.Process().Cluster().Ready(context.Background()) {
			fmt.Fprintf(&b, "; %s %v: %s", check.Name, check.OK, check.Detail)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
