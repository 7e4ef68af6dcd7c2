package workload

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
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
	past []history.Op // some of the changes that were sent, to be sent again
}

const (
	retryAttemptsMax = 4
	retryPastMax     = 256
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
	w.remember(c.random, op)
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
func (w *retry) change(c *client, group string) history.Op {
	key := uuidv7(time.Now(), c.random)
	if c.random.IntN(5) == 0 {
		key = "bare-" + key
	}
	part := history.Part{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: "k", Value: int64(1 + c.random.IntN(9))}}}
	if c.random.IntN(4) == 0 {
		part.Kind = history.Decrease
	}
	return history.Op{Kind: part.Kind, Key: key, Parts: []history.Part{part}}
}

func (w *retry) remember(random *rand.Rand, op history.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.past) < retryPastMax {
		w.past = append(w.past, op)
		return
	}
	w.past[random.IntN(len(w.past))] = op
}

func (w *retry) remembered(random *rand.Rand) (op history.Op, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.past) == 0 {
		return history.Op{}, false
	}
	return w.past[random.IntN(len(w.past))], true
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
