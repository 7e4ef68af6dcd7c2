package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
)

// leadership answers who leads and lets others wait until that may have changed.
type leadership struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
}

func newLeadership() *leadership { return &leadership{changed: make(chan struct{})} }

// Changed returns a channel that is closed when the leader, or its readiness,
// may have become another than it was before the call.
func (l *leadership) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *leadership) notify() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// leaderID returns the ID of the leader as far as this node knows, or "".
func (n *Node) leaderID() string {
	_, id := n.raft.LeaderWithID()
	return string(id)
}

// leads says that this node takes itself for the leader.
func (n *Node) leads() bool { return n.raft.State() == raft.Leader }

// ready says that this node leads and has applied a command of its own term.
// Before that its commit index may be behind what earlier leaders acknowledged
// (Raft thesis, section 6.4), so it must neither confirm reads nor propose.
func (n *Node) ready() bool {
	return n.leads() && n.machine.AppliedTermCommand() == n.raft.CurrentTerm()
}

// Leader returns who leads as far as known, or nil.
func (n *Node) Leader() *counter.Leader {
	id := n.leaderID()
	if id == "" {
		return nil
	}
	return &counter.Leader{ID: id, URL: n.httpURL(id)}
}

// openRetry is how long a new leader waits before it tries again to open its term.
const openRetry = 20 * time.Millisecond

// lead watches for changes of leadership and opens each term that this node leads.
func (n *Node) lead() {
	// A full channel drops observations, never blocks Raft: one that waits is as good as many.
	observations := make(chan raft.Observation, 1)
	observer := raft.NewObserver(observations, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	n.raft.RegisterObserver(observer)
	defer n.raft.DeregisterObserver(observer)

	for {
		n.leadership.notify()
		var retry <-chan time.Time
		if n.leads() && !n.ready() {
			if err := n.openTerm(); err != nil {
				n.logger.Debug("term is not open yet", "term", n.raft.CurrentTerm(), "error", err)
				retry = time.After(openRetry)
			} else {
				n.metrics.leaderships.Inc()
				n.logger.Info("leading", "node", n.config.NodeID, "term", n.raft.CurrentTerm())
			}
			n.leadership.notify()
		}
		select {
		case <-n.life.Done():
			return
		case <-observations:
		case <-retry:
		}
	}
}

// openTerm proposes the first commands of a term. The one that makes the leader
// ready is the last of them, so whoever sees a mutation in the log also sees
// which incarnations the founders had: no wiped member can come back between.
func (n *Node) openTerm() error {
	if err := n.agreeOnTime(); err != nil {
		return err
	}
	pinned := map[string]bool{}
	for _, member := range n.machine.Members() {
		pinned[member.ID] = true
	}
	for _, member := range n.identity.members() {
		if pinned[member.ID] {
			continue
		}
		if _, err := n.proposeCommand(n.life, &fsm.Command{Type: fsm.TypeMember, Member: member}, true); err != nil {
			return err
		}
	}
	open := fsm.Command{Type: fsm.TypeTerm, ClusterID: newClusterID()}
	if _, err := n.proposeCommand(n.life, &open, true); err != nil {
		return err
	}
	return nil
}

// newClusterID makes the identity of a log history; only the first one that is
// applied counts.
func newClusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// errRemoved is why a node that was taken out of the cluster looks for no leader.
var errRemoved = errors.New("this node was removed from the cluster")

// waitForLeader waits until who leads may have changed, at least a moment, and
// at most until ctx ends, which it reports. A removed node hears from no leader
// again: whoever asks it is told at once, to have time left for another node.
func (n *Node) waitForLeader(ctx context.Context, changed <-chan struct{}) error {
	if n.removed() {
		return errRemoved
	}
	timer := time.NewTimer(openRetry)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-n.life.Done():
		return n.life.Err()
	case <-changed:
	case <-timer.C:
	}
	return nil
}
