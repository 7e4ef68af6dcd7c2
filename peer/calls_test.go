package peer_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tally/peer"
)

// outcome is what a caller may conclude from an error.
type outcome string

const (
	ok         outcome = "ok"
	definite   outcome = "definite"
	indefinite outcome = "indefinite"
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return ok
	case peer.Definite(err):
		return definite
	}
	return indefinite
}

// TestCallsUnderFaults is a table of what goes wrong during one call and what
// the caller is told.
func TestCallsUnderFaults(t *testing.T) {
	for _, test := range []struct {
		name    string
		before  func(c *cluster) // before the call
		during  func(c *cluster) // 100 ms after it began
		method  peer.Method
		want    outcome
		is      error
		atMost  time.Duration
		healthy bool // n1 is connected to n2 before
	}{
		{name: "nobody listens", before: func(c *cluster) { c.network.Host("n2").Crash() },
			method: methodEcho, want: definite, is: peer.ErrNotSent, atMost: 10 * time.Millisecond},
		{name: "n2 cannot be reached", before: func(c *cluster) { c.network.Partition([]string{"n1"}, []string{"n2"}) },
			method: methodEcho, want: definite, is: peer.ErrNotSent, atMost: time.Second},
		{name: "the way back is cut before the hello", before: func(c *cluster) { c.network.Cut("n2", "n1") },
			method: methodEcho, want: definite, is: peer.ErrNotSent, atMost: time.Second},
		{name: "n2 never replies",
			method: methodNever, want: indefinite, is: context.DeadlineExceeded, atMost: 5 * time.Second},
		{name: "n2 dies before it replies", during: func(c *cluster) { c.network.Host("n2").Crash() },
			method: methodNever, want: indefinite, is: peer.ErrBroken, atMost: 100 * time.Millisecond},
		{name: "n2 ends before it replies", during: func(c *cluster) { end(c.t, c.ports["n2"]) },
			method: methodNever, want: indefinite, is: peer.ErrBroken, atMost: 100 * time.Millisecond},
		{name: "n1 ends before n2 replies", during: func(c *cluster) { end(c.t, c.ports["n1"]) },
			method: methodNever, want: indefinite, is: peer.ErrBroken, atMost: 100 * time.Millisecond},
		{name: "a partition before the call", before: func(c *cluster) { c.network.Partition([]string{"n1"}, []string{"n2"}) },
			method: methodEcho, want: indefinite, is: peer.ErrBroken, atMost: 3100 * time.Millisecond, healthy: true},
		{name: "a partition during the call", during: func(c *cluster) { c.network.Partition([]string{"n1"}, []string{"n2"}) },
			method: methodNever, want: indefinite, is: peer.ErrBroken, atMost: 4 * time.Second, healthy: true},
		{name: "only the way back is cut", before: func(c *cluster) { c.network.Cut("n2", "n1") },
			method: methodEcho, want: indefinite, is: peer.ErrBroken, atMost: 3100 * time.Millisecond, healthy: true},
		{name: "a partition that heals soon enough", before: func(c *cluster) { c.network.Partition([]string{"n1"}, []string{"n2"}) },
			during: func(c *cluster) { c.network.HealAll() },
			method: methodEcho, want: ok, atMost: 200 * time.Millisecond, healthy: true},
		{name: "a partition that heals before the connection is there", before: func(c *cluster) { c.network.Partition([]string{"n1"}, []string{"n2"}) },
			during: func(c *cluster) { c.network.HealAll() },
			method: methodEcho, want: ok, atMost: 200 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCluster(t, "n1", "n2")
				defer c.close()
				if test.healthy {
					if _, err := c.ports["n1"].Call(within(time.Second), "n2", methodEcho, nil); err != nil {
						t.Fatal(err)
					}
				}
				if test.before != nil {
					test.before(c)
				}
				if test.during != nil {
					time.AfterFunc(100*time.Millisecond, func() { test.during(c) })
				}
				start := time.Now()
				_, err := c.ports["n1"].Call(within(5*time.Second), "n2", test.method, []byte("x"))
				if took := time.Since(start); took > test.atMost {
					t.Errorf("it took %v, want at most %v", took, test.atMost)
				}
				if got := outcomeOf(err); got != test.want || !errors.Is(err, test.is) {
					t.Errorf("%s: %v, want %s, %v", got, err, test.want, test.is)
				}
				c.network.HealAll()
			})
		})
	}
}

