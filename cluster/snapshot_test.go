package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

// hangs is a call that does not return until the disk is healed.
var hangs = memdisk.Fault{Hang: true}

// withSmallLog makes nodes take snapshots all the time and forget their log.
func withSmallLog(config *node.Config) {
	config.SnapshotInterval = 50 * time.Millisecond
	config.SnapshotThreshold = 10
	config.TrailingLogs = 5
}

func waitSnapshot(c *clustertest.Cluster, nodes ...*clustertest.Node) {
	for _, n := range nodes {
		before := n.Disk().Calls(storage.OpCloseSnapshot)
		c.WaitFor("a snapshot on "+n.ID, func() bool { return before > 0 || n.Disk().Calls(storage.OpCloseSnapshot) > before })
	}
}

// With logs that may have gaps, and with logs that must be emptied first.
func TestFollowerThatWasAwayLongGetsASnapshot(t *testing.T) {
	for _, monotonic := range []bool{false, true} {
		t.Run(fmt.Sprintf("monotonic %v", monotonic), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Configure: withSmallLog, MonotonicLogs: monotonic}, func(t *testing.T, c *clustertest.Cluster) {
				leader := c.WaitLeader()
				away := c.Others(leader)[0]
				mustIncrease(t, away, 1)
				c.WaitAgree()
				c.Isolate(away)
				c.WaitLeader(c.Others(away)...)
				for range 100 {
					mustIncrease(t, leader, 1)
					time.Sleep(5 * time.Millisecond)
				}
				before := away.Disk().Calls(storage.OpCloseSnapshot)
				if reply := away.ReadStale(group); reply.Counters[key] != 1 {
					t.Errorf("the one that is away has %v, want 1", reply)
				}
				c.Heal()
				// Reads during the installation see all of it or wait.
				c.WaitFor("a read on the one that was away", func() bool {
					reply := away.Read(group)
					if reply.OK() && reply.Counters[key] != 101 {
						t.Fatalf("it reads %v, want 101", reply)
					}
					return reply.OK()
				})
				if away.Disk().Calls(storage.OpCloseSnapshot) == before {
					t.Error("it caught up without a snapshot: the test shows nothing")
				}
				mustIncrease(t, away, 1)
				c.WaitAgree()
			})
		})
	}
}

func TestNodesStartFromTheirSnapshots(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Configure: withSmallLog}, func(t *testing.T, c *clustertest.Cluster) {
		for range 100 {
			mustIncrease(t, c.Node("n1"), 1)
		}
		waitSnapshot(c, c.Nodes()...)
		id := c.Node("n1").Status().ClusterID
		for round := range int64(3) {
			for _, n := range c.Nodes() {
				n.Crash()
			}
			for _, n := range c.Nodes() {
				n.Start()
			}
			c.WaitLeader()
			mustIncrease(t, c.Node("n2"), 1)
			for _, n := range c.Nodes() {
				if reply := n.Read(group); reply.Counters[key] != 101+round {
					t.Errorf("%s reads %v, want %d", n.ID, reply, 101+round)
				}
			}
			c.WaitAgree()
		}
		if got := c.Node("n3").Status().ClusterID; got != id {
			t.Errorf("the cluster is %q, before %q", got, id)
		}
	})
}

// A snapshot that does not fit on the disk is no reason to end: the log stays.
func TestSnapshotThatDoesNotFit(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Configure: withSmallLog}, func(t *testing.T, c *clustertest.Cluster) {
		for _, n := range c.Nodes() {
			n.Disk().Inject(storage.OpWriteSnapshot, memdisk.Fault{Err: errNoSpace})
		}
		for range 50 {
			mustIncrease(t, c.Node("n1"), 1)
			time.Sleep(10 * time.Millisecond)
		}
		for _, n := range c.Nodes() {
			if n.Disk().Calls(storage.OpWriteSnapshot) == 0 {
				t.Errorf("%s tried no snapshot: the test shows nothing", n.ID)
			}
			n.Disk().Heal()
		}
		waitSnapshot(c, c.Nodes()...)
		c.WaitAgree()
	})
}
