package workload

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"tally/jepsen-lite/history"
)

// retry sends each change one to four times under one idempotency key: the first
// attempts at the same time through different nodes, the others after them, and
// some once more much later, when the key may have been forgotten. Each attempt
// is an invocation of its own.
type retry struct {
	suite *Suite

	mu   sync.Mutex
	past []sent // changes of the last retryAgeMax, oldest first
}

// sent is a change that may be sent again.
type sent struct {
	at time.Time
	op history.Op
}

const (
	retryAttemptsMax = 4
	// retryAgeMax is longer than the nodes of a test build remember requests.
	retryAgeMax = 20 * time.Second
	// retryClockMax is how wrong the clocks of clients are at most. It is less than
	// what the checkers allow for when they ask what may be forgotten.
	retryClockMax = 4 * time.Second
)

func newRetry(s *Suite) *retry { return &retry{suite: s} }

func (w *retry) turn(ctx context.Context, c *client) {
	if c.random.IntN(10) == 0 {
		if op, found := w.remembered(c.random); found {
			c.do(ctx, op)
			return
		}
	}
	attempts := 1 + c.random.IntN(retryAttemptsMax)
	op := w.change(c, w.suite.groups.take(c.lane, attempts)[0])
	together := 1 + c.random.IntN(attempts)
	var flying sync.WaitGroup
	for i := range attempts {
		if i < together {
			other := w.other(c)
			flying.Go(func() { other.do(ctx, op) })
			continue
		}
		flying.Wait()
		w.other(c).do(ctx, op)
	}
	flying.Wait()
	w.remember(op)
}

// other returns a client of any node, with a process of its own.
func (w *retry) other(c *client) *client {
	nodes := w.suite.config.Nodes()
	node := c.node
	if len(nodes) > 0 {
		node = nodes[c.random.IntN(len(nodes))]
	}
	other := *c
	other.node, other.process = node, c.recorder.NewProcess()
	other.random = rand.New(rand.NewPCG(c.random.Uint64(), 0))
	return &other
}

// change returns a change with a key of its own: mostly a UUIDv7, which counts
// once whenever it is sent, else a bare one, which does while it is remembered.
// The clocks of some clients are wrong: requests are forgotten in the order of
// their keys' times, which must not be taken for that of the log.
func (w *retry) change(c *client, group string) history.Op {
	now := time.Now()
	if c.random.IntN(2) == 0 {
		now = now.Add(time.Duration(c.random.Int64N(int64(2*retryClockMax))) - retryClockMax)
	}
	key := uuidv7(now, c.random)
	if c.random.IntN(5) == 0 {
		key = "bare-" + key
	}
	part := history.Part{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: "k", Value: int64(1 + c.random.IntN(9))}}}
	if c.random.IntN(4) == 0 {
		part.Kind = history.Decrease
	}
	return history.Op{Kind: part.Kind, Key: key, Parts: []history.Part{part}}
}

func (w *retry) remember(op history.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.past = slices.Delete(w.past, 0, w.after(now.Add(-retryAgeMax)))
	w.past = append(w.past, sent{now, op})
}

// after returns where the changes begin that were sent later than a time.
func (w *retry) after(t time.Time) int {
	return sort.Search(len(w.past), func(i int) bool { return w.past[i].at.After(t) })
}

// remembered returns a change of any age, as often an old one as a young one.
func (w *retry) remembered(random *rand.Rand) (op history.Op, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	age := time.Duration(random.Int64N(int64(retryAgeMax)))
	if at := w.after(time.Now().Add(-age)); at < len(w.past) {
		return w.past[at].op, true
	}
	return history.Op{}, false
}

// uuidv7 returns a UUID of version 7 (RFC 9562, section 5.7).
func uuidv7(now time.Time, random *rand.Rand) string {
	var id [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	for i := 6; i < len(id); i++ {
		id[i] = byte(random.Uint32())
	}
	id[6] = 7<<4 | id[6]&0x0f
	id[8] = 2<<6 | id[8]&0x3f
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
