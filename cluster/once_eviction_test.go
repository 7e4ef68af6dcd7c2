//go:build jepsen

package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"tally/counter"
	"tally/fsm"
	"tally/internal/clustertest"
	"tally/storage"
)

// These tests are of the test build, which remembers so few requests that a
// minute forgets several times over what it can hold.

// Requests that are forgotten are refused and never executed again, whatever the
// clocks of those who repeat them say, and whoever leads.
func TestForgottenRequestsAreNotExecutedAgain(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			s := evictionSchedule{seed: seed, lasts: 75 * time.Second}
			s.run(t)
			for _, wrong := range s.wrong() {
				t.Error(wrong)
			}
			t.Logf("%d requests, %d executed; of those repeated later %d were replayed, %d refused, %d of them for lack of room", len(s.requests), s.executed(), s.replayed, s.forgotten, s.crowdedOut)
			if s.executed() < 2*fsm.IdempotencyEntriesMax || s.replayed < 100 || s.crowdedOut < 100 {
				t.Error("the test shows little")
			}
		})
	}
}

// The judgement is worth something: keys that carry no time are forgotten in the
// order of the log, and a request under one that comes late is executed again.
func TestEvictionScheduleNoticesLogOrder(t *testing.T) {
	s := evictionSchedule{seed: 1, lasts: 24 * time.Second, bare: true}
	s.run(t)
	if len(s.wrong()) == 0 {
		t.Error("requests were forgotten in the order of the log, and none counted twice")
	}
}

// evictionSchedule is clients at the full rate of the table, each with a clock
// that is wrong in its own way, while leaders change and a node needs a snapshot.
type evictionSchedule struct {
	seed  uint64
	lasts time.Duration // about
	bare  bool          // keys carry no time

	mu         sync.Mutex
	requests   []*evictedRequest
	replayed   int
	forgotten  int   // refusals of requests that were acknowledged before
	crowdedOut int   // those that are not old enough to be forgotten for their age
	sum        int64 // at the end
}

// evictedRequest is one increase of a shared counter and of one of its own.
type evictedRequest struct {
	number int
	amount int64
	header map[string]string
	time   time.Time // of the key

	revision uint64 // of its acknowledgement, 0 if there was none
	unknown  bool   // an attempt ended without an answer
	expired  bool   // an attempt was refused for its key
	wrong    string // what no reply may be
	executed int64  // at the end
}

func (q *evictedRequest) own() string { return fmt.Sprint("own:", q.number) }

func (q *evictedRequest) send(n *clustertest.Node) clustertest.Reply {
	return n.DoWith(q.header, http.MethodPost, "/v1/batch", fmt.Sprintf(
		`{"operations":[{"op":"increase","group":"sum","counters":{"n":%d}},{"op":"increase","group":%q,"counters":{"n":1}}]}`, q.amount, q.own()))
}

const (
	evictionClients = 13
	skewMax         = 60 * time.Second
)

func (s *evictionSchedule) run(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Configure: withSmallLog, MonotonicLogs: s.seed%2 == 1}, func(t *testing.T, c *clustertest.Cluster) {
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for i := range evictionClients {
			random := rand.New(rand.NewPCG(s.seed, uint64(i)))
			skew := 2*skewMax*time.Duration(i)/(evictionClients-1) - skewMax
			clients.Go(func() { s.client(c, random, skew, stop) })
		}
		s.faults(t, c, rand.New(rand.NewPCG(s.seed, 1<<32)))
		close(stop)
		clients.Wait()
		c.WaitAgree() // on the table and its mark too: they are in the state hash
		s.finish(c)
	})
}

// faults changes leaders, makes a node need a snapshot, and takes the power.
func (s *evictionSchedule) faults(t *testing.T, c *clustertest.Cluster, random *rand.Rand) {
	pause := func() { time.Sleep(s.lasts/6 + time.Duration(random.IntN(1000))*time.Millisecond) }
	pause()
	c.WaitLeader().TransferLeadership("")
	pause()
	leader := c.WaitLeader()
	leader.Crash()
	pause()
	leader.Start()
	away := c.Others(c.WaitLeader())[0]
	installed := away.Disk().Calls(storage.OpCloseSnapshot)
	c.Isolate(away)
	pause()
	c.Heal()
	c.WaitFor("a snapshot on the node that was away", func() bool { return away.Disk().Calls(storage.OpCloseSnapshot) > installed })
	pause()
	c.WaitLeader().Crash()
	powerOff(c)
	startAll(c)
	pause()
}

