package cluster

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
)

// A proposal that is still queued when the library shuts down is never answered
// (hashicorp/raft#498). Without a releaser this test never ends.
func TestUnansweredProposalIsReleasedOnShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := raft.NewInmemStore()
		_, transport := raft.NewInmemTransport("n1")
		config := raft.DefaultConfig()
		config.LocalID = "n1"
		config.BatchApplyCh = true
		config.LogLevel = "OFF"
		r, err := raft.NewRaft(config, &raft.MockFSM{}, store, store, raft.NewInmemSnapshotStore(), transport)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Shutdown().Error(); err != nil {
			t.Fatal(err)
		}
		// The queue has room and shutdownCh is closed: the library takes either
		// way at random, so try until a proposal is queued where nobody reads.
		for {
			future := r.Apply([]byte("late"), 0)
			stopped := make(chan struct{})
			if !new(releaser).release(future, stopped) {
				continue // answered at once with ErrRaftShutdown
			}
			close(stopped)
			if err := future.Error(); !errors.Is(err, raft.ErrRaftShutdown) {
				t.Errorf("error %v, want ErrRaftShutdown", err)
			}
			return
		}
	})
}

func TestReleaseLeavesAnsweredFuturesAlone(t *testing.T) {
	store := raft.NewInmemStore()
	_, transport := raft.NewInmemTransport("n1")
	config := raft.DefaultConfig()
	config.LocalID = "n1"
	config.LogLevel = "OFF"
	r, err := raft.NewRaft(config, &raft.MockFSM{}, store, store, raft.NewInmemSnapshotStore(), transport)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Shutdown()
	future := r.Apply([]byte("x"), 0)
	new(releaser).release(future, make(chan struct{}))
	if err := future.Error(); !errors.Is(err, raft.ErrNotLeader) {
		t.Errorf("error %v, want ErrNotLeader", err)
	}
}
