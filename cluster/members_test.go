package cluster_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tally/counter"
	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
)

func TestJoinedNodeBecomesAVoter(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		mustIncrease(t, leader, 1)
		n4 := joining(c, "n4", c.Others(leader)[0].ID+":9101") // a follower passes the request on
		waitVoter(t, c, "n4")
		mustIncrease(t, n4, 1)
		c.WaitAgree()

		// It counts: with n4 the cluster survives two of the first three... but not its own loss too.
		c.Node("n1").Crash()
		c.WaitLeader()
		mustIncrease(t, n4, 1)
		n4.Restart() // on a start with state, Join is not asked again
		c.WaitLeader()
		if reply := n4.Read(group); reply.Counters[key] != 3 {
			t.Errorf("n4 reads %v, want 3", reply)
		}
	})
}

// The log has been compacted: what joins needs a snapshot, and votes only after it has it.
func TestJoinThroughASnapshot(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Configure: withSmallLog}, func(t *testing.T, c *clustertest.Cluster) {
		for range 100 {
			mustIncrease(t, c.Node("n1"), 1)
		}
		waitSnapshot(c, c.Running()...)
		n4 := joining(c, "n4", "n1:9101")
		waitVoter(t, c, "n4")
		if n4.Disk().Calls(storage.OpCloseSnapshot) == 0 {
			t.Error("n4 came in without a snapshot: the test shows nothing")
		}
		if reply := n4.Read(group); reply.Counters[key] != 100 {
			t.Errorf("n4 reads %v, want 100", reply)
		}
		c.WaitAgree()
	})
}

// A newcomer that the leader does not reach waits for the network and does not
// end itself: it is the same node that would be started again.
func TestNewcomerOutlivesACutLink(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		n4 := c.Add("n4")
		c.Cut(leader, n4)
		follower := c.Others(leader, n4)[0].ID + ":9101"
		n4.Configure(func(config *node.Config) { config.Join = []string{follower} })
		n4.Start()
		c.WaitFor("n4 to be told that the leader does not reach it", func() bool {
			_, why := n4.Ready("member")
			return strings.Contains(why, "answers at n4:9101")
		})
		c.Heal()
		waitVoter(t, c, "n4")
		mustIncrease(t, n4, 1)
	})
}

// What is to take part without a vote gets none, however often it starts, until
// somebody gives it one.
func TestNodeJoinsWithoutAVote(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		n4 := c.Add("n4")
		n4.Configure(func(config *node.Config) { config.Join, config.NonVoter = []string{"n1:9101"}, true })
		n4.Start()
		for range 2 {
			c.WaitFor("n4 to count", func() bool { return n4.Increase(group, key, 1).OK() })
			time.Sleep(10 * time.Second)
			if m, ok := leader.Member("n4"); !ok || m.Voter {
				t.Fatalf("n4 is a member: %v, and votes: %v", ok, m.Voter)
			}
			n4.Restart()
		}
		if reply := leader.AddMember("n4", "n4:9101"); !reply.OK() {
			t.Fatal(reply)
		}
		waitVoter(t, c, "n4")
		n4.Restart()
		mustIncrease(t, leader, 1)
		c.WaitAgree()
		if m, _ := leader.Member("n4"); !m.Voter {
			t.Error("n4 lost its vote by starting again")
		}
	})
}

// A node that cannot keep up stays a non-voter: as a voter it would hold back every commit.
func TestSlowNewcomerDoesNotVote(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		for range 50 {
			mustIncrease(t, leader, 1)
		}
		n4 := c.Add("n4")
		n4.Configure(func(config *node.Config) {
			config.Join = []string{leader.ID + ":9101"}
			config.StorageTimeout = time.Hour
		})
		n4.Disk().Inject(storage.OpStoreLogs, hangs)
		n4.Start()
		c.WaitFor("n4 to be a member", func() bool { _, ok := leader.Member("n4"); return ok })
		time.Sleep(20 * time.Second)
		if m, _ := leader.Member("n4"); m.Voter {
			t.Fatal("n4 votes and has stored nothing")
		}
		n4.Disk().Heal()
		waitVoter(t, c, "n4")
		c.WaitAgree()
	})
}

func TestRemovedFollowerIsGone(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		gone, stays := c.Others(leader)[0], c.Others(leader)[1]
		for range 2 { // removing again is harmless
			if reply := stays.RemoveMember(gone.ID); !reply.OK() {
				t.Fatalf("removing %s: %v", gone.ID, reply)
			}
		}
		mustIncrease(t, stays, 1)
		c.WaitAgree(leader, stays)
		if _, ok := leader.Member(gone.ID); ok {
			t.Errorf("%s is still a member", gone.ID)
		}
		if reply := leader.AddMember(gone.ID, gone.ID+":9101"); reply.OK() {
			t.Errorf("%s could be added again: %v", gone.ID, reply)
		}
		// Its ID does not come back with another disk either.
		gone.Wipe()
		gone.Configure(func(config *node.Config) {
			config.InitialCluster, config.Join = nil, []string{leader.ID + ":9101"}
		})
		gone.Start()
		wantRefusal(t, gone, "was removed from the cluster")
		if leader.LeaderID() != leader.ID {
			t.Error("the removed node disturbed the leader")
		}
	})
}

