package cluster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
)

// An acknowledged change is on n1 and n3 only. n3 loses its disk and n1 its
// power: n2, which lacks the change, and the new n3, which lacks everything, are
// a majority, and must not be one.
func TestWipedVoterDoesNotHelpToForget(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		n1, n2, n3 := c.Node("n1"), c.Node("n2"), c.Node("n3")
		c.WaitAgree()
		c.Isolate(n2)
		c.WaitLeader(n1, n3)
		mustIncrease(t, n1, 1)
		c.WaitAgree(n1, n3)

		n1.Crash()
		n3.Wipe()
		c.Heal()
		n3.Start()
		wantRefusal(t, n3, "remove n3 from the cluster, then join the node under a new ID")
		n3.Start() // again, as a process manager would
		wantRefusal(t, n3, "remove n3 from the cluster")
		time.Sleep(30 * time.Second)
		if leader := n2.LeaderID(); leader != "" {
			t.Fatalf("%s was elected without the change", leader)
		}

		n1.Start()
		c.WaitLeader(n1, n2)
		if reply := n2.Read(group); reply.Counters[key] != 1 {
			t.Fatalf("n2 reads %v, want 1", reply)
		}

		// The remedy is true.
		if reply := n2.RemoveMember("n3"); !reply.OK() {
			t.Fatalf("removing n3: %v", reply)
		}
		n4 := joining(c, "n4", "n2:9101")
		waitVoter(t, c, "n4")
		mustIncrease(t, n4, 1)
		c.WaitAgree(n1, n2, n4)
		n3.Start()
		wantRefusal(t, n3, "n3 was removed from the cluster")
	})
}

// The same without the loss of the disk: n3 knows the change and passes it on,
// so it was the wiped disk that stopped the test above.
func TestVoterWithItsDiskRemembers(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		n1, n2, n3 := c.Node("n1"), c.Node("n2"), c.Node("n3")
		c.WaitAgree()
		c.Isolate(n2)
		c.WaitLeader(n1, n3)
		mustIncrease(t, n1, 1)
		n1.Crash()
		n3.Crash()
		c.Heal()
		n3.Start()
		c.WaitLeader(n2, n3)
		if reply := n2.Read(group); reply.Counters[key] != 1 {
			t.Errorf("n2 reads %v, want 1", reply)
		}
	})
}

// A node that has lost its disk is refused by all, also when none of them has
// applied the log yet: what it knows of the others' incarnations is on its disk.
func TestWipedVoterIsRefusedRightAfterAPowerLoss(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		mustIncrease(t, c.Node("n1"), 1)
		c.WaitAgree()
		for _, n := range c.Nodes() {
			n.Crash()
		}
		c.Node("n3").Wipe()
		c.Node("n2").Start()
		c.Node("n3").Start()
		wantRefusal(t, c.Node("n3"), "remove n3 from the cluster")
		if leader := c.Node("n2").LeaderID(); leader != "" {
			t.Errorf("%s leads", leader)
		}
	})
}

// wantRefusal waits until the node ends itself because the others refuse it.
func wantRefusal(t *testing.T, n *clustertest.Node, remedy string) {
	t.Helper()
	err := n.WaitFailure()
	if !errors.Is(err, node.ErrNotAdmitted) || !strings.Contains(err.Error(), remedy) {
		t.Errorf("%s ended itself with %q, want %q", n.ID, err, remedy)
	}
}

// joining starts a node that asks the given address to let it in.
func joining(c *clustertest.Cluster, id, address string) *clustertest.Node {
	n := c.Add(id)
	n.Configure(func(config *node.Config) { config.Join = []string{address} })
	n.Start()
	return n
}

func waitVoter(t *testing.T, c *clustertest.Cluster, id string) {
	t.Helper()
	c.WaitFor(id+" to be a voter", func() bool {
		m, ok := c.Node(id).Member(id)
		return ok && m.Voter
	})
}
