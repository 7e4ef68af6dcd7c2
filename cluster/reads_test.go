package cluster_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/internal/clustertest"
	"tally/node"
)

// A follower's acknowledgement is on its way to the leader when the follower
// votes for another. The new leader acknowledges a change; then the old
// acknowledgement arrives. For raft.VerifyLeader it proves leadership, and the
// deposed leader would answer with the old value. A read here does not.
//
// The follower votes although it has heard its leader just now because
// leadership is being handed over; a follower that restarts votes likewise.
func TestDeposedLeaderServesNoOldValue(t *testing.T) {
	// Now and then no acknowledgement is on its way at the right moment, and the
	// library does not fall for it.
	const attemptsMax = 10
	for range attemptsMax {
		var fooled bool
		clustertest.Run(t, clustertest.Options{Configure: withLongLease}, func(t *testing.T, c *clustertest.Cluster) {
			fooled = deposeLeader(t, c)
		})
		if fooled || t.Failed() {
			return
		}
	}
	t.Errorf("the library noticed in %d attempts: the scenario does not show the danger", attemptsMax)
}

// withLongLease leaves room for acknowledgements that take long.
func withLongLease(config *node.Config) {
	config.HeartbeatTimeout, config.ElectionTimeout = 2*time.Second, 2*time.Second
	config.LeaderLeaseTimeout = 1900 * time.Millisecond
}

// deposeLeader reports whether raft.VerifyLeader was fooled.
func deposeLeader(t *testing.T, c *clustertest.Cluster) (fooled bool) {
	deposed := c.WaitLeader()
	voter, successor := c.Others(deposed)[0], c.Others(deposed)[1]
	mustIncrease(t, deposed, 1)
	c.WaitAgree()

	c.Delay(voter, deposed, 500*time.Millisecond)
	c.Delay(successor, deposed, 800*time.Millisecond) // so long the leader does not hear of its successor
	sent := c.Traffic(voter, deposed).Written
	c.WaitFor("an acknowledgement on its way", func() bool { return c.Traffic(voter, deposed).Written > sent })
	var background sync.WaitGroup
	library := deposed.Process().Cluster().Raft()
	library.LeadershipTransferToServer(raft.ServerID(successor.ID), raft.ServerAddress(successor.ID+":9101"))
	c.WaitFor("the successor to lead", func() bool { return successor.LeaderID() == successor.ID })
	if reply := successor.Increase(group, key, 1); !reply.OK() || reply.Counters[key] != 2 {
		t.Fatalf("the successor answers %v", reply)
	}

	// From here on everybody must see 2.
	for range 5 { // they share rounds
		background.Go(func() {
			if reply := deposed.Read(group); reply.OK() && reply.Counters[key] != 2 {
				t.Errorf("the deposed leader reads %v after 2 was acknowledged", reply)
			}
		})
	}
	verified := library.VerifyLeader().Error() == nil
	fooled = verified && deposed.ReadStale(group).Counters[key] == 1
	background.Wait()

	c.Delay(voter, deposed, 0)
	c.Delay(successor, deposed, 0)
	c.WaitFor("the deposed leader to read", func() bool { return deposed.Read(group).OK() })
	c.WaitAgree()
	return fooled
}

// A leader behind a partition answers no read, however many ask and whenever.
func TestIsolatedLeaderServesNoRead(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		old := c.WaitLeader()
		mustIncrease(t, old, 1)
		c.Isolate(old)
		isolated := time.Now()
		leader := c.WaitLeader(c.Others(old)...)
		if reply := leader.Increase(group, key, 1); !reply.OK() {
			t.Fatalf("the others answer %v", reply)
		}
		reply := old.Read(group)
		if reply.OK() || reply.Code != "no_leader" || !reply.Definite {
			t.Errorf("the isolated leader answers %v", reply)
		}
		if waited := time.Since(isolated); waited > 10*time.Second {
			t.Errorf("the answer took %v", waited)
		}
		c.Heal()
		c.WaitFor("the old leader to be back", func() bool { return old.Read(group).OK() })
		if reply := old.Read(group); reply.Counters[key] != 2 {
			t.Errorf("it reads %v, want 2", reply)
		}
	})
}

// What a client was told on one node it sees on every other, at once, also
// where the log arrives late.
func TestEveryNodeShowsAcknowledgedChanges(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		late := c.Others(leader)[0]
		c.Delay(leader, late, 50*time.Millisecond)
		stale := 0
		for i := range int64(20) {
			for _, writer := range c.Nodes() {
				mustIncrease(t, writer, 1)
			}
			if late.ReadStale(group).Counters[key] < 3*(i+1) {
				stale++
			}
			for _, reader := range c.Nodes() {
				if reply := reader.Read(group); reply.Counters[key] != 3*(i+1) {
					t.Fatalf("%s reads %v, want %d", reader.ID, reply, 3*(i+1))
				}
			}
		}
		if stale == 0 {
			t.Error("the late node was never late: the test shows nothing")
		}
	})
}