// client sends one request after the other, each until it is settled, and now
// and then one of its old ones again.
func (s *evictionSchedule) client(c *clustertest.Cluster, random *rand.Rand, skew time.Duration, stop <-chan struct{}) {
	var mine []*evictedRequest
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(40+random.IntN(40)) * time.Millisecond):
		}
		q := s.begin(random, skew)
		mine = append(mine, q)
		for !s.attempt(q, c.Nodes()[random.IntN(len(c.Nodes()))]) {
			time.Sleep(50 * time.Millisecond)
		}
		if random.IntN(2) == 0 {
			// Of young ones rather than of old ones.
			age := random.IntN(1 + random.IntN(len(mine)))
			s.attempt(mine[len(mine)-1-age], c.Nodes()[random.IntN(len(c.Nodes()))])
		}
	}
}

func (s *evictionSchedule) begin(random *rand.Rand, skew time.Duration) *evictedRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &evictedRequest{number: len(s.requests), amount: 1 + random.Int64N(1000), time: time.Now().Add(skew)}
	key := newKey(q.time)
	if s.bare {
		key = fmt.Sprint("bare:", q.number)
	}
	q.header = map[string]string{"Idempotency-Key": key}
	s.requests = append(s.requests, q)
	return q
}

// attempt sends the request once and holds the reply against all earlier ones.
// It says whether the request is settled.
func (s *evictionSchedule) attempt(q *evictedRequest, n *clustertest.Node) bool {
	reply := q.send(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case reply.OK():
		if reply.Replayed {
			s.replayed++
		}
		if q.expired || q.revision != 0 && q.revision != reply.Revision {
			q.wrong = fmt.Sprintf("it was executed at revision %d, refused for its key: %v, and then: %v", q.revision, q.expired, reply)
		}
		q.revision = reply.Revision
		return true
	case reply.Code == counter.IdempotencyKeyExpired:
		if q.revision != 0 {
			s.forgotten++
		}
		if q.revision != 0 && time.Since(q.time).Milliseconds() < fsm.IdempotencyAgeMaxMs {
			s.crowdedOut++
		}
		q.expired = true
		return true
	case !reply.Definite:
		q.unknown = true
	}
	return false
}

// finish reads what all came to.
func (s *evictionSchedule) finish(c *clustertest.Cluster) {
	read := func(group string) (value int64) {
		for _, one := range c.Nodes()[0].Machine().Read(group, nil).Counters {
			value = one.Value
		}
		return value
	}
	for _, q := range s.requests {
		q.executed = read(q.own())
	}
	s.sum = read("sum")
}

func (s *evictionSchedule) executed() (requests int) {
	for _, q := range s.requests {
		requests += int(min(q.executed, 1))
	}
	return requests
}

// wrong says what is wrong with the run.
func (s *evictionSchedule) wrong() []string {
	var wrong []string
	var sum int64
	for _, q := range s.requests {
		sum += q.executed * q.amount
		switch {
		case q.wrong != "":
			wrong = append(wrong, q.own()+": "+q.wrong)
		case q.executed > 1:
			wrong = append(wrong, fmt.Sprintf("%s was executed %d times", q.own(), q.executed))
		case q.executed == 0 && q.revision != 0:
			wrong = append(wrong, fmt.Sprintf("%s was acknowledged at revision %d and is not there", q.own(), q.revision))
		case q.executed == 1 && q.revision == 0 && !q.unknown:
			wrong = append(wrong, q.own()+" was refused and executed")
		}
	}
	if s.sum != sum {
		wrong = append(wrong, fmt.Sprintf("the sum is %d after changes of %d", s.sum, sum))
	}
	return wrong
}
