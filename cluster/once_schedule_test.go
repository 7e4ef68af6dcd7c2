package cluster_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
)

var seeds = flag.Int("seeds", 4, "how many random schedules of attempts and faults to run")

// However requests are repeated, through whichever nodes, among crashes,
// partitions and clocks that jump: with a key each counts once.
func TestRequestsCountOnceUnderRandomFaults(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			s := onceSchedule{seed: uint64(seed), keys: true}
			s.run(t)
			for _, wrong := range s.wrong() {
				t.Error(wrong)
			}
			repeated := s.attempts - len(s.requests)
			t.Logf("%d requests, %d attempts more, %d of them replayed", len(s.requests), repeated, s.replayed)
			if len(s.requests) < 100 || s.replayed < 100 {
				t.Error("the test shows little")
			}
		})
	}
}

// The judgement is worth something: without keys requests count several times.
func TestScheduleNoticesRepeatedRequests(t *testing.T) {
	s := onceSchedule{seed: 1}
	s.run(t)
	isTwice := func(q *onceRequest) bool { return q.executed > 1 }
	if !slices.ContainsFunc(s.requests, isTwice) || len(s.wrong()) == 0 {
		t.Error("requests without keys were repeated, and none counted twice")
	}
}

// onceRequest is what a client wants once: a shared counter increased by amount,
// and one of its own by 1, which tells afterwards how often it was executed.
type onceRequest struct {
	number int
	amount int64
	header map[string]string

	acknowledged map[uint64]bool // the revisions that replies named
	executed     int64           // at the end
}

func (q *onceRequest) own() string { return fmt.Sprint("own:", q.number) }

func (q *onceRequest) send(n *clustertest.Node) clustertest.Reply {
	return n.DoWith(q.header, http.MethodPost, "/v1/batch", fmt.Sprintf(
		`{"operations":[{"op":"increase","group":"sum","counters":{"n":%d}},{"op":"increase","group":%q,"counters":{"n":1}}]}`, q.amount, q.own()))
}

// onceSchedule is clients that repeat their requests while one fault follows another.
type onceSchedule struct {
	seed uint64
	keys bool // requests carry keys

	mu       sync.Mutex
	requests []*onceRequest
	attempts int
	replayed int
	sum      int64 // at the end
}

func (s *onceSchedule) run(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Stopped: true, Configure: s.configure}, func(t *testing.T, c *clustertest.Cluster) {
		var clocks []*wallClock
		for _, n := range c.Nodes() {
			clocks = append(clocks, giveClock(n))
		}
		random := rand.New(rand.NewPCG(s.seed, 1<<32))
		off := clocks[random.IntN(len(clocks))] // the one that is not to be trusted
		off.set(anyOffset(random))
		startAll(c)

		stop := make(chan struct{})
		var clients sync.WaitGroup
		for i := range 6 {
			random := rand.New(rand.NewPCG(s.seed, uint64(i)))
			clients.Go(func() { s.client(c, random, stop) })
		}
		for range 12 {
			s.fault(c, random)
			if random.IntN(2) == 0 {
				off.set(anyOffset(random))
			}
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
			c.Heal()
			for _, n := range c.Nodes() {
				if !n.Running() {
					n.Start()
				}
			}
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		}
		close(stop)
		clients.Wait()
		c.WaitAgree()
		s.finish(t, c)
	})
}

// configure gives every other seed a log so short that nodes need snapshots.
func (s *onceSchedule) configure(config *node.Config) {
	if s.seed%2 == 1 {
		withSmallLog(config)
	}
	config.RequestTimeout = 2 * time.Second // clients repeat more
}

// anyOffset is how wrong a clock is: not at all, or up to an hour either way.
func anyOffset(random *rand.Rand) time.Duration {
	return time.Duration(random.IntN(3)-1) * time.Duration(random.Int64N(int64(time.Hour)))
}

