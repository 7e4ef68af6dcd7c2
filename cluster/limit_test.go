package cluster_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
	"tally/internal/clustertest"
	"tally/node"
	"tally/ratelimit"
)

// The figures of a cluster that is told nothing else.
const (
	callsMax    = ratelimit.DefaultCallsMax
	callsWindow = ratelimit.DefaultWindow
)

// increaseAs is one mutation of a user.
func increaseAs(n *clustertest.Node, user string) clustertest.Reply {
	return attemptAs(n, map[string]string{"X-Tally-User": user}, 1)
}

func readAs(n *clustertest.Node, user, query string) clustertest.Reply {
	return n.DoWith(map[string]string{"X-Tally-User": user}, http.MethodGet, "/v1/groups/"+group+"/counters"+query, "")
}

// wantAdmitted checks a reply to a call that left so many.
func wantAdmitted(t *testing.T, reply clustertest.Reply, limit string, remaining int) {
	t.Helper()
	if !reply.OK() {
		t.Fatalf("with %d left: %v", remaining+1, reply)
	}
	wantQuota(t, reply, limit, remaining)
}

func wantRefused(t *testing.T, reply clustertest.Reply, limit string) {
	t.Helper()
	if reply.Status != http.StatusTooManyRequests || reply.Code != counter.RateLimited || !reply.Definite {
		t.Fatalf("over the limit: %v", reply)
	}
	wait, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	if err != nil || wait < 1 || time.Duration(wait)*time.Second > callsWindow {
		t.Errorf("Retry-After: %s", reply.Header.Get("Retry-After"))
	}
	wantQuota(t, reply, limit, 0)
}

// wantQuota checks the header fields of a call that was counted; without a limit there must be none.
func wantQuota(t *testing.T, reply clustertest.Reply, limit string, remaining int) {
	t.Helper()
	policy, field := reply.Header.Get("RateLimit-Policy"), reply.Header.Get("RateLimit")
	if limit == "" {
		if policy != "" || field != "" {
			t.Errorf("RateLimit-Policy: %s, RateLimit: %s of a call that was not counted", policy, field)
		}
		return
	}
	var seconds int
	if _, err := fmt.Sscanf(field, fmt.Sprintf(`"%s";r=%d;t=%%d`, limit, remaining), &seconds); err != nil || seconds < 1 || seconds > 5 {
		t.Errorf("RateLimit: %s, want %d left", field, remaining)
	}
	if want := fmt.Sprintf(`"%s";q=%d;w=%d`, limit, callsMax, int(callsWindow.Seconds())); policy != want {
		t.Errorf("RateLimit-Policy: %s, want %s", policy, want)
	}
}

// spend makes all calls that a user has, one after the other on each of the nodes.
func spend(t *testing.T, user string, nodes ...*clustertest.Node) {
	t.Helper()
	for i := range callsMax {
		wantAdmitted(t, increaseAs(nodes[i%len(nodes)], user), "mutations", callsMax-1-i)
	}
}

func TestMutationsOnAllNodesCountTogether(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		begin := time.Now()
		spend(t, "ann", c.Nodes()...)
		before := c.WaitLeader().Machine().AppliedIndex()
		for _, n := range c.Nodes() {
			wantRefused(t, increaseAs(n, "ann"), "mutations")
		}
		if after := c.WaitLeader().Machine().AppliedIndex(); after != before {
			t.Errorf("refused calls took %d entries of the log", after-before)
		}
		wantAdmitted(t, increaseAs(c.Node("n1"), "bob"), "mutations", callsMax-1)

		// Room comes back as calls leave the window, when Retry-After said.
		time.Sleep(time.Until(begin.Add(callsWindow - time.Second)))
		reply := increaseAs(c.Node("n2"), "ann")
		wantRefused(t, reply, "mutations")
		wait, _ := strconv.Atoi(reply.Header.Get("Retry-After"))
		time.Sleep(time.Duration(wait) * time.Second)
		if reply := increaseAs(c.Node("n3"), "ann"); !reply.OK() {
			t.Errorf("%d s after a refusal that said so: %v", wait, reply)
		}
	})
}

func TestABatchIsOneCall(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		const body = `{"operations":[{"op":"increase","group":"a","counters":{"x":1}},{"op":"increase","group":"b","counters":{"x":1}},{"op":"delete","group":"a","all":true}]}`
		for i := range callsMax {
			reply := c.Nodes()[i%3].DoWith(map[string]string{"X-Tally-User": "ann"}, http.MethodPost, "/v1/batch", body)
			wantAdmitted(t, reply, "mutations", callsMax-1-i)
		}
		wantRefused(t, increaseAs(c.Node("n1"), "ann"), "mutations")
	})
}

