package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
)

func TestFoundersWaitForEachOther(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Stopped: true}, func(t *testing.T, c *clustertest.Cluster) {
		for i, n := range c.Nodes() {
			n.Start()
			time.Sleep(5 * time.Second)
			if i == len(c.Nodes())-1 {
				break
			}
			if leader := n.LeaderID(); leader != "" {
				t.Fatalf("%s leads before all founders met", leader)
			}
			ok, detail := n.Ready("member")
			if ok || !strings.Contains(detail, "waiting for founder n3 at n3:9101; start it") && !strings.Contains(detail, "waiting for founder n2 at n2:9101; start it") {
				t.Errorf("%s says %q", n.ID, detail)
			}
			reply := n.Increase(group, key, 1)
			if reply.Code != "no_leader" || !reply.Definite || !strings.Contains(reply.Detail, "start it") {
				t.Errorf("%s answers %v", n.ID, reply)
			}
		}
		c.WaitLeader()
		mustIncrease(t, c.Node("n2"), 1)
		c.WaitAgree()
	})
}

// Founders start, and one of them loses power, at any moment of the founding.
func TestFoundingSurvivesACrash(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Stopped: true}, func(t *testing.T, c *clustertest.Cluster) {
				random := rand.New(rand.NewPCG(seed, 0))
				moment := func(most time.Duration) { time.Sleep(time.Duration(random.Int64N(int64(most)))) }
				for _, i := range random.Perm(3) {
					c.Nodes()[i].Start()
					moment(100 * time.Millisecond)
				}
				victim := c.Nodes()[random.IntN(3)]
				moment(time.Second)
				victim.Crash()
				moment(time.Second)
				victim.Start()
				c.WaitLeader()
				for _, n := range c.Nodes() {
					c.WaitFor("a change on "+n.ID, func() bool { return n.Increase(group, key, 1).OK() })
				}
				c.WaitAgree()
				for _, n := range c.Nodes() {
					if members := n.Machine().Members(); len(members) != 3 {
						t.Errorf("%s knows the incarnations of %v", n.ID, members)
					}
				}
			})
		})
	}
}

// All founders start in the same instant; which goroutine is first is chance.
func TestFoundingAllAtOnce(t *testing.T) {
	for range 40 {
		clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
			mustIncrease(t, c.Node("n1"), 1)
			c.WaitAgree()
		})
		if t.Failed() {
			return
		}
	}
}

func TestSecondStartFoundsNothing(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		mustIncrease(t, c.Node("n1"), 1)
		c.WaitAgree()
		id := c.Node("n1").Status().ClusterID
		for _, n := range c.Nodes() {
			n.Crash()
		}
		for _, n := range c.Nodes() {
			n.Start()
		}
		c.WaitLeader()
		mustIncrease(t, c.Node("n2"), 1)
		c.WaitAgree()
		for _, n := range c.Nodes() {
			if got := n.Status().ClusterID; got != id || id == "" {
				t.Errorf("%s is of cluster %q, before %q", n.ID, got, id)
			}
			if reply := n.Read(group); reply.Counters[key] != 2 {
				t.Errorf("%s reads %v, want 2", n.ID, reply)
			}
		}
	})
}

func TestWrongNodeAtAFoundersAddress(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Stopped: true}, func(t *testing.T, c *clustertest.Cluster) {
		c.Node("n1").Configure(func(config *node.Config) {
			config.InitialCluster = []node.Member{{ID: "n1", PeerAddr: "n1:9101"}, {ID: "n2", PeerAddr: "n3:9101"}, {ID: "n3", PeerAddr: "n2:9101"}}
		})
		for _, n := range c.Nodes() {
			n.Start()
		}
		err := c.Node("n1").WaitFailure()
		if !strings.Contains(err.Error(), "correct the initial cluster") {
			t.Errorf("n1 ended itself with %q", err)
		}
	})
}

// A founder of another cluster is not taken in by accident.
func TestNodeOfAnotherClusterIsRefused(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 1}, func(t *testing.T, c *clustertest.Cluster) {
		other := c.Add("n2")
		other.Configure(func(config *node.Config) { config.InitialCluster = []node.Member{{ID: "n2", PeerAddr: "n2:9101"}} })
		other.Start()
		c.WaitFor("a cluster of its own", func() bool { return other.Read(group).OK() })
		reply := c.Node("n1").AddMember("n2", "n2:9101")
		if reply.OK() || reply.Code != "invalid_request" || !strings.Contains(reply.Detail, "belongs to cluster") {
			t.Errorf("adding a node of another cluster: %v", reply)
		}
	})
}

// A founder has lost its disk, and all others that it knows were replaced: only
// their successors can tell it that its place is taken, and they do.
func TestWipedFounderHearsFromThoseItDoesNotKnow(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		n3 := c.Node("n3")
		c.WaitAgree()
		for _, change := range []struct{ from, to string }{{"n1", "n4"}, {"n2", "n5"}} {
			joining(c, change.to, "n3:9101")
			waitVoter(t, c, change.to)
			c.WaitFor(change.from+" to be removed", func() bool { return n3.RemoveMember(change.from).OK() })
			c.Node(change.from).Crash()
		}
		n3.Wipe()
		n3.Start()
		c.WaitFor("the remedy", func() bool {
			ok, detail := n3.Ready("member")
			return !ok && strings.Contains(detail, "remove n3 from the cluster, then join the node under a new ID")
		})
		if reply := n3.Increase(group, key, 1); reply.Code != "no_leader" || !strings.Contains(reply.Detail, "remove n3") {
			t.Errorf("n3 answers %v", reply)
		}

		// The remedy is true.
		if reply := c.Node("n4").RemoveMember("n3"); !reply.OK() {
			t.Fatalf("removing n3: %v", reply)
		}
		joining(c, "n6", "n4:9101")
		waitVoter(t, c, "n6")
		c.WaitFor("an end of the refusals", func() bool {
			_, detail := n3.Ready("member")
			return strings.Contains(detail, "waiting for founder")
		})
	})
}
