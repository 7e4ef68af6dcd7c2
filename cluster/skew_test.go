package cluster_test

import (
	"sync/atomic"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
)

// wallClock is a node's wall clock, which a test can set wrong.
type wallClock struct{ ahead atomic.Int64 }

func (w *wallClock) set(ahead time.Duration) { w.ahead.Store(int64(ahead)) }

func (w *wallClock) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// giveClock gives the node such a clock from its next start on.
func giveClock(n *clustertest.Node) *wallClock {
	w := &wallClock{}
	n.Configure(func(config *node.Config) { config.Clock = w.now })
	return w
}

// counting sends requests with honest keys and counts what must have come of them.
type counting struct {
	t    *testing.T
	c    *clustertest.Cluster
	want int64
}

// some sends requests with keys up to a minute old, each of them twice, and
// checks that log time is right.
func (s *counting) some() {
	s.t.Helper()
	nodes := s.c.Running()
	for i, age := range []time.Duration{0, time.Second, 30 * time.Second, time.Minute, 0, 0} {
		id := newKey(time.Now().Add(-age))
		first := attempt(nodes[i%len(nodes)], id, 1)
		if !first.OK() || first.Replayed {
			s.t.Fatalf("a key that is %v old: %v", age, first)
		}
		s.want++
		wantReplayed(s.t, attempt(nodes[(i+1)%len(nodes)], id, 1), first)
	}
	wantCount(s.t, s.c, s.want, s.want)
	logTime := time.UnixMilli(nodes[0].Machine().TimeMs())
	if off := time.Until(logTime); off.Abs() > time.Second {
		s.t.Errorf("log time is %v ahead", off)
	}
}

// One wrong clock, the leader's own, neither stops honest callers nor counts them twice.
func TestOneWrongClockHarmsNobody(t *testing.T) {
	for _, test := range []struct {
		name string
		at   []time.Duration // how far the leader's clock is ahead, one value after the other while it leads
	}{
		{"an hour ahead", []time.Duration{time.Hour}},
		{"an hour behind", []time.Duration{-time.Hour}},
		{"jumps", []time.Duration{0, time.Hour, 0, -time.Hour, 3 * time.Hour, -30 * time.Second, 24 * 365 * time.Hour, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Stopped: true}, func(t *testing.T, c *clustertest.Cluster) {
				n1 := c.Node("n1")
				clock := giveClock(n1)
				clock.set(test.at[0])
				startAll(c)
				if reply := n1.TransferLeadership(n1.ID); !reply.OK() {
					t.Fatal(reply)
				}
				s := counting{t: t, c: c}
				for _, ahead := range test.at {
					clock.set(ahead)
					s.some() // before it has asked the others again
					time.Sleep(3 * time.Second)
					s.some()
					c.WaitLeader().Crash() // another leads with the same time, and then n1 again
					c.WaitLeader()
					s.some()
					_ = n1.TryStart() // fails only if it was not n1 that crashed
					c.WaitAgree()
					if reply := n1.TransferLeadership(n1.ID); !reply.OK() {
						t.Fatal(reply)
					}
				}
			})
		})
	}
}

// After a loss of power the node with the wrong clock is back first and leads
// before the others have told it the time: an entry with its own time in the log
// would make all honest keys too old, for an hour.
func TestNodeWithAWrongClockLeadsFirst(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		for _, started := range []int{2, 3} {
			t.Run(ahead.String()+map[int]string{2: ", one node stays down", 3: ""}[started], func(t *testing.T) {
				clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
					s := counting{t: t, c: c}
					s.some()
					powerOff(c)
					n1 := c.Node("n1")
					giveClock(n1).set(ahead)
					n1.Start()
					time.Sleep(100 * time.Millisecond) // it has asked in vain
					for _, n := range c.Nodes()[1:started] {
						n.Configure(patient)
						n.Start()
					}
					if leader := c.WaitLeader(); leader != n1 {
						t.Fatalf("%s leads: the test shows nothing", leader.ID)
					}
					s.some()
					time.Sleep(2 * time.Minute)
					s.some()
				})
			})
		}
	}
}

// patient keeps a node from leading first.
func patient(config *node.Config) {
	config.HeartbeatTimeout, config.ElectionTimeout = 5*time.Second, 5*time.Second
}
