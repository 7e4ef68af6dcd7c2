package cluster_test

import (
	"strings"
	"testing"
	"time"

	"tally/internal/clustertest"
)

// A leader that refuses every change because of a transfer that ended long ago
// (hashicorp/raft#696) ends itself; its next process has no such flag.
func TestLeaderStuckInATransferEndsItself(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		mustIncrease(t, leader, 1)
		if !leader.Process().Cluster().LeaveTransferFlag() {
			t.Fatal("the library has no such flag any more: transferGuard may go")
		}
		stuck := time.Now()
		c.WaitFor("a change", func() bool { return c.Others(leader)[0].Increase(group, key, 1).OK() })
		if err := leader.WaitFailure(); !strings.Contains(err.Error(), "hashicorp/raft#696") {
			t.Errorf("the leader ended itself with %v", err)
		}
		if waited := time.Since(stuck); waited > 10*time.Second {
			t.Errorf("no change for %v", waited)
		}
		leader.Start()
		c.WaitAgree()
	})
}

// A transfer to a node that is gone is refused before the library tries: while
// it does, it refuses all changes.
func TestTransfersBehindAPartitionCostNothing(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		target := c.Others(leader)[0]
		c.Isolate(target)
		mustIncrease(t, leader, 1) // now the target lacks an entry
		for range 3 {
			if reply := leader.TransferLeadership(target.ID); reply.OK() {
				t.Fatalf("leadership went behind the partition: %v", reply)
			}
			start := time.Now()
			mustIncrease(t, leader, 1)
			if waited := time.Since(start); waited > 100*time.Millisecond {
				t.Errorf("the next change took %v", waited)
			}
		}
		if !leader.Running() {
			t.Fatalf("the leader ended itself with %v", leader.Failure())
		}
		c.Heal()
		c.WaitAgree()
	})
}

// A transfer that takes as long as opening a connection and waiting for an answer
// can is no stuck one: the leader goes on when it has failed.
func TestSlowTransferEndsNobody(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		target := c.Others(leader)[0]
		c.WaitAgree()
		c.Reset(leader, target) // so that a connection has to be opened
		c.Delay(leader, target, 480*time.Millisecond)
		time.Sleep(3 * time.Second)

		time.AfterFunc(1600*time.Millisecond, func() { c.Cut(leader, target) }) // the connection is there, the message on its way
		transferred := make(chan clustertest.Reply, 1)
		go func() { transferred <- leader.TransferLeadership(target.ID) }()
		time.Sleep(500 * time.Millisecond) // it has begun: from here on the library refuses changes
		changed := make(chan clustertest.Reply, 1)
		go func() { changed <- leader.Increase(group, key, 1) }()
		if reply := <-transferred; reply.OK() {
			t.Fatalf("leadership was handed over: %v; the test shows nothing", reply)
		}
		if reply := <-changed; !reply.OK() {
			t.Errorf("a change: %v", reply)
		}
		if failure := leader.Failure(); failure != nil {
			t.Errorf("the leader ended itself: %v", failure)
		}
		c.Heal()
	})
}

// A leader that stops hands over to one that is there, whoever is gone.
func TestCleanStopHandsOverToANodeThatIsThere(t *testing.T) {
	for _, gone := range []int{0, 1} {
		clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
			leader := c.WaitLeader()
			c.WaitAgree()
			stays := c.Others(leader)[1-gone]
			c.Isolate(c.Others(leader)[gone])
			start := time.Now()
			if err := leader.Close(); err != nil {
				t.Error(err)
			}
			if stays.LeaderID() != stays.ID {
				t.Errorf("%s does not lead after %s has stopped", stays.ID, leader.ID)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("stopping took %v", took)
			}
		})
	}
}

// When all nodes stop at once, the leader may hand over to one that ends before
// it leads. Then nobody does, and nobody is waited for.
func TestCleanStopDoesNotWaitForASuccessorThatIsGone(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		c.WaitAgree()
		for _, other := range c.Others(leader) {
			c.Delay(other, leader, 50*time.Millisecond)
		}
		start := time.Now()
		stopped := make(chan error, 1)
		go func() { stopped <- leader.Close() }()
		// Leadership is given up, and the successor has not been heard yet.
		c.WaitFor("the end of a term", func() bool { return leader.LeaderID() == "" })
		for _, other := range c.Others(leader) {
			other.Kill()
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}

// A leader has an exchange under way with a node that does not answer, and one
// after the other waits for its time-out. A clean stop waits for none of them.
func TestCleanStopDoesNotWaitForANodeThatDoesNotAnswer(t *testing.T) {
	for since := time.Duration(0); since < 3*time.Second; since += 300 * time.Millisecond {
		clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
			leader := c.WaitLeader()
			c.WaitAgree()
			c.Isolate(c.Others(leader)[0])
			time.Sleep(since)
			start := time.Now()
			if err := leader.Close(); err != nil {
				t.Errorf("%v after the cut: %v", since, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("%v after the cut stopping took %v", since, took)
			}
		})
	}
}

// What the target has been told takes effect after the library has given up, so
// nobody may be told that leadership certainly stays.
func TestTransferThatComesLateIsNotDefinite(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		target := c.Others(leader)[0]
		c.WaitAgree()
		c.Delay(leader, target, 400*time.Millisecond)
		time.Sleep(2 * time.Second)
		reply := leader.TransferLeadership(target.ID)
		if reply.OK() {
			t.Fatalf("%v: the test shows nothing", reply)
		}
		time.Sleep(time.Second)
		if now := c.WaitLeader(); now == leader {
			t.Fatal("leadership stayed: the test shows nothing")
		}
		if reply.Definite {
			t.Errorf("leadership was handed over after %v", reply)
		}
	})
}

// The leader has an idle connection to each node that voted for it, and that of a
// node that has started again since is dead.
func TestLeadershipGoesToANodeThatHasStartedAgain(t *testing.T) {
	for _, restart := range []func(*clustertest.Node){(*clustertest.Node).Restart, func(n *clustertest.Node) {
		n.Crash()
		n.Start()
	}} {
		clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
			for range 3 {
				leader := c.WaitLeader()
				for _, n := range c.Others(leader) {
					restart(n)
					c.WaitAgree()
					if reply := leader.TransferLeadership(n.ID); !reply.OK() {
						t.Errorf("handing over to %s, which has started again: %v", n.ID, reply)
					}
					c.WaitLeader()
					if reply := n.TransferLeadership(leader.ID); !reply.OK() {
						t.Errorf("handing back: %v", reply)
					}
				}
			}
		})
	}
}
