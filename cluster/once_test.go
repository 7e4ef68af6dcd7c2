package cluster_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tally/counter"
	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

// newKey makes a UUIDv7 of the given time.
func newKey(at time.Time) string {
	ms, random := uint64(at.UnixMilli()), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-7%03x-%04x-%012x", ms>>16, ms&0xffff, random>>52, 0x8000|random>>48&0x3fff, random&0xffffffffffff)
}

// attempt sends an increase under an idempotency key.
func attempt(n *clustertest.Node, id string, by int64) clustertest.Reply {
	return attemptAs(n, map[string]string{"Idempotency-Key": id}, by)
}

func attemptAs(n *clustertest.Node, header map[string]string, by int64) clustertest.Reply {
	return n.DoWith(header, http.MethodPost, "/v1/groups/"+group+"/increase", fmt.Sprintf(`{"counters":{%q:%d}}`, key, by))
}

// wantReplayed checks that a reply is that of an earlier attempt again.
func wantReplayed(t *testing.T, reply, first clustertest.Reply) {
	t.Helper()
	if !reply.Replayed || reply.Status != first.Status || reply.Code != first.Code || reply.Revision != first.Revision || !maps.Equal(reply.Counters, first.Counters) {
		t.Errorf("replayed %v with %v; the first attempt was answered with %v", reply.Replayed, reply, first)
	}
}

// wantKeyRefusal checks a refusal because of the key.
func wantKeyRefusal(t *testing.T, reply clustertest.Reply, code counter.Code) {
	t.Helper()
	if reply.Code != code || reply.Status != http.StatusUnprocessableEntity || !reply.Definite || reply.Replayed {
		t.Errorf("answered with %v, want %s", reply, code)
	}
	now := time.Now().UnixMilli()
	if off := now - reply.ServerTimeMs; off < -1000 || off > 1000 {
		t.Errorf("serverTimeMs is %d at %d: %s", reply.ServerTimeMs, now, reply.Body)
	}
}

// Whatever happens between an attempt and its retry, the second has the first's
// answer and changes nothing.
func TestRetryCountsOnce(t *testing.T) {
	for _, test := range []struct {
		name      string
		configure func(*node.Config)
		meanwhile func(t *testing.T, c *clustertest.Cluster)
	}{
		{"nothing happens", nil, func(*testing.T, *clustertest.Cluster) {}},
		{"the leader crashes", nil, func(_ *testing.T, c *clustertest.Cluster) {
			c.WaitLeader().Restart()
			c.WaitLeader()
		}},
		{"leadership is handed over", nil, func(t *testing.T, c *clustertest.Cluster) {
			target := c.Others(c.WaitLeader())[0]
			if reply := target.TransferLeadership(target.ID); !reply.OK() {
				t.Fatal(reply)
			}
		}},
		{"the leader is cut off", nil, func(_ *testing.T, c *clustertest.Cluster) {
			leader := c.WaitLeader()
			c.Isolate(leader)
			c.WaitLeader(c.Others(leader)...)
			c.Heal()
		}},
		{"all nodes are stopped and started", nil, func(t *testing.T, c *clustertest.Cluster) {
			for _, n := range c.Nodes() {
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
			startAll(c)
		}},
		{"all nodes lose power", nil, powerLoss},
		{"all nodes start from snapshots", withSmallLog, func(t *testing.T, c *clustertest.Cluster) {
			passSnapshots(t, c, c.Nodes()...)
			powerLoss(t, c)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Configure: test.configure}, func(t *testing.T, c *clustertest.Cluster) {
				timed, bare := newKey(time.Now()), "once-1"
				firstTimed, firstBare := attempt(c.Node("n1"), timed, 1), attempt(c.Node("n2"), bare, 10)
				if !firstTimed.OK() || !firstBare.OK() || firstTimed.Replayed || firstBare.Replayed {
					t.Fatalf("the first attempts: %v, %v", firstTimed, firstBare)
				}
				test.meanwhile(t, c)
				for _, n := range c.Nodes() {
					wantReplayed(t, attempt(n, timed, 1), firstTimed)
					wantReplayed(t, attempt(n, bare, 10), firstBare)
				}
				c.WaitAgree()
				wantCount(t, c, 11, 11)
			})
		})
	}
}

