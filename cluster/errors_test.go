package cluster_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"tally/cluster"
	"tally/counter"
	"tally/fsm"
	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

func TestIsolatedFollowerNamesWhomToStart(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		n3 := c.Node("n3")
		c.Node("n1").TransferLeadership("n1")
		c.WaitAgree()
		c.Isolate(n3)
		c.WaitFor("n3 to miss its leader", func() bool { return n3.LeaderID() == "" })
		time.Sleep(5 * time.Second) // until then the others may have answered just now
		start := time.Now()
		reply := n3.Increase(group, key, 1)
		if reply.Code != counter.NoLeader || !reply.Definite || !strings.Contains(reply.Detail, "n3 sees 1 of 3 voters; start n1 or n2") {
			t.Errorf("n3 answers %v", reply)
		}
		if waited, want := time.Since(start), node.Default().RequestTimeout; waited != want {
			t.Errorf("it looked for a leader for %v, want %v", waited, want)
		}
		if reply := n3.ReadStale(group); !reply.OK() {
			t.Errorf("a stale read on n3: %v", reply)
		}
		c.Heal()
		c.WaitAgree()
		wantCount(t, c, 0, 0)
	})
}

// A leader that is cut off does not know what became of its entries.
func TestLeaderCutOffDuringAProposal(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		c.Isolate(leader)
		reply := leader.Increase(group, key, 1)
		if reply.Code != counter.OutcomeUnknown || reply.Definite {
			t.Errorf("the leader that is cut off answers %v", reply)
		}
		c.WaitLeader(c.Others(leader)...)
		mustIncrease(t, c.Others(leader)[0], 1)
		c.Heal()
		c.WaitAgree()
		wantCount(t, c, 1, 1) // the others never heard of the first
	})
}

// The request reaches the leader, the reply does not reach the follower.
func TestLostReplyOfAForwardedChange(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		follower := c.Others(leader)[0]
		mustIncrease(t, follower, 1)
		c.WaitAgree()
		c.Cut(leader, follower)
		reply := follower.Increase(group, key, 1)
		if reply.Code != counter.OutcomeUnknown || reply.Definite {
			t.Errorf("the follower answers %v", reply)
		}
		c.Heal()
		c.WaitAgree()
		wantCount(t, c, 2, 2) // it was counted, and not repeated
	})
}

// The connection to the leader breaks again and again while changes are on
// their way: each is counted once, or not at all if its outcome is unknown.
func TestResetsDuringForwardedChanges(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		follower := c.Others(leader)[0]
		for _, n := range c.Others(leader) {
			c.Delay(n, leader, 2*time.Millisecond)
		}
		tally := newTally(t)
		for i := range 50 {
			tally.send(follower)
			time.Sleep(time.Duration(i%5) * time.Millisecond) // sometimes before the request arrives, sometimes after
			c.Reset(follower, leader)
			tally.wait()
		}
		c.WaitAgree()
		if tally.unknown == 0 {
			t.Error("no outcome was unknown: the test shows nothing")
		}
		wantCount(t, c, tally.acknowledged, tally.acknowledged+tally.unknown)
	})
}

func TestOverloadIsRefused(t *testing.T) {
	few := func(config *node.Config) { config.ProposalsMax = 8 }
	clustertest.Run(t, clustertest.Options{Configure: few}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		leader.Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Delay: time.Second, Times: 3})
		tally := newTally(t)
		for range 60 {
			tally.send(leader)
			tally.send(c.Others(leader)[0])
		}
		tally.wait()
		c.WaitAgree()
		if tally.codes[counter.Overloaded] == 0 || tally.acknowledged == 0 {
			t.Errorf("%d acknowledged, refused: %v; want some of both", tally.acknowledged, tally.codes)
		}
		wantCount(t, c, tally.acknowledged, tally.acknowledged+tally.unknown)
	})
}