// What the state machine refuses took an entry of the log, and is counted.
func TestRefusalsOfTheStateMachineCount(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		header := map[string]string{"X-Tally-User": "ann", "If-Match": `"77"`}
		for i := range callsMax {
			reply := c.Nodes()[i%3].DoWith(header, http.MethodPut, "/v1/groups/"+group+"/counters", `{"counters":{"a":1}}`)
			if reply.Code != counter.RevisionMismatch {
				t.Fatal(reply)
			}
			wantQuota(t, reply, "mutations", callsMax-1-i)
		}
		c.WaitLeader().Crash()
		c.WaitLeader()
		wantRefused(t, increaseAs(c.Running()[0], "ann"), "mutations")
	})
}

// However the leader goes, its successor knows the calls of the window.
func TestNoSecondHelpingFromANewLeader(t *testing.T) {
	for name, end := range map[string]func(*clustertest.Cluster, *clustertest.Node){
		"crash":   func(_ *clustertest.Cluster, leader *clustertest.Node) { leader.Crash() },
		"stop":    func(_ *clustertest.Cluster, leader *clustertest.Node) { _ = leader.Close() },
		"cut off": func(c *clustertest.Cluster, leader *clustertest.Node) { c.Isolate(leader) },
		"hand over": func(c *clustertest.Cluster, leader *clustertest.Node) {
			leader.TransferLeadership(c.Others(leader)[0].ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
				begin := time.Now()
				leader := c.WaitLeader()
				spend(t, "ann", c.Nodes()...)
				end(c, leader)
				successor := c.WaitLeader(c.Others(leader)...)
				wantRefused(t, increaseAs(successor, "ann"), "mutations")
				for _, n := range c.Others(leader) {
					wantRefused(t, increaseAs(n, "ann"), "mutations")
				}
				if time.Since(begin) >= callsWindow {
					t.Fatal("it took longer than the window: the test shows nothing")
				}
				time.Sleep(time.Until(begin.Add(callsWindow + time.Second)))
				if reply := increaseAs(successor, "ann"); !reply.OK() {
					t.Errorf("after the window: %v", reply)
				}
			})
		})
	}
}

// All nodes lose power and replay their log: the window is in it.
func TestNoSecondHelpingAfterARestart(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		begin := time.Now()
		spend(t, "ann", c.Nodes()...)
		powerLoss(t, c)
		wantRefused(t, increaseAs(c.Node("n1"), "ann"), "mutations")
		if time.Since(begin) >= callsWindow {
			t.Fatal("it took longer than the window: the test shows nothing")
		}
	})
}

// Snapshots hold no calls: a node that leads soon after it began from one knows
// only what came later. That much is documented.
func TestSnapshotsHoldNoCalls(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Configure: withSmallLog}, func(t *testing.T, c *clustertest.Cluster) {
		begin := time.Now()
		spend(t, "ann", c.Nodes()...)
		passSnapshots(t, c, c.Nodes()...)
		passSnapshots(t, c, c.Nodes()...)
		powerLoss(t, c)
		wantAdmitted(t, increaseAs(c.Node("n1"), "ann"), "mutations", callsMax-1)
		if time.Since(begin) >= callsWindow {
			t.Fatal("it took longer than the window: the test shows nothing")
		}
	})
}

// What a leader admitted and lost with its leadership counts no longer, also
// when that same node leads again.
func TestLostCallsAreGivenBack(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		wantAdmitted(t, increaseAs(leader, "ann"), "mutations", callsMax-1)
		begin := time.Now()
		c.Isolate(leader)
		replies := make(chan clustertest.Reply, callsMax)
		lost := 0
		for _, wave := range []int{1, 1, 2, 4, 8} { // as many as all before, so that none waits for those
			for range wave {
				go func() { replies <- increaseAs(leader, "ann") }()
			}
			lost += wave
			time.Sleep(time.Millisecond)
		}
		for range lost {
			if reply := <-replies; reply.Code != counter.OutcomeUnknown {
				t.Errorf("behind a partition: %v", reply)
			}
		}
		c.WaitLeader(c.Others(leader)...)
		c.Heal()
		c.WaitAgree()
		if reply := leader.TransferLeadership(leader.ID); !reply.OK() {
			t.Fatal(reply)
		}
		wantAdmitted(t, increaseAs(leader, "ann"), "mutations", callsMax-2)
		if time.Since(begin) >= callsWindow {
			t.Fatal("it took longer than the window: the test shows nothing")
		}
	})
}