func startAll(c *clustertest.Cluster) {
	for _, n := range c.Nodes() {
		n.Start()
	}
	c.WaitLeader()
}

func powerOff(c *clustertest.Cluster) {
	for _, n := range c.Nodes() {
		n.Crash()
	}
}

func powerLoss(_ *testing.T, c *clustertest.Cluster) {
	powerOff(c)
	startAll(c)
}

// passSnapshots makes changes elsewhere until each of the nodes has taken two
// snapshots: what was applied before is in the second.
func passSnapshots(t *testing.T, c *clustertest.Cluster, nodes ...*clustertest.Node) {
	t.Helper()
	for _, n := range nodes {
		want := n.Disk().Calls(storage.OpCloseSnapshot) + 2
		c.WaitFor("snapshots on "+n.ID, func() bool {
			if reply := n.Increase("elsewhere", key, 1); !reply.OK() {
				t.Fatal(reply)
			}
			return n.Disk().Calls(storage.OpCloseSnapshot) >= want
		})
	}
}

// A node that was away for the attempt has it from a snapshot alone, and then leads.
func TestRetryCountsOnceOnALeaderThatWasGivenASnapshot(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Configure: withSmallLog}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		away := c.Others(leader)[0]
		c.Isolate(away)
		rest := c.Others(away)
		c.WaitLeader(rest...)
		id := newKey(time.Now())
		first := attempt(rest[1], id, 1)
		// Twice: a log is compacted after its snapshot is closed, and only what was
		// compacted before the last one is certainly gone.
		passSnapshots(t, c, rest...)
		passSnapshots(t, c, rest...)
		before := away.Disk().Calls(storage.OpCloseSnapshot)
		c.Heal()
		c.WaitAgree()
		if away.Disk().Calls(storage.OpCloseSnapshot) == before {
			t.Fatal("it caught up without a snapshot: the test shows nothing")
		}
		if reply := away.TransferLeadership(away.ID); !reply.OK() {
			t.Fatal(reply)
		}
		c.WaitLeader()
		for _, n := range c.Nodes() {
			wantReplayed(t, attempt(n, id, 1), first)
		}
		wantCount(t, c, 1, 1)
	})
}

// Copies of a request that arrive together on all nodes take one entry of the
// log; the others wait for it.
func TestCopiesAtOnceCountOnce(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		c.WaitAgree()
		leader.Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Delay: 100 * time.Millisecond})
		before := leader.Machine().AppliedIndex()
		id := newKey(time.Now())
		const copies = 4
		replies := make([]clustertest.Reply, copies*len(c.Nodes()))
		var sending sync.WaitGroup
		for i := range replies {
			sending.Go(func() { replies[i] = attempt(c.Nodes()[i%len(c.Nodes())], id, 1) })
		}
		sending.Wait()
		fresh := 0
		for _, reply := range replies {
			if !reply.Replayed {
				fresh++
			}
			if !reply.OK() || reply.Revision != before+1 || reply.Counters[key] != 1 {
				t.Errorf("answered with %v after revision %d", reply, before)
			}
		}
		if got := leader.Machine().AppliedIndex(); fresh != 1 || got != before+1 {
			t.Errorf("%d copies were executed, in %d entries; want one", fresh, got-before)
		}
		c.WaitAgree()
		wantCount(t, c, 1, 1)
	})
}