// TestCallsGoOnAfterAPartition: a connection that lost its other end without a
// word is given up, so calls after the partition do not wait for it.
func TestCallsGoOnAfterAPartition(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		call := func() error {
			_, err := c.ports["n1"].Call(within(300*time.Millisecond), "n2", methodEcho, []byte("x"))
			return err
		}
		if err := call(); err != nil {
			t.Fatal(err)
		}
		c.network.Partition([]string{"n1"}, []string{"n2"})
		for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
			if err := call(); err == nil {
				t.Fatal("a call crossed the partition")
			}
		}
		if traffic := c.network.Traffic("n1", "n2"); traffic.Stalled == 0 || traffic.Waited == 0 {
			t.Fatalf("the partition was not felt: %+v", traffic)
		}
		c.network.HealAll()
		time.Sleep(60 * time.Millisecond)
		if err := call(); err != nil {
			t.Errorf("the first call after the partition: %v", err)
		}
	})
}

// TestIdleConnectionThatDiedIsReplaced: also without calls a dead connection is
// found out, so the first call does not pay for it.
func TestIdleConnectionThatDiedIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		if _, err := c.ports["n1"].Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Fatal(err)
		}
		c.network.Partition([]string{"n1"}, []string{"n2"})
		c.network.Host("n2").Crash()
		end(t, c.ports["n2"])
		time.Sleep(10 * time.Second)
		c.network.HealAll()
		c.open("n2", nil)
		if _, err := c.ports["n1"].Call(within(10*time.Millisecond), "n2", methodEcho, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestIdleConnectionStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1")
		registry := prometheus.NewRegistry()
		c.open("n2", func(config *peer.Config) { config.Registerer = registry })
		defer c.close()
		if _, err := c.ports["n1"].Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Fatal(err)
		}
		before := c.network.Traffic("n1", "n2").Written
		time.Sleep(time.Hour)
		if got := metric(t, registry, "tally_peer_connections", "calls"); got != 1 {
			t.Errorf("%v connections, want the first", got)
		}
		if perSecond := (c.network.Traffic("n1", "n2").Written - before) / 3600; perSecond > 20 {
			t.Errorf("an idle connection costs %d bytes a second", perSecond)
		}
	})
}

// TestNodeThatMovedIsFound: Resolve is asked for every new connection.
func TestNodeThatMovedIsFound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n2")
		defer func() { c.close() }()
		var home atomic.Value
		home.Store(addressOf("n2"))
		n1 := c.open("n1", func(config *peer.Config) {
			config.Resolve = func(string) (string, bool) { return home.Load().(string), true }
		})
		if _, err := n1.Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Fatal(err)
		}
		end(t, c.ports["n2"])
		c.open("n2", func(config *peer.Config) {
			config.Network, config.ListenAddr = c.network.Host("n2b"), "n2b:9101"
		})
		if _, err := n1.Call(within(time.Second), "n2", methodEcho, nil); !errors.Is(err, peer.ErrNotSent) {
			t.Fatalf("a call to the old address: %v", err)
		}
		home.Store("n2b:9101")
		time.Sleep(time.Second)
		if _, err := n1.Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestUnknownAddressIsDefinite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		n1 := c.open("n1", func(config *peer.Config) { config.Resolve = nil })
		if _, err := n1.Call(within(time.Second), "n2", methodEcho, nil); !errors.Is(err, peer.ErrNotSent) {
			t.Error(err)
		}
	})
}