// What the log certainly did not take is not counted, however often the node
// tries again for its caller.
func TestRefusedProposalsAreGivenBack(t *testing.T) {
	brief := func(config *node.Config) { config.RequestTimeout = time.Second } // the leader soon ends itself
	clustertest.Run(t, clustertest.Options{Configure: brief}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		wantAdmitted(t, increaseAs(leader, "ann"), "mutations", callsMax-1)
		if !leader.Process().Cluster().LeaveTransferFlag() {
			t.Fatal("the library has no such flag any more: find another way to be refused")
		}
		// The node tries every 20 ms for a second.
		if reply := increaseAs(leader, "ann"); reply.OK() || reply.Code == counter.RateLimited {
			t.Errorf("a change that the library does not take: %v", reply)
		}
	})
}

func TestARetryIsNotCountedAgain(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		header := map[string]string{"X-Tally-User": "ann", "Idempotency-Key": newKey(time.Now())}
		first := attemptAs(c.Node("n1"), header, 1)
		wantAdmitted(t, first, "mutations", callsMax-1)
		retry := func() {
			for _, n := range c.Running() {
				reply := attemptAs(n, header, 1)
				wantReplayed(t, reply, first)
				wantQuota(t, reply, "", 0)
			}
		}
		retry()
		for i := range callsMax - 1 {
			wantAdmitted(t, increaseAs(c.Node("n2"), "ann"), "mutations", callsMax-2-i)
		}
		wantRefused(t, increaseAs(c.Node("n3"), "ann"), "mutations")
		retry() // who is at the limit is told what became of earlier calls
		c.WaitLeader().Crash()
		c.WaitLeader()
		retry()

		// A refused attempt used up nothing under its key.
		header["Idempotency-Key"] = newKey(time.Now())
		wantRefused(t, attemptAs(c.Running()[0], header, 1), "mutations")
		time.Sleep(callsWindow)
		if reply := attemptAs(c.Running()[0], header, 1); !reply.OK() || reply.Replayed {
			t.Errorf("the attempt after a refusal: %v", reply)
		}
	})
}

func TestReadsOnAllNodesCountTogether(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		c.WaitAgree()
		for i := range callsMax {
			wantAdmitted(t, readAs(c.Nodes()[i%3], "ann", ""), "reads", callsMax-1-i)
		}
		for _, n := range c.Nodes() {
			wantRefused(t, readAs(n, "ann", ""), "reads")
		}
		wantAdmitted(t, readAs(c.Node("n1"), "bob", ""), "reads", callsMax-1)
		wantAdmitted(t, increaseAs(c.Node("n1"), "ann"), "mutations", callsMax-1) // counted apart

		// A node counts its own stale reads.
		for i := range callsMax {
			for _, n := range c.Nodes() {
				wantAdmitted(t, readAs(n, "ann", "?consistency=stale"), "stale-reads", callsMax-1-i)
			}
		}
		wantRefused(t, readAs(c.Node("n2"), "ann", "?consistency=stale"), "stale-reads")
		time.Sleep(callsWindow)
		wantAdmitted(t, readAs(c.Node("n3"), "ann", ""), "reads", callsMax-1)
		wantAdmitted(t, readAs(c.Node("n2"), "ann", "?consistency=stale"), "stale-reads", callsMax-1)
	})
}

// Readers who arrive together share a round, and each is counted.
func TestReadsAtOnceAreCountedEach(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		c.WaitAgree()
		const readers = 60
		statuses := make(chan int, readers)
		for i := range readers {
			go func() { statuses <- readAs(c.Nodes()[i%3], "ann", "").Status }()
		}
		got := map[int]int{}
		for range readers {
			got[<-statuses]++
		}
		if got[http.StatusOK] != callsMax || got[http.StatusTooManyRequests] != readers-callsMax {
			t.Errorf("%d readers at once: %v", readers, got)
		}
	})
}

func TestWhatIsNotCounted(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		header := map[string]string{"X-Tally-User": "ann"}
		for i := range 2 * callsMax {
			n := c.Nodes()[i%3]
			for name, reply := range map[string]clustertest.Reply{
				"an anonymous change": n.Increase(group, key, 1),
				"an anonymous read":   n.Read(group),
				"a watch":             n.DoWith(header, http.MethodGet, "/v1/groups/"+group+"/watch?wait=0s", ""),
				"a listing":           n.DoWith(header, http.MethodGet, "/v1/groups", ""),
			} {
				if !reply.OK() {
					t.Fatalf("%s: %v", name, reply)
				}
				wantQuota(t, reply, "", 0)
			}
			bad := n.DoWith(header, http.MethodPut, "/v1/groups/"+group+"/counters", `{"counters":{"a":1.5}}`)
			if bad.Code != counter.InvalidValue {
				t.Fatal(bad)
			}
		}
		wantAdmitted(t, increaseAs(c.Node("n1"), "ann"), "mutations", callsMax-1)
		wantAdmitted(t, readAs(c.Node("n1"), "ann", ""), "reads", callsMax-1)
	})
}

