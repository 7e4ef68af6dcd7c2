package peer_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

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

// BenchmarkEntriesOverLoopback is a leader that sends entries of the size that
// commands have, one message after the other, over one real connection: over the
// port, and with the library's transport alone.
func BenchmarkEntriesOverLoopback(b *testing.B) {
	for _, entries := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("port/entries=%d", entries), func(b *testing.B) {
			to := openTCP(b, "n2", nil)
			from := openTCP(b, "n1", func(string) (string, bool) { return to.Addr().String(), true })
			benchmarkEntries(b, from.Transport(), to.Transport(), entries)
		})
		b.Run(fmt.Sprintf("library/entries=%d", entries), func(b *testing.B) {
			benchmarkEntries(b, libraryOverTCP(b), libraryOverTCP(b), entries)
		})
	}
}

func benchmarkEntries(b *testing.B, from, to raft.Transport, entries int) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case rpc := <-to.Consumer():
				rpc.Respond(&raft.AppendEntriesResponse{RPCHeader: header("n2"), Term: 7, Success: true}, nil)
			case <-stop:
				return
			}
		}
	})
	request := raft.AppendEntriesRequest{RPCHeader: header("n1"), Term: 7, PrevLogEntry: 10, PrevLogTerm: 7, LeaderCommitIndex: 10}
	for i := range entries {
		request.Entries = append(request.Entries, &raft.Log{Index: uint64(11 + i), Term: 7, Data: make([]byte, 100), AppendedAt: time.Now()})
	}
	var answer raft.AppendEntriesResponse
	b.ReportAllocs()
	for b.Loop() {
		if err := from.AppendEntries("n2", to.LocalAddr(), &request, &answer); err != nil || !answer.Success {
			b.Fatal(answer, err)
		}
	}
	close(stop)
	wg.Wait()
}

func libraryOverTCP(b *testing.B) raft.Transport {
	b.Helper()
	transport, err := raft.NewTCPTransportWithConfig("127.0.0.1:0", nil, &raft.NetworkTransportConfig{
		MaxPool: 3, MaxRPCsInFlight: 1, Timeout: 2 * time.Second, Logger: hclog.NewNullLogger(), MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := transport.Close(); err != nil {
			b.Error(err)
		}
		transport.CloseStreams()
	})
	return transport
}