func TestPayloadsTooLarge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		n1 := c.ports["n1"]
		largest := make([]byte, peer.PayloadBytesMax)
		if reply, err := n1.Call(within(time.Second), "n2", methodEcho, largest); err != nil || len(reply) != len(largest) {
			t.Errorf("the largest: %d bytes, %v", len(reply), err)
		}
		if _, err := n1.Call(within(time.Second), "n2", methodEcho, append(largest, 0)); !errors.Is(err, peer.ErrNotSent) {
			t.Errorf("one more: %v", err)
		}
	})
}

func TestReplyTooLargeIsIndefinite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const methodHuge peer.Method = 9
		c := newCluster(t, "n1")
		defer c.close()
		n2, err := peer.Open(c.config("n2"))
		if err != nil {
			t.Fatal(err)
		}
		n2.Handle(methodHuge, func(call *peer.Call) { call.Reply(make([]byte, peer.PayloadBytesMax+1)) })
		n2.Serve()
		defer end(t, n2)
		if _, err := c.ports["n1"].Call(within(time.Second), "n2", methodHuge, nil); outcomeOf(err) != indefinite || !errors.Is(err, peer.ErrBroken) {
			t.Error(err)
		}
	})
}

func TestDeadlineTravels(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const methodDeadline peer.Method = 9
		c := newCluster(t, "n1")
		defer c.close()
		n2, err := peer.Open(c.config("n2"))
		if err != nil {
			t.Fatal(err)
		}
		var got time.Time
		n2.Handle(methodDeadline, func(call *peer.Call) {
			got = call.Deadline
			call.Reply(nil)
			call.Reply([]byte("the second reply does nothing"))
		})
		n2.Serve()
		defer end(t, n2)
		for _, test := range []struct {
			ctx  context.Context
			left time.Duration
		}{{within(1500 * time.Millisecond), 1500 * time.Millisecond}, {t.Context(), 0}} {
			want := time.Time{}
			if test.left > 0 {
				want = time.Now().Add(test.left)
			}
			if reply, err := c.ports["n1"].Call(test.ctx, "n2", methodDeadline, nil); err != nil || len(reply) != 0 {
				t.Fatalf("reply %q, error %v", reply, err)
			}
			if !got.Equal(want) {
				t.Errorf("the handler sees %v, want %v", got, want)
			}
		}
	})
}

// TestTooManyUnansweredCalls: what is too much is refused, definitely, and the
// connection goes on.
func TestTooManyUnansweredCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		var busy, open atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 16384 + 100 {
			wg.Go(func() {
				switch _, err := c.ports["n1"].Call(ctx, "n2", methodNever, nil); {
				case errors.Is(err, peer.ErrBusy) && peer.Definite(err):
					busy.Add(1)
				case errors.Is(err, context.Canceled) && !peer.Definite(err):
					open.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		time.Sleep(10 * time.Second) // a busy node is not a silent one
		cancel()
		wg.Wait()
		if busy.Load() != 100 || open.Load() != 16384 {
			t.Errorf("%d refused, %d open", busy.Load(), open.Load())
		}
	})
}

// TestCallsTravelTogether: what waits while a write is under way goes with the
// next one.
func TestCallsTravelTogether(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n2")
		registry := prometheus.NewRegistry()
		n1 := c.open("n1", func(config *peer.Config) { config.Registerer = registry })
		defer c.close()
		const calls = 1000
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() {
				want := fmt.Sprint(i)
				if got, err := n1.Call(within(time.Second), "n2", methodEcho, []byte(want)); err != nil || string(got) != want {
					t.Errorf("reply %q to %q, error %v", got, want, err)
				}
			})
		}
		wg.Wait()
		if writes := samples(t, registry, "tally_peer_frames_per_write"); writes > calls/10 {
			t.Errorf("%d calls took %d writes", calls, writes)
		}
	})
}