// The leader crashes while a forwarded attempt is in its hands. The node that
// the client asked repeats it, because it has a key, and learns what became of it.
func TestLeaderCrashesWithAnAttemptInFlight(t *testing.T) {
	for _, test := range []struct {
		name string
		// hold keeps the leader's answer from the node that was asked.
		hold func(c *clustertest.Cluster, leader, asked *clustertest.Node)
		// held says that the leader has the attempt, given its writes of the log before.
		held      func(leader *clustertest.Node, writes int) bool
		committed bool
	}{
		{
			"before anybody else has it",
			func(_ *clustertest.Cluster, leader, _ *clustertest.Node) {
				leader.Disk().Inject(storage.OpStoreLogs, hangs)
			},
			func(leader *clustertest.Node, writes int) bool {
				return leader.Disk().Calls(storage.OpStoreLogs) > writes
			},
			false,
		},
		{
			"after it was committed",
			func(c *clustertest.Cluster, leader, asked *clustertest.Node) { c.Cut(leader, asked) },
			func(leader *clustertest.Node, _ int) bool { return leader.ReadStale(group).Counters[key] == 1 },
			true,
		},
	} {
		for _, kind := range []string{"a UUIDv7", "a bare key", "no key"} {
			t.Run(test.name+", "+kind, func(t *testing.T) {
				clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
					leader := c.WaitLeader()
					asked := c.Others(leader)[0]
					header := map[string]map[string]string{
						"a UUIDv7":   {"Idempotency-Key": newKey(time.Now())},
						"a bare key": {"Idempotency-Key": "once-1"},
					}[kind]
					c.WaitAgree()
					writes := leader.Disk().Calls(storage.OpStoreLogs)
					test.hold(c, leader, asked)
					answered := make(chan clustertest.Reply, 1)
					go func() { answered <- attemptAs(asked, header, 1) }()
					c.WaitFor("the leader to have it", func() bool { return test.held(leader, writes) })
					leader.Crash()
					reply := <-answered
					switch {
					case header == nil:
						if reply.Code != counter.OutcomeUnknown {
							t.Errorf("without a key: %v; want an unknown outcome, or the test shows nothing", reply)
						}
					case !reply.OK() || reply.Counters[key] != 1 || reply.Replayed != test.committed:
						t.Errorf("answered with %v, replayed %v", reply, reply.Replayed)
					}
					c.Heal()
					leader.Disk().Heal()
					leader.Start()
					c.WaitAgree()
					if header != nil {
						wantCount(t, c, 1, 1)
					}
				})
			})
		}
	}
}

// A majority is gone, and the time over, before the attempt is settled: the
// caller is told how to learn what became of it.
func TestUnsettledAttemptIsToBeRepeated(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		id := newKey(time.Now())
		c.Isolate(leader)
		reply := attempt(leader, id, 1)
		if reply.Code != counter.OutcomeUnknown || reply.Definite || !strings.Contains(reply.Detail, "repeat the request with the same idempotency key") {
			t.Errorf("answered with %v", reply)
		}
		c.Heal()
		c.WaitAgree()
		for i, n := range c.Nodes() {
			if reply := attempt(n, id, 1); !reply.OK() || reply.Counters[key] != 1 || i > 0 && !reply.Replayed {
				t.Errorf("%s answers %v, replayed %v", n.ID, reply, reply.Replayed)
			}
		}
		wantCount(t, c, 1, 1)
	})
}

func TestRefusalIsReplayed(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		c.Node("n1").Set(group, key, math.MaxInt64)
		id := newKey(time.Now())
		first := attempt(c.Node("n1"), id, 1)
		if first.Code != counter.OutOfRange || first.Replayed {
			t.Fatalf("answered with %v", first)
		}
		c.Node("n1").Set(group, key, 0) // now there would be room
		c.WaitLeader().Restart()
		for _, n := range c.Nodes() {
			reply := attempt(n, id, 1)
			wantReplayed(t, reply, first)
			if reply.Detail != first.Detail {
				t.Errorf("it says %q, said %q", reply.Detail, first.Detail)
			}
		}
		wantCount(t, c, 0, 0)
	})
}

func TestKeyOfAnotherRequestIsRefused(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		for _, id := range []string{newKey(time.Now()), "once-1"} {
			mine := map[string]string{"Idempotency-Key": id}
			first := attempt(c.Node("n1"), id, 1)
			for name, other := range map[string]func(n *clustertest.Node) clustertest.Reply{
				"another amount": func(n *clustertest.Node) clustertest.Reply { return attempt(n, id, 2) },
				"another group": func(n *clustertest.Node) clustertest.Reply {
					return n.DoWith(mine, http.MethodPost, "/v1/groups/hall/increase", `{"counters":{"likes":1}}`)
				},
				"a batch of the same": func(n *clustertest.Node) clustertest.Reply {
					return n.DoWith(mine, http.MethodPost, "/v1/batch", `{"operations":[{"op":"increase","group":"live:1","counters":{"likes":1}}]}`)
				},
				"a delete": func(n *clustertest.Node) clustertest.Reply {
					return n.DoWith(mine, http.MethodDelete, "/v1/groups/live:1/counters", "")
				},
			} {
				t.Log(name)
				for _, n := range c.Nodes() {
					wantKeyRefusal(t, other(n), counter.IdempotencyKeyReused)
				}
			}
			wantReplayed(t, attempt(c.Node("n3"), id, 1), first)
		}
		wantCount(t, c, 2, 2)
	})
}

