package clustertest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

var seeds = flag.Int("seeds", 6, "how many random schedules of faults to run")

// Whatever happens to nodes, network and disks: what was acknowledged is there
// once, what was definitely refused is not, reads are linearizable, and all
// nodes end with the same state.
func TestAcknowledgedChangesSurviveRandomFaults(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			s := schedule{seed: uint64(seed), rounds: 12}
			s.run(t)
			for _, wrong := range s.history.verdict(s.final) {
				t.Error(wrong)
			}
			if result := s.history.linearizable(s.final); result != porcupine.Ok {
				t.Errorf("the history is not linearizable: %s", result)
			}
			changes, reads := s.history.count(acknowledged)
			lost, _ := s.history.count(unknown)
			t.Logf("%d changes and %d reads acknowledged, %d changes of unknown outcome; faults: %v", changes, reads, lost, s.faults)
			if changes < 100 || reads < 100 {
				t.Errorf("only %d changes and %d reads were acknowledged: the faults left nothing to judge", changes, reads)
			}
		})
	}
}

// The verdict is worth something: it notices disks that lie.
func TestScheduleNoticesLostChanges(t *testing.T) {
	s := schedule{seed: 1, rounds: 4, lying: true, only: "power loss"}
	s.run(t)
	if len(s.history.verdict(s.final)) == 0 {
		t.Error("disks that never sync lost nothing that was acknowledged")
	}
}

// ... and reads that are not linearizable.
func TestScheduleNoticesStaleReads(t *testing.T) {
	s := schedule{seed: 1, rounds: 6, stale: true, only: "isolate the leader"}
	s.run(t)
	if result := s.history.linearizable(s.final); result != porcupine.Illegal {
		t.Errorf("a history of stale reads is %s", result)
	}
}

// schedule is a run of clients on every node while one fault follows another.
type schedule struct {
	seed   uint64
	rounds int    // how many faults
	lying  bool   // the disks never sync the log
	stale  bool   // clients read with consistency=stale
	only   string // the one fault to choose, "" for all

	history ledger
	faults  map[string]int
	values  map[string]int64 // what the groups hold in the end
}

func (s *schedule) final(group string) int64 { return s.values[group] }

func (s *schedule) run(t *testing.T) {
	s.faults, s.values = map[string]int{}, map[string]int64{}
	clustertest.Run(t, clustertest.Options{Configure: s.configure, MonotonicLogs: s.seed%4 >= 2}, func(t *testing.T, c *clustertest.Cluster) {
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for i := range 2 * len(c.Nodes()) {
			random := rand.New(rand.NewPCG(s.seed, uint64(i)))
			n := c.Nodes()[i%len(c.Nodes())]
			clients.Go(func() { s.client(i, n, random, stop) })
		}
		s.spoilDisks(c)
		random := rand.New(rand.NewPCG(s.seed, 1<<32))
		for range s.rounds {
			s.fault(c, random)
			time.Sleep(between(random, 200*time.Millisecond, 2*time.Second))
			s.recover(c)
			time.Sleep(between(random, 0, 2*time.Second))
		}
		close(stop)
		clients.Wait()
		c.WaitAgree()
		for _, op := range s.history.operations {
			for _, group := range []string{op.own, op.counter} {
				for _, value := range c.Nodes()[0].Machine().Read(group, nil).Counters {
					s.values[group] = value.Value
				}
			}
		}
	})
}

// configure gives every other seed a log so short that nodes which were away
// need snapshots.
func (s *schedule) configure(config *node.Config) {
	if s.seed%2 == 1 && !s.lying {
		config.SnapshotInterval = 100 * time.Millisecond
		config.SnapshotThreshold = 20
		config.TrailingLogs = 10
	}
}

func (s *schedule) client(number int, n *clustertest.Node, random *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(between(random, 0, 60*time.Millisecond)):
		}
		op := s.history.begin(number, random.IntN(3) == 0)
		if !op.read {
			o, value := op.change(n)
			s.history.end(op, o, value)
			continue
		}
		read := n.Read
		if s.stale {
			read = n.ReadStale
		}
		if reply := read(op.counter); reply.OK() {
			s.history.end(op, acknowledged, reply.Counters["n"])
		} else {
			s.history.end(op, refused, 0)
		}
	}
}

