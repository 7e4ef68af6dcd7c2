package cluster_test

import (
	"sync"
	"testing"
	"time"

	"tally/internal/clustertest"
)

// A follower's acknowledgement is on its way to the leader when the follower
// votes for another. The new leader acknowledges a change; then the old
// acknowledgement arrives. For raft.VerifyLeader it proves leadership, and the
// deposed leader would answer with the old value. A read here does not.
//
// The follower votes although it has heard its leader just now because
// leadership is being handed over; a follower that restarts votes likewise.
func TestDeposedLeaderServesNoOldValue(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		deposed := c.WaitLeader()
		voter, successor := c.Others(deposed)[0], c.Others(deposed)[1]
		mustIncrease(t, deposed, 1)
		c.WaitAgree()

		c.Cut(successor, deposed) // it hears of its successor from nobody
		c.Delay(voter, deposed, 200*time.Millisecond)
		sent := c.Traffic(voter, deposed).Written
		c.WaitFor("an acknowledgement on its way", func() bool { return c.Traffic(voter, deposed).Written > sent })

		var background sync.WaitGroup
		background.Go(func() { deposed.TransferLeadership(successor.ID) })
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
		if err := deposed.Process().Cluster().Raft().VerifyLeader().Error(); err != nil {
			t.Errorf("the library noticed (%v): the scenario no longer shows the danger", err)
		}
		if stale := deposed.ReadStale(group); stale.Counters[key] != 1 {
			t.Errorf("the deposed leader has %v: the scenario no longer shows the danger", stale)
		}
		c.Heal()
		background.Wait()
		c.WaitFor("the deposed leader to read", func() bool { return deposed.Read(group).OK() })
		c.WaitAgree()
	})
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