func TestLimitsCanBeSwitchedOff(t *testing.T) {
	off := func(config *node.Config) { config.UserMutationsMax, config.UserReadsMax = 0, 0 }
	clustertest.Run(t, clustertest.Options{Configure: off}, func(t *testing.T, c *clustertest.Cluster) {
		for i := range 3 * callsMax {
			for _, reply := range []clustertest.Reply{
				increaseAs(c.Nodes()[i%3], "ann"), readAs(c.Nodes()[i%3], "ann", ""), readAs(c.Nodes()[i%3], "ann", "?consistency=stale"),
			} {
				if !reply.OK() {
					t.Fatal(reply)
				}
				wantQuota(t, reply, "", 0)
			}
		}
	})
}

// One wrong clock, the leader's own, neither keeps a window from passing nor
// opens it early.
func TestLimitSlidesWithAWrongClock(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Stopped: true}, func(t *testing.T, c *clustertest.Cluster) {
		n1 := c.Node("n1")
		clock := giveClock(n1)
		startAll(c)
		for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, 0, 24 * time.Hour, -24 * time.Hour} {
			if reply := n1.TransferLeadership(n1.ID); !reply.OK() {
				t.Fatal(reply)
			}
			begin := time.Now()
			spend(t, "ann", c.Nodes()...)
			clock.set(ahead)
			time.Sleep(3 * time.Second) // the clocks are exchanged meanwhile
			wantRefused(t, increaseAs(n1, "ann"), "mutations")
			c.WaitLeader().Restart()
			c.WaitLeader()
			wantRefused(t, increaseAs(n1, "ann"), "mutations")
			if time.Since(begin) >= callsWindow {
				t.Fatal("it took longer than the window: the test shows nothing")
			}
			time.Sleep(time.Until(begin.Add(callsWindow + time.Second)))
			wantAdmitted(t, increaseAs(n1, "ann"), "mutations", callsMax-1)
			time.Sleep(callsWindow)
		}
	})
}

// Nobody remembers users who have been idle.
func TestIdleUsersAreForgotten(t *testing.T) {
	registry := prometheus.NewRegistry()
	clustertest.Run(t, clustertest.Options{Nodes: 1, Configure: func(config *node.Config) { config.Metrics = registry }}, func(t *testing.T, c *clustertest.Cluster) {
		n := c.Node("n1")
		const users = 300
		for i := range users {
			user := fmt.Sprint("user", i)
			for _, reply := range []clustertest.Reply{increaseAs(n, user), readAs(n, user, ""), readAs(n, user, "?consistency=stale")} {
				if !reply.OK() {
					t.Fatal(reply)
				}
			}
		}
		for _, limit := range []string{"mutations", "reads", "stale-reads"} {
			if got := gauge(t, registry, "tally_ratelimit_users", limit); got != users {
				t.Errorf("%v users are remembered by the limit of %s, want %d", got, limit, users)
			}
		}
		time.Sleep(2 * callsWindow)
		for range users { // others call meanwhile, each but rarely
			time.Sleep(callsWindow / callsMax)
			for _, reply := range []clustertest.Reply{increaseAs(n, "ann"), readAs(n, "ann", ""), readAs(n, "ann", "?consistency=stale")} {
				if !reply.OK() {
					t.Fatal(reply)
				}
			}
		}
		for _, limit := range []string{"mutations", "reads", "stale-reads"} {
			if got := gauge(t, registry, "tally_ratelimit_users", limit); got != 1 {
				t.Errorf("%v users are remembered by the limit of %s, want ann alone", got, limit)
			}
		}
	})
}

// gauge returns a figure of the metric with the label limit.
func gauge(t *testing.T, registry *prometheus.Registry, name, limit string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && metric.GetLabel()[0].GetValue() == limit {
				return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, limit)
	return 0
}

func TestRefusedCallsAreInTheMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	clustertest.Run(t, clustertest.Options{Nodes: 1, Configure: func(config *node.Config) { config.Metrics = registry }}, func(t *testing.T, c *clustertest.Cluster) {
		n := c.Node("n1")
		for range callsMax + 3 {
			increaseAs(n, "ann")
			readAs(n, "ann", "")
			readAs(n, "ann", "?consistency=stale")
		}
		for _, limit := range []string{"mutations", "reads", "stale-reads"} {
			if got := gauge(t, registry, "tally_cluster_rate_limited_total", limit); got != 3 {
				t.Errorf("%v calls were refused by the limit of %s, want 3", got, limit)
			}
		}
	})
}
