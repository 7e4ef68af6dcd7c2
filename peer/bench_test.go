package peer_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"tally/peer"
)

// BenchmarkCallsOverLoopback is 64 callers that each wait for a reply of the
// size a command's result has, over one real connection.
func BenchmarkCallsOverLoopback(b *testing.B) {
	const callers = 64
	server := openTCP(b, "n2", nil)
	client := openTCP(b, "n1", func(string) (string, bool) { return server.Addr().String(), true })
	ctx := b.Context()
	payload := make([]byte, 120)
	if _, err := client.Call(ctx, "n2", methodEcho, payload); err != nil {
		b.Fatal(err)
	}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				start := time.Now()
				if _, err := client.Call(ctx, "n2", methodEcho, payload); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func openTCP(tb testing.TB, id string, resolve func(string) (string, bool)) *peer.Port {
	tb.Helper()
	port, err := peer.Open(peer.Config{
		Network:    peer.TCP{},
		ListenAddr: "127.0.0.1:0",
		Self:       func() peer.Hello { return peer.Hello{NodeID: id} },
		Resolve:    resolve,
		Logger:     hclog.NewNullLogger(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	port.Handle(methodEcho, func(call *peer.Call) { call.Reply(call.Payload) })
	port.Serve()
	tb.Cleanup(func() {
		if err := port.Close(); err != nil {
			tb.Error(err)
		}
	})
	return port
}