// What is forwarded to a node that does not lead is refused there, and goes no further.
func TestForwardedChangeIsNotForwardedAgain(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		a, b := c.Others(leader)[0], c.Others(leader)[1]
		refusal := forward(t, a, b, increaseCommand())
		if refusal == nil || refusal.Code != counter.NotLeader {
			t.Errorf("%s answers %v", b.ID, refusal)
		}
		c.WaitAgree()
		wantCount(t, c, 0, 0)
		if refusal := forward(t, a, leader, increaseCommand()); refusal != nil {
			t.Errorf("the leader answers %v", refusal)
		}
		c.WaitAgree()
		wantCount(t, c, 1, 1)
	})
}

// The leader trusts no other node's checks.
func TestBadForwardedCommandsAreRefused(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		from := c.Others(leader)[0]
		damaged := increaseCommand()
		damaged[len(damaged)/2] ^= 1
		tooMany := fsm.Command{Type: fsm.TypeMutation, Mutation: counter.Mutation{Operations: []counter.Operation{{Kind: counter.Increase, Group: ""}}}}
		opening := fsm.Command{Type: fsm.TypeTerm, ClusterID: "another"}
		member := fsm.Command{Type: fsm.TypeMember, Member: fsm.Member{ID: "n9", Incarnation: "x"}}
		for name, command := range map[string][]byte{
			"empty":         {},
			"noise":         []byte("GET / HTTP/1.1\r\n\r\n"),
			"damaged":       damaged,
			"a bad group":   tooMany.Append(nil),
			"a term":        opening.Append(nil),
			"a member":      member.Append(nil),
			"with a suffix": append(increaseCommand(), 0),
		} {
			refusal := forward(t, from, leader, command)
			if refusal == nil || !refusal.Definite() || refusal.Code.Info().Status != 400 {
				t.Errorf("%s: the leader answers %v", name, refusal)
			}
		}
		mustIncrease(t, from, 1)
		c.WaitAgree()
		wantCount(t, c, 1, 1)
	})
}

// increaseCommand is what a node forwards when a client increases by 1.
func increaseCommand() []byte {
	command := fsm.Command{Type: fsm.TypeMutation, Mutation: counter.Mutation{Operations: []counter.Operation{
		{Kind: counter.Increase, Group: group, Counters: []counter.Counter{{Key: key, Value: 1}}},
	}}}
	return command.Append(nil)
}

// forward sends a command from one node to another as if that one led.
func forward(t *testing.T, from, to *clustertest.Node, command []byte) *counter.Error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	reply, err := from.Process().Cluster().Port().Call(ctx, to.ID, cluster.MethodPropose, command)
	if err != nil {
		t.Fatal(err)
	}
	_, refusal, err := cluster.DecodeReply(reply)
	if err != nil {
		t.Fatal(err)
	}
	return refusal
}

// wantCount checks what all nodes hold in the end.
func wantCount(t *testing.T, c *clustertest.Cluster, least, most int64) {
	t.Helper()
	for _, n := range c.Running() {
		if reply := n.Read(group); !reply.OK() || reply.Counters[key] < least || reply.Counters[key] > most {
			t.Errorf("%s reads %v, want %d to %d", n.ID, reply, least, most)
		}
	}
}

// tally sends increases at once and counts what became of them.
type tally struct {
	t       *testing.T
	sending sync.WaitGroup

	mu                    sync.Mutex
	acknowledged, unknown int64
	codes                 map[counter.Code]int // of the definite refusals
}

func newTally(t *testing.T) *tally { return &tally{t: t, codes: map[counter.Code]int{}} }

func (c *tally) send(n *clustertest.Node) {
	c.sending.Go(func() {
		reply := n.Increase(group, key, 1)
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case reply.OK():
			c.acknowledged++
		case reply.Definite:
			c.codes[reply.Code]++
		default:
			c.unknown++
		}
	})
}

func (c *tally) wait() { c.sending.Wait() }