// client sends one request after the other until somebody acknowledges it, each
// attempt through any node, some through two at once, and some once more.
func (s *onceSchedule) client(c *clustertest.Cluster, random *rand.Rand, stop <-chan struct{}) {
	for {
		q := s.begin(random)
		for acknowledged := false; !acknowledged; {
			var copies sync.WaitGroup
			for range 1 + random.IntN(2) {
				n := c.Nodes()[random.IntN(len(c.Nodes()))]
				copies.Go(func() { s.note(q, q.send(n)) })
			}
			copies.Wait()
			s.mu.Lock()
			acknowledged = len(q.acknowledged) > 0
			s.mu.Unlock()
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(random.IntN(100)) * time.Millisecond):
			}
		}
		if earlier := s.any(random); random.IntN(3) == 0 {
			s.note(earlier, earlier.send(c.Nodes()[random.IntN(len(c.Nodes()))]))
		}
	}
}

// begin makes a request. Clients' clocks are up to 30 s off.
func (s *onceSchedule) begin(random *rand.Rand) *onceRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &onceRequest{number: len(s.requests), amount: 1 + random.Int64N(1000), acknowledged: map[uint64]bool{}}
	switch {
	case !s.keys:
	case random.IntN(4) == 0:
		q.header = map[string]string{"Idempotency-Key": fmt.Sprint("bare:", q.number)}
	default:
		skew := time.Duration(random.IntN(60_000)-30_000) * time.Millisecond
		q.header = map[string]string{"Idempotency-Key": newKey(time.Now().Add(skew))}
	}
	s.requests = append(s.requests, q)
	return q
}

func (s *onceSchedule) any(random *rand.Rand) *onceRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[random.IntN(len(s.requests))]
}

func (s *onceSchedule) note(q *onceRequest, reply clustertest.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if reply.OK() {
		q.acknowledged[reply.Revision] = true
	}
	if reply.Replayed {
		s.replayed++
	}
	if reply.Status == http.StatusUnprocessableEntity {
		q.acknowledged[0] = true // no honest key may be refused: wrong says so
	}
}

// fault lets something happen; the run mends it.
func (s *onceSchedule) fault(c *clustertest.Cluster, random *rand.Rand) {
	victim := c.Nodes()[random.IntN(len(c.Nodes()))]
	leader := c.Leader()
	if leader == nil {
		leader = victim
	}
	faults := []func(){
		victim.Crash,
		leader.Crash,
		victim.Restart,
		func() { powerOff(c) },
		func() { _ = leader.Close() },
		func() { c.Isolate(victim) },
		func() { c.Isolate(leader) },
		func() { c.Cut(leader, c.Others(leader)[0]) },
		func() { c.Cut(c.Others(leader)[0], leader) },
		func() { c.Reset(leader, c.Others(leader)[0]) },
		func() { victim.TransferLeadership("") },
	}
	faults[random.IntN(len(faults))]()
}

// finish repeats what nobody acknowledged, and reads what all came to.
func (s *onceSchedule) finish(t *testing.T, c *clustertest.Cluster) {
	n := c.Nodes()[0]
	for _, q := range s.requests {
		if s.keys && len(q.acknowledged) == 0 {
			reply := q.send(n)
			if s.note(q, reply); !reply.OK() {
				t.Errorf("the last attempt of %s: %v", q.own(), reply)
			}
		}
		q.executed = n.Read(q.own()).Counters["n"]
	}
	s.sum = n.Read("sum").Counters["n"]
	c.WaitAgree()
}

// wrong says what is wrong with the run.
func (s *onceSchedule) wrong() []string {
	var wrong []string
	var executed int64
	for _, q := range s.requests {
		executed += q.amount
		if q.executed != 1 || len(q.acknowledged) != 1 || q.acknowledged[0] {
			wrong = append(wrong, fmt.Sprintf("%s was executed %d times; replies named the revisions %v (0: a refusal of the key)", q.own(), q.executed, q.acknowledged))
		}
	}
	if s.sum != executed {
		wrong = append(wrong, fmt.Sprintf("the sum is %d after changes of %d", s.sum, executed))
	}
	return wrong
}
