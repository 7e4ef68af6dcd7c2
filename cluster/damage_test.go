package cluster_test

import (
	"errors"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
)

// withSnapshotsNow makes nodes take snapshots all the time and keep so many
// entries behind them.
func withSnapshotsNow(trailing uint64) func(*node.Config) {
	return func(c *node.Config) {
		c.SnapshotInterval, c.SnapshotThreshold, c.TrailingLogs = 50*time.Millisecond, 20, trailing
	}
}

// increaseUntil increases until the newest snapshot of a node is at or above an index.
func increaseUntil(c *clustertest.Cluster, n *clustertest.Node, snapshotAt uint64) {
	c.WaitFor("a snapshot of "+n.ID, func() bool {
		n.Increase(group, key, 1)
		_, _, snapshot := n.Disk().Extent()
		return snapshot >= snapshotAt
	})
}

// A damaged entry that no start reads, because a snapshot covers it, must not be
// sent to a node that lacks it: that one's disk is whole.
func TestDamageIsNotSentOn(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Configure: withSnapshotsNow(1000)}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		away := c.Others(leader)[0]
		other := c.Others(leader, away)[0]
		mustIncrease(t, leader, 1)
		c.WaitAgree()
		away.Crash()
		_, last, _ := away.Disk().Extent()
		increaseUntil(c, leader, last+10)
		want := leader.Read(group).Counters[key]

		other.Crash()
		leader.Crash() // what it knows of its log is on its disk only
		if !leader.Disk().CorruptLog(last + 2) {
			t.Fatal("there is no entry to damage")
		}
		leader.Start()
		away.Start()
		c.WaitFor("the damage to be found", func() bool { return leader.Failure() != nil || away.Failure() != nil })
		if away.Failure() != nil {
			t.Fatalf("%s, whose disk is whole, was sent the damage: %v", away.ID, away.Failure())
		}
		if !errors.Is(leader.Failure(), storage.ErrDamaged) {
			t.Errorf("%s ended itself because of %v", leader.ID, leader.Failure())
		}
		other.Start()
		c.WaitAgree(other, away)
		if got := away.Read(group).Counters[key]; got != want {
			t.Errorf("the counter is %d, want %d", got, want)
		}
	})
}

// Configurations say whose votes count. A node must not believe a damaged one.
func TestDamagedConfiguration(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		n := c.Others(c.WaitLeader())[0]
		n.Crash()
		if !n.Disk().CorruptLog(1) {
			t.Fatal("the log does not begin with the founders' configuration")
		}
		if err := n.TryStart(); !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("it started with a damaged configuration: %v", err)
		}
	})
}

// A node whose newest snapshot is damaged goes on from an older one if its log
// follows that, and else must not start.
func TestDamagedSnapshot(t *testing.T) {
	for _, tt := range []struct {
		name     string
		trailing uint64
		starts   bool
	}{
		{"the log follows the older one", 1000, true},
		{"entries are missing in between", 5, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Configure: withSnapshotsNow(tt.trailing)}, func(t *testing.T, c *clustertest.Cluster) {
				leader := c.WaitLeader()
				n := c.Others(leader)[0]
				increaseUntil(c, n, 30)
				_, _, older := n.Disk().Extent()
				increaseUntil(c, n, older+30)
				c.WaitAgree()
				want := leader.Read(group).Counters[key]
				n.Crash()
				first, _, snapshot := n.Disk().Extent()
				if !n.Disk().CorruptSnapshot() {
					t.Fatal("there is no snapshot to damage")
				}
				t.Logf("snapshots are at %d and about %d, the log begins at %d", snapshot, older, first)
				err := n.TryStart()
				if tt.starts {
					if err != nil {
						t.Fatal(err)
					}
					c.WaitFor("it to catch up", func() bool { return n.ReadStale(group).Counters[key] == want })
					return
				}
				if err == nil {
					c.WaitFor("it to end itself", func() bool { return n.Failure() != nil })
					err = n.Failure()
				}
				if !errors.Is(err, storage.ErrDamaged) {
					t.Errorf("it did not start because of %v", err)
				}
			})
		})
	}
}