// A client whose clock is wrong is told the time, and can go on with it.
func TestKeysOutOfTimeAreRefused(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		mustIncrease(t, c.Node("n1"), 1)
		for _, off := range []time.Duration{-24 * time.Hour, -11 * time.Minute, 62 * time.Second, 24 * time.Hour} {
			for _, n := range c.Nodes() {
				reply := attempt(n, newKey(time.Now().Add(off)), 1)
				wantKeyRefusal(t, reply, counter.IdempotencyKeyExpired)
			}
		}
		for _, off := range []time.Duration{-9 * time.Minute, -time.Minute, 58 * time.Second} {
			for _, n := range c.Nodes() {
				if reply := attempt(n, newKey(time.Now().Add(off)), 1); !reply.OK() || reply.Replayed {
					t.Errorf("a key that is %v off: %v", off, reply)
				}
			}
		}
		time.Sleep(time.Minute) // nobody changes anything, and log time stands still
		refused := attempt(c.Node("n1"), newKey(time.Now().Add(-time.Hour)), 1)
		wantKeyRefusal(t, refused, counter.IdempotencyKeyExpired)
		if reply := attempt(c.Node("n1"), newKey(time.UnixMilli(refused.ServerTimeMs)), 1); !reply.OK() {
			t.Errorf("with the time it was told: %v", reply)
		}
		wantCount(t, c, 11, 11)
	})
}

// A retry that comes too late is not executed, although nothing is known of the first attempt any more.
func TestRetryAfterItsKeyIsForgotten(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		id := newKey(time.Now().Add(-10*time.Minute + 2*time.Second))
		if reply := attempt(c.Node("n1"), id, 1); !reply.OK() {
			t.Fatal(reply)
		}
		time.Sleep(3 * time.Second)
		mustIncrease(t, c.Node("n2"), 10)
		for _, n := range c.Nodes() {
			wantKeyRefusal(t, attempt(n, id, 1), counter.IdempotencyKeyExpired)
		}
		wantCount(t, c, 11, 11)
	})
}

func TestKeysAreScopedToTheCaller(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		for _, id := range []string{newKey(time.Now()), "once-1"} {
			first := map[string]clustertest.Reply{}
			for _, user := range []string{"ann", "bob", ""} {
				reply := attemptAs(c.Node("n1"), map[string]string{"Idempotency-Key": id, "X-Tally-User": user}, 1)
				if !reply.OK() || reply.Replayed {
					t.Errorf("the first attempt of %q: %v", user, reply)
				}
				first[user] = reply
			}
			for user := range first {
				wantReplayed(t, attemptAs(c.Node("n2"), map[string]string{"Idempotency-Key": id, "X-Tally-User": user}, 1), first[user])
			}
		}
		wantCount(t, c, 6, 6)
	})
}

func TestBatchUnderAKeyCountsOnce(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		const body = `{"operations":[
			{"op":"increase","group":"live:1","counters":{"likes":2,"views":3}},
			{"op":"set","group":"hall","counters":{"a":1,"b":2}},
			{"op":"delete","group":"hall","keys":["b","c"]},
			{"op":"decrease","group":"live:1","counters":{"likes":1}},
			{"op":"delete","group":"hall","all":true}]}`
		header := map[string]string{"Idempotency-Key": newKey(time.Now())}
		first := c.Node("n1").DoWith(header, http.MethodPost, "/v1/batch", body)
		if !first.OK() {
			t.Fatal(first)
		}
		c.WaitLeader().Restart()
		for _, n := range c.Nodes() {
			reply := n.DoWith(header, http.MethodPost, "/v1/batch", body)
			wantReplayed(t, reply, first)
			if string(reply.Body) != string(first.Body) {
				t.Errorf("%s answers %s, the first answer was %s", n.ID, reply.Body, first.Body)
			}
		}
		wantCount(t, c, 1, 1)
	})
}
