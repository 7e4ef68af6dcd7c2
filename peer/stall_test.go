package peer_test

import (
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/peer"
	"tally/peer/pipenet"
)

// snapshotBytes is more than a connection holds between its ends.
const snapshotBytes = 64 << 20

// snapshotOf returns a request for a snapshot, and its data.
func snapshotOf(id string) (*raft.InstallSnapshotRequest, io.Reader) {
	return &raft.InstallSnapshotRequest{RPCHeader: header(id), SnapshotVersion: 1, Term: 7, Size: snapshotBytes}, io.LimitReader(zeros{}, snapshotBytes)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// pausing is a reader whose process is paused after some bytes, for an hour.
type pausing struct {
	data io.Reader
	left int
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.left == 0 {
		time.Sleep(time.Hour)
	}
	n, err := p.data.Read(b[:min(len(b), max(p.left, 1))])
	p.left -= n
	return n, err
}

// TestSnapshotOfASilentLeaderIsGivenUp: Raft's main goroutine reads a snapshot. As
// long as it waits for the rest of one this node hears no leader and votes for
// nobody, so with a leader that is gone in the middle of a snapshot there would be
// no majority of three.
func TestSnapshotOfASilentLeaderIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name    string
		silence func(*pipenet.Network, *pausing)
	}{
		{"paused", func(_ *pipenet.Network, data *pausing) { data.left = 1 << 20 }},
		{"cut off", func(network *pipenet.Network, _ *pausing) {
			time.AfterFunc(time.Second, func() { network.Cut("n1", "n2") })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				network := pipenet.New()
				network.Delay("n1", "n2", 50*time.Millisecond)
				n1, n2, end := twoTransports(t, network, false)
				defer end()
				request, data := snapshotOf("n1")
				paused := &pausing{data, -1}
				test.silence(network, paused)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_ = n1.InstallSnapshot("n2", "n2:9101", request, &raft.InstallSnapshotResponse{}, paused)
				}()
				defer func() { <-sent }()

				rpc := <-n2.Consumer()
				began := time.Now()
				n, _ := io.Copy(io.Discard, rpc.Reader)
				_, _ = io.Copy(io.Discard, rpc.Reader) // as the library does whatever happened
				if n == snapshotBytes {
					t.Fatal("the whole snapshot came: the test shows nothing")
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("Raft waited %v for the rest of the snapshot", took)
				}
				rpc.Respond(&raft.InstallSnapshotResponse{}, nil)
			})
		})
	}
}

// TestSnapshotToASilentFollowerIsGivenUp: the library would try for two seconds
// for each 256 KiB of the whole, and send that node nothing else until then.
func TestSnapshotToASilentFollowerIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n1, n2, end := twoTransports(t, pipenet.New(), false)
		defer end()
		go func() { <-n2.Consumer() }() // and never reads
		request, data := snapshotOf("n1")
		began := time.Now()
		if err := n1.InstallSnapshot("n2", "n2:9101", request, &raft.InstallSnapshotResponse{}, data); err == nil {
			t.Fatal("a snapshot that nobody read was installed")
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestSlowSnapshotArrives: neither side takes slowness for silence.
func TestSlowSnapshotArrives(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n1, n2, end := twoTransports(t, pipenet.New(), false)
		defer end()
		go func() {
			rpc := <-n2.Consumer()
			n, _ := io.Copy(slowly{}, rpc.Reader)
			time.Sleep(peer.DefaultTimeout * 10) // the state machine takes it over
			rpc.Respond(&raft.InstallSnapshotResponse{Success: n == snapshotBytes}, nil)
		}()
		request, data := snapshotOf("n1")
		var answer raft.InstallSnapshotResponse
		if err := n1.InstallSnapshot("n2", "n2:9101", request, &answer, data); err != nil || !answer.Success {
			t.Errorf("%+v, %v", answer, err)
		}
		// The connections for all else are idle for as long as they like.
		time.Sleep(time.Minute)
	})
}

// slowly is a disk that takes a second for a megabyte.
type slowly struct{}

func (slowly) Write(p []byte) (int, error) {
	time.Sleep(time.Second * time.Duration(len(p)) >> 20)
	return len(p), nil
}
