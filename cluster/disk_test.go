package cluster_test

import (
	"net/http"
	"strings"
	"testing"

	"tally/counter"
	"tally/internal/clustertest"
	"tally/node"
)

// A leader whose disk is nearly full gives leadership away, and changes go on.
// When all disks are nearly full they are refused, before anything fails.
func TestNearlyFullDisks(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		reserve := node.Default().DiskReserveBytes
		leader := c.WaitLeader()
		mustIncrease(t, leader, 1)

		leader.Disk().SetFreeBytes(reserve - 1)
		c.WaitFor("leadership to move", func() bool { l := c.Leader(); return l != nil && l != leader })
		mustIncrease(t, leader, 1) // it passes changes on: a log entry less than its own is no risk
		if ok, _ := leader.Ready("disk"); ok {
			t.Error("readiness says nothing of the disk")
		}

		for _, n := range c.Nodes() {
			n.Disk().SetFreeBytes(reserve - 1)
		}
		c.WaitFor("changes to be refused", func() bool { return !c.Node("n1").Increase(group, key, 1).OK() })
		reply := c.Node("n2").Increase(group, key, 1)
		if reply.Status != http.StatusInsufficientStorage || reply.Code != counter.DiskFull || !reply.Definite || !strings.Contains(reply.Detail, "free space") {
			t.Errorf("n2 answers %v", reply)
		}
		before := c.Node("n1").Read(group)
		if !before.OK() {
			t.Errorf("a read on full disks: %v", before)
		}

		for _, n := range c.Nodes() {
			n.Disk().SetFreeBytes(reserve)
		}
		c.WaitFor("changes to be taken again", func() bool { return c.Node("n3").Increase(group, key, 1).OK() })
		c.WaitAgree()
		wantCount(t, c, before.Counters[key]+1, before.Counters[key]+1)
	})
}

// A node that is made leader while its disk is full, by an election for
// instance, does not keep the others from taking changes.
func TestLeaderElectedWithAFullDiskHandsOver(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		full := c.Others(leader)[0]
		full.Disk().SetFreeBytes(node.Default().DiskReserveBytes - 1)
		c.WaitFor("the disk to be noticed", func() bool { ok, _ := full.Ready("disk"); return !ok })
		if reply := leader.TransferLeadership(full.ID); !reply.OK() {
			t.Fatalf("handing leadership to %s: %v", full.ID, reply)
		}
		c.WaitFor("leadership to move on", func() bool { l := c.Leader(); return l != nil && l != full })
		mustIncrease(t, full, 1)
	})
}