func samples(t *testing.T, registry *prometheus.Registry, name string) uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestNotSentMeansNotSeen is the promise that everything rests on: whatever
// happens to the connection, a call that is said not to have been sent was seen
// by no handler, and one that was answered was seen once.
func TestNotSentMeansNotSeen(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { notSentMeansNotSeen(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func notSentMeansNotSeen(t *testing.T, random *rand.Rand) {
	const methodSee peer.Method = 9
	c := newCluster(t, "n1")
	defer c.close()
	var mu sync.Mutex
	seen := map[uint64]int{}
	openServer := func() *peer.Port {
		n2, err := peer.Open(c.config("n2"))
		if err != nil {
			t.Fatal(err)
		}
		n2.Handle(methodSee, func(call *peer.Call) {
			mu.Lock()
			seen[binary.BigEndian.Uint64(call.Payload)]++
			mu.Unlock()
			time.AfterFunc(time.Millisecond, func() { call.Reply(nil) })
		})
		n2.Serve()
		return n2
	}
	n2 := openServer()
	c.network.Delay("n1", "n2", time.Millisecond)

	told := map[uint64]outcome{}
	var last atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for caller := range 32 {
		pace := rand.New(rand.NewPCG(random.Uint64(), uint64(caller)))
		wg.Go(func() {
			for ctx.Err() == nil {
				id := last.Add(1)
				// Large payloads fill the connection, so that some requests wait.
				payload := make([]byte, 8+pace.IntN(12<<10))
				binary.BigEndian.PutUint64(payload, id)
				callCtx, cancel := context.WithTimeout(t.Context(), time.Duration(pace.IntN(50)+1)*time.Millisecond)
				_, err := c.ports["n1"].Call(callCtx, "n2", methodSee, payload)
				cancel()
				mu.Lock()
				told[id] = outcomeOf(err)
				mu.Unlock()
				time.Sleep(time.Duration(pace.IntN(5)) * time.Millisecond)
			}
		})
	}
	for range 60 {
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		switch random.IntN(6) {
		case 0:
			c.network.Cut("n1", "n2")
		case 1:
			c.network.Cut("n2", "n1")
		case 2:
			c.network.Reset("n1", "n2")
		case 3:
			end(t, n2)
			n2 = openServer()
		default:
			c.network.HealAll()
		}
	}
	stop()
	wg.Wait()
	c.network.HealAll()
	time.Sleep(time.Minute) // whatever is still on its way arrives
	end(t, n2)

	count := map[outcome]int{}
	for id, o := range told {
		count[o]++
		if o == definite && seen[id] > 0 {
			t.Errorf("call %d was said not to have been sent, but was seen", id)
		}
		if o == ok && seen[id] != 1 || seen[id] > 1 {
			t.Errorf("call %d (%s) was seen %d times", id, o, seen[id])
		}
	}
	if count[ok] < 100 || count[definite] < 100 || count[indefinite] < 10 {
		t.Errorf("the faults were not what they should be: %v", count)
	}
}

// TestRequestThatWaitsIsTakenBack: a request that no write has taken when its
// call ends is not sent later.
func TestRequestThatWaitsIsTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		n1 := c.ports["n1"]
		if _, err := n1.Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Fatal(err)
		}
		c.network.Cut("n1", "n2")
		var wg sync.WaitGroup
		wg.Go(func() { // more than the connection takes: its write does not end
			_, err := n1.Call(within(time.Second), "n2", methodEcho, make([]byte, 3<<20))
			if outcomeOf(err) != indefinite || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the request in the write: %v", err)
			}
		})
		synctest.Wait()
		written := c.network.Traffic("n1", "n2").Written
		_, err := n1.Call(within(100*time.Millisecond), "n2", methodEcho, make([]byte, 1<<20))
		if !errors.Is(err, peer.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the request behind it: %v", err)
		}
		wg.Wait()
		c.network.HealAll()
		time.Sleep(time.Second)
		if sent := c.network.Traffic("n1", "n2").Written - written; sent > 2<<20+1000 {
			t.Errorf("%d bytes were sent after the heal, the rest of the first request has %d", sent, 2<<20)
		}
	})
}
