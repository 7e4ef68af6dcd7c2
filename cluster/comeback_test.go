package cluster_test

import (
	"testing"
	"time"

	"tally/internal/clustertest"
)

// However long a node was away, it is sent what it lacks as soon as it is there.
// The library alone waits up to 10.24 s for its next attempt.
func TestNodeThatComesBackIsSentEntriesAtOnce(t *testing.T) {
	for _, test := range []struct {
		name       string
		away, back func(*clustertest.Cluster, *clustertest.Node)
	}{
		{"crashed", func(_ *clustertest.Cluster, n *clustertest.Node) { n.Crash() }, func(_ *clustertest.Cluster, n *clustertest.Node) { n.Start() }},
		{"cut off", func(c *clustertest.Cluster, n *clustertest.Node) { c.Isolate(n) }, func(c *clustertest.Cluster, _ *clustertest.Node) { c.Heal() }},
	} {
		for _, away := range []time.Duration{10 * time.Second, 33 * time.Second, 65 * time.Second, 5 * time.Minute} {
			clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
				leader := c.WaitLeader()
				c.WaitAgree()
				n := c.Others(leader)[0]
				test.away(c, n)
				time.Sleep(away)
				mustIncrease(t, leader, 1)
				test.back(c, n)
				begin := time.Now()
				c.WaitAgree()
				// A dial into a cut link may have begun just before, and ends with its time-out.
				if took := time.Since(begin); took > 3*time.Second {
					t.Errorf("%s for %v: it took %v to catch up", test.name, away, took)
				}
			})
		}
	}
}

// Who leads no more, or no longer counts a node as a member, stops sending to it.
// The library goes on as long as a message is under way.
func TestWhoIsNotSentToAnyMoreIsLeftAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(t *testing.T, leader, gone *clustertest.Node)
	}{
		{"another leads", func(t *testing.T, leader, _ *clustertest.Node) {
			if reply := leader.TransferLeadership(""); !reply.OK() {
				t.Fatal(reply)
			}
		}},
		{"removed", func(t *testing.T, leader, gone *clustertest.Node) {
			if reply := leader.RemoveMember(gone.ID); !reply.OK() {
				t.Fatal(reply)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
				leader := c.WaitLeader()
				c.WaitAgree()
				gone := c.Others(leader)[0]
				gone.Crash()
				mustIncrease(t, leader, 1)
				time.Sleep(5 * time.Second)
				test.end(t, leader, gone)
				time.Sleep(30 * time.Second) // the library's longest wait is 10.24 s
				before := c.Traffic(leader, gone).Refused
				time.Sleep(time.Minute)
				if n := c.Traffic(leader, gone).Refused - before; n > 90 { // members ask each other for their clocks once a second
					t.Errorf("%s has tried %d times in a minute to reach %s", leader.ID, n, gone.ID)
				}
			})
		})
	}
}
