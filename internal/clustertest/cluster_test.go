package clustertest_test

import (
	"errors"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/storage"
	"tally/storage/memdisk"
)

func TestThreeNodesCountOnEveryNode(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		for i, n := range c.Nodes() {
			if reply := n.Increase("live:1", "likes", 1); !reply.OK() || reply.Counters["likes"] != int64(i+1) {
				t.Fatalf("increase on %s: %v", n.ID, reply)
			}
		}
		for _, n := range c.Nodes() {
			if reply := n.Read("live:1"); reply.Counters["likes"] != 3 {
				t.Errorf("%s reads %v, want 3", n.ID, reply)
			}
		}
		c.WaitAgree()
	})
}

func TestClusterGoesOnWithoutItsLeader(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		old := c.WaitLeader()
		mustIncrease(t, old, "likes", 1)
		old.Crash()
		crashed := time.Now()
		c.WaitLeader() // a change sent before the others notice would have an unknown outcome
		for _, n := range c.Running() {
			mustIncrease(t, n, "likes", 1)
		}
		if gap := time.Since(crashed); gap > 3*time.Second {
			t.Errorf("no writes for %v after the leader's crash", gap)
		}
		old.Start()
		c.WaitFor("the old leader to catch up", func() bool { ok, _ := old.Ready("caught_up"); return ok })
		if reply := old.Read("live:1"); reply.Counters["likes"] != 3 {
			t.Errorf("the old leader reads %v, want 3", reply)
		}
		c.WaitAgree()
	})
}

func TestPowerLossEverywhereLosesNothing(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		mustIncrease(t, c.Node("n2"), "likes", 7)
		powerLoss(c)
		c.WaitLeader()
		for _, n := range c.Nodes() {
			if reply := n.Read("live:1"); reply.Counters["likes"] != 7 {
				t.Errorf("%s reads %v, want 7", n.ID, reply)
			}
		}
		c.WaitAgree()
	})
}

// The same with disks that say they have synced and have not: the change is
// lost, so the test above would notice if a node answered too early.
func TestPowerLossShowsDisksThatLie(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		c.WaitAgree()
		for _, n := range c.Nodes() {
			n.Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Unsynced: true})
		}
		mustIncrease(t, c.Node("n2"), "likes", 7)
		powerLoss(c)
		if reply := c.WaitLeader().Read("live:1"); !reply.OK() || reply.Counters["likes"] != 0 {
			t.Errorf("%v, want nothing: nothing was synced", reply)
		}
	})
}

// powerLoss crashes all nodes at once and starts them again.
var errDisk = errors.New("input/output error")

func powerLoss(c *clustertest.Cluster) {
	for _, n := range c.Nodes() {
		n.Crash()
	}
	for _, n := range c.Nodes() {
		n.Disk().Heal()
		n.Start()
	}
}

func mustIncrease(t *testing.T, n *clustertest.Node, key string, by int64) {
	t.Helper()
	if reply := n.Increase("live:1", key, by); !reply.OK() {
		t.Fatalf("increase on %s: %v", n.ID, reply)
	}
}