// faults are what can happen, by name.
func faults() []fault {
	return []fault{
		{"crash", func(c *clustertest.Cluster, r *rand.Rand) { any1(c, r).Crash() }},
		{"crash the leader", func(c *clustertest.Cluster, r *rand.Rand) { leaderOr(c, r).Crash() }},
		{"crash and restart at once", func(c *clustertest.Cluster, r *rand.Rand) { any1(c, r).Restart() }},
		{"crash a majority", func(c *clustertest.Cluster, r *rand.Rand) {
			spared := any1(c, r)
			for _, n := range c.Others(spared) {
				n.Crash()
			}
		}},
		{"power loss", func(c *clustertest.Cluster, _ *rand.Rand) {
			for _, n := range c.Nodes() {
				n.Crash()
			}
		}},
		{"stop", func(c *clustertest.Cluster, r *rand.Rand) { _ = leaderOr(c, r).Close() }},
		{"isolate", func(c *clustertest.Cluster, r *rand.Rand) { c.Isolate(any1(c, r)) }},
		{"isolate the leader", func(c *clustertest.Cluster, r *rand.Rand) { c.Isolate(leaderOr(c, r)) }},
		{"isolate everybody", func(c *clustertest.Cluster, _ *rand.Rand) {
			for _, n := range c.Nodes() {
				c.Isolate(n)
			}
		}},
		{"cut one way", func(c *clustertest.Cluster, r *rand.Rand) {
			from := any1(c, r)
			c.Cut(from, any1(c, r, from))
		}},
		{"leader is not heard", func(c *clustertest.Cluster, r *rand.Rand) {
			leader := leaderOr(c, r)
			for _, n := range c.Others(leader) {
				c.Cut(leader, n)
			}
		}},
		{"leader does not hear", func(c *clustertest.Cluster, r *rand.Rand) {
			leader := leaderOr(c, r)
			for _, n := range c.Others(leader) {
				c.Cut(n, leader)
			}
		}},
		{"reset", func(c *clustertest.Cluster, r *rand.Rand) {
			n := any1(c, r)
			c.Reset(n, any1(c, r, n))
		}},
		{"slow network", func(c *clustertest.Cluster, r *rand.Rand) {
			from := any1(c, r)
			c.Delay(from, any1(c, r, from), between(r, time.Millisecond, 400*time.Millisecond))
		}},
		{"slow disk", func(c *clustertest.Cluster, r *rand.Rand) {
			any1(c, r).Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Delay: between(r, time.Millisecond, time.Second)})
		}},
		{"failing disk", func(c *clustertest.Cluster, r *rand.Rand) {
			any1(c, r).Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Err: errDisk, Done: r.IntN(2) == 0, Times: 1})
		}},
		{"hand over", func(c *clustertest.Cluster, r *rand.Rand) { any1(c, r).TransferLeadership("") }},
	}
}

type fault struct {
	name   string
	happen func(*clustertest.Cluster, *rand.Rand)
}

func (s *schedule) fault(c *clustertest.Cluster, random *rand.Rand) {
	all := faults()
	chosen := all[random.IntN(len(all))]
	for _, f := range all {
		if f.name == s.only {
			chosen = f
		}
	}
	s.faults[chosen.name]++
	chosen.happen(c, random)
}

// recover undoes all faults.
func (s *schedule) recover(c *clustertest.Cluster) {
	c.Heal()
	for _, n := range c.Nodes() {
		for _, other := range c.Nodes() {
			c.Delay(n, other, 0)
		}
		n.Disk().Heal()
		if !n.Running() {
			n.Start()
		}
	}
	s.spoilDisks(c)
}

func (s *schedule) spoilDisks(c *clustertest.Cluster) {
	for _, n := range c.Nodes() {
		if s.lying {
			n.Disk().Inject(storage.OpStoreLogs, memdisk.Fault{Unsynced: true})
		}
	}
}

// any1 returns some node other than those given.
func any1(c *clustertest.Cluster, r *rand.Rand, without ...*clustertest.Node) *clustertest.Node {
	nodes := c.Nodes()
	for {
		n := nodes[r.IntN(len(nodes))]
		if len(without) == 0 || n != without[0] {
			return n
		}
	}
}

// leaderOr returns the leader, or any node while there is none.
func leaderOr(c *clustertest.Cluster, r *rand.Rand) *clustertest.Node {
	if leader := c.Leader(); leader != nil {
		return leader
	}
	return any1(c, r)
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