// A client that asks it next has time left for another node, and knows that
// nothing was done.
func TestRemovedNodeSaysSoAtOnce(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		gone, stays := c.Others(leader)[0], c.Others(leader)[1]
		if reply := leader.RemoveMember(gone.ID); !reply.OK() {
			t.Fatalf("removing %s: %v", gone.ID, reply)
		}
		c.WaitFor(gone.ID+" to hear from no leader", func() bool { return gone.LeaderID() == "" })
		asks := map[string]func() clustertest.Reply{
			"change":  func() clustertest.Reply { return gone.Increase(group, key, 1) },
			"read":    func() clustertest.Reply { return gone.Read(group) },
			"removal": func() clustertest.Reply { return gone.RemoveMember(stays.ID) },
		}
		for name, ask := range asks {
			began := time.Now()
			reply := ask()
			if waited := time.Since(began); waited > time.Second {
				t.Errorf("%s: answered after %v", name, waited)
			}
			if reply.Code != counter.NoLeader || !reply.Definite || !strings.Contains(reply.String(), gone.ID+" was removed from the cluster") {
				t.Errorf("%s: %v, want no_leader that says why", name, reply)
			}
		}
		if ready := gone.Do(http.MethodGet, "/readyz", ""); !strings.Contains(string(ready.Body), "was removed from the cluster") {
			t.Errorf("/readyz does not say why: %v %s", ready, ready.Body)
		}
	})
}

func TestRemovedLeaderHandsOver(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		old := c.WaitLeader()
		others := c.Others(old)
		if reply := others[0].RemoveMember(old.ID); !reply.OK() {
			t.Fatalf("removing the leader: %v", reply)
		}
		leader := c.WaitLeader(others...)
		mustIncrease(t, leader, 1)
		c.WaitAgree(others...)
		if _, ok := leader.Member(old.ID); ok {
			t.Errorf("%s is still a member", old.ID)
		}
		// Two voters are left; one more goes.
		if reply := leader.RemoveMember(c.Others(old, leader)[0].ID); !reply.OK() {
			t.Fatalf("removing the second: %v", reply)
		}
		mustIncrease(t, leader, 1)
		reply := leader.RemoveMember(leader.ID)
		if reply.OK() || !strings.Contains(reply.Detail, "last voter") {
			t.Errorf("removing the last voter: %v", reply)
		}
	})
}

func TestRemovalThatWouldStopTheClusterIsRefused(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		stays, down := c.Others(leader)[0], c.Others(leader)[1]
		down.Crash()
		time.Sleep(10 * time.Second) // that it is gone shows when it does not answer
		reply := leader.RemoveMember(stays.ID)
		if reply.Code != "invalid_request" || !strings.Contains(reply.Detail, "start the others first") {
			t.Errorf("removing one of the two that run: %v", reply)
		}
		mustIncrease(t, stays, 1)
		if reply := leader.RemoveMember(down.ID); !reply.OK() {
			t.Errorf("removing the one that is down: %v", reply)
		}
		mustIncrease(t, stays, 1)
	})
}

func TestLeadershipGoesWhereItIsSent(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		for range 3 {
			for _, target := range c.Nodes() {
				if reply := c.Node("n1").TransferLeadership(target.ID); !reply.OK() {
					t.Fatalf("handing over to %s: %v", target.ID, reply)
				}
				if leader := c.WaitLeader(); leader != target {
					t.Fatalf("%s leads, want %s", leader.ID, target.ID)
				}
				mustIncrease(t, c.Node("n2"), 1)
			}
		}
		reply := c.Node("n1").TransferLeadership("n9")
		if reply.Code != "invalid_request" {
			t.Errorf("handing over to nobody: %v", reply)
		}
	})
}

// A clean stop of the leader costs writers less than they would wait for an
// election that begins with a time-out.
func TestCleanStopHandsOver(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		for range 5 {
			leader := c.WaitLeader()
			writer := c.Others(leader)[0]
			stop := make(chan struct{})
			var gap time.Duration
			var writing sync.WaitGroup
			writing.Go(func() {
				for last := time.Now(); ; {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					if reply := writer.Increase(group, key, 1); !reply.OK() {
						t.Errorf("during the stop: %v", reply)
					}
					gap, last = max(gap, time.Since(last)), time.Now()
				}
			})
			time.Sleep(time.Second)
			if err := leader.Close(); err != nil {
				t.Errorf("closing %s: %v", leader.ID, err)
			}
			c.WaitLeader()
			time.Sleep(time.Second)
			close(stop)
			writing.Wait()
			if longest := node.Default().HeartbeatTimeout; gap >= longest {
				t.Errorf("no write for %v while %s stopped, want less than %v", gap, leader.ID, longest)
			}
			leader.Start()
		}
		c.WaitAgree()
	})
}

func TestMovedNodesAreFound(t *testing.T) {
	if raceDetector {
		// When the leader writes a follower's new address down, the library replaces
		// that follower's entry under a lock, and reads its ID without one
		// (replication.go, updateLastAppended; hashicorp/raft#471). The ID is the
		// same before and after, so nothing comes of it.
		t.Skip("the library has a harmless race here")
	}
	for _, moving := range [][]string{{"n1"}, {"n1", "n2"}, {"n2", "n3"}} {
		t.Run(strings.Join(moving, " and "), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
				mustIncrease(t, c.Node("n1"), 1)
				c.WaitAgree()
				for _, id := range moving {
					c.Node(id).Crash()
					c.Node(id).Move(9201)
				}
				for _, id := range moving {
					c.Node(id).Start()
				}
				c.WaitLeader()
				mustIncrease(t, c.Node(moving[0]), 1)
				c.WaitAgree()
				for _, n := range c.Nodes() {
					for _, id := range moving {
						c.WaitFor(n.ID+" to have the new address of "+id, func() bool {
							m, ok := n.Member(id)
							return ok && m.PeerAddr == id+":9201"
						})
					}
				}
				// The new addresses are in the log: they outlast everybody's memory.
				for _, n := range c.Nodes() {
					n.Crash()
				}
				for _, n := range c.Nodes() {
					n.Start()
				}
				c.WaitLeader()
				mustIncrease(t, c.Node("n3"), 1)
				c.WaitAgree()
			})
		})
	}
}
