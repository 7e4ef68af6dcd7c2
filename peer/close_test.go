package peer_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"tally/peer"
)

func TestCloseSettlesEverything(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1", "n2")
		defer c.close()
		n1 := c.ports["n1"]
		c.network.Cut("n1", "n3") // calls to n3 wait for a connection
		var wg sync.WaitGroup
		for _, test := range []struct {
			node string
			want outcome
		}{{"n2", indefinite}, {"n3", definite}} {
			wg.Go(func() {
				start := time.Now()
				_, err := n1.Call(t.Context(), test.node, methodNever, nil)
				if outcomeOf(err) != test.want || time.Since(start) != 100*time.Millisecond {
					t.Errorf("a call to %s ended after %v: %v", test.node, time.Since(start), err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		end(t, n1)
		wg.Wait()
		end(t, n1) // again
		if _, err := n1.Call(t.Context(), "n2", methodEcho, nil); !errors.Is(err, peer.ErrNotSent) {
			t.Errorf("a call after Close: %v", err)
		}
		if _, _, err := n1.CallAddr(t.Context(), addressOf("n2"), methodEcho, nil); !errors.Is(err, peer.ErrNotSent) {
			t.Errorf("a call to an address after Close: %v", err)
		}
	})
}

func TestReplyAfterTheConnectionEndedDoesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const methodLater peer.Method = 9
		c := newCluster(t, "n1")
		defer c.close()
		n2, err := peer.Open(c.config("n2"))
		if err != nil {
			t.Fatal(err)
		}
		held := make(chan *peer.Call, 1)
		n2.Handle(methodLater, func(call *peer.Call) { held <- call })
		n2.Serve()
		defer end(t, n2)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := c.ports["n1"].Call(ctx, "n2", methodLater, nil); !errors.Is(err, context.Canceled) || peer.Definite(err) {
			t.Errorf("a cancelled call: %v", err)
		}
		end(t, c.ports["n1"])
		synctest.Wait()
		(<-held).Reply([]byte("nobody listens"))
	})
}

// TestRaftShutdownLeavesCallsAlone: the library closes its transport when it
// shuts down, and a node still has to say that it is going.
func TestRaftShutdownLeavesCallsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRafts(t, false)
		defer r.close()
		r.leader()
		if err := r.nodes["n2"].Shutdown().Error(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ports["n1"].Call(within(time.Second), "n2", methodEcho, nil); !errors.Is(err, peer.ErrNotSent) {
			t.Errorf("Raft's addresses are not for calls: %v", err)
		}
		r.homes["n1"].set("n2", addressOf("n2"))
		time.Sleep(time.Second)
		if _, err := r.ports["n1"].Call(within(time.Second), "n2", methodEcho, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenSaysWhyItCannot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1")
		defer c.close()
		if _, err := peer.Open(c.config("n1")); err == nil {
			t.Error("two ports have one address")
		}
		registry := prometheus.NewRegistry()
		config := c.config("n2")
		config.Registerer = registry
		for range 2 { // the second time what the first one registered is gone
			port, err := peer.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			if families, err := registry.Gather(); err != nil || len(families) == 0 {
				t.Errorf("%d metrics, error %v", len(families), err)
			}
			second := config
			second.ListenAddr = "n2:1"
			if _, err := peer.Open(second); err == nil {
				t.Error("two ports have one registry")
			}
			end(t, port)
		}
	})
}

// TestOverTCP is the whole of it on real sockets: calls, an HTTP request on the
// wrong port, a port that goes away, and no goroutine left behind.
func TestOverTCP(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("n1 and n2", func(t *testing.T) { // its ports are closed when it ends
		n2 := openTCP(t, "n2", nil)
		addr := n2.Addr().String()
		n1 := openTCP(t, "n1", func(string) (string, bool) { return addr, true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		large := []byte(strings.Repeat("x", 1<<20))
		if got, err := n1.Call(ctx, "n2", methodEcho, large); err != nil || len(got) != len(large) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("an HTTP request is answered")
		}
		end(t, n2)
		for err = nil; !errors.Is(err, peer.ErrNotSent); { // the end may take a moment to be seen
			if _, err = n1.Call(ctx, "n2", methodEcho, nil); err == nil {
				t.Fatal("a closed port answers")
			}
		}
	})
}
