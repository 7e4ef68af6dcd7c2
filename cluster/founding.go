package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/errgroup"

	"tally/counter"
	"tally/peer"
)

const (
	// foundingRetry is how long a node without state waits before it asks again.
	foundingRetry = 200 * time.Millisecond
	// foundingLogEvery is how many vain attempts share one line of the log.
	foundingLogEvery = 25
)

// ErrNotAdmitted is why a node without a place in a cluster ends itself: the
// others refuse it, or it was started with the wrong addresses. Starting it
// again without changing anything is of no use.
var ErrNotAdmitted = errors.New("this node cannot become a member")

// refusalShown is how long a refusal is told after it was heard: whoever refuses a
// member that they reach tries again several times a second.
const refusalShown = 5 * time.Second

// founding says, for people, how far a node without state has come.
type founding struct {
	mu        sync.Mutex
	text      string
	refusal   string // the last of a node that dialed this one
	refusedAt time.Time
}

func (f *founding) set(format string, arguments ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = fmt.Sprintf(format, arguments...)
}

// noteRefusal takes what a node said that dialed this one. Those are the members
// of a cluster in which this node had a place before it lost its disk; it may
// know none of them by now. It is no reason to end: the cluster may be one that
// was given up, and this node a founder of another.
func (f *founding) noteRefusal(refused *peer.RefusedError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusal, f.refusedAt = refused.Error(), time.Now()
}

func (f *founding) progress() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != "" && time.Since(f.refusedAt) < refusalShown {
		return f.refusal
	}
	return f.text
}

// found makes this node one of the founders. All founders exchange and pin their
// incarnations before any of them has a configuration, so from the first entry
// of the log on, a founder that lost its disk is recognised.
//
// Every founder bootstraps with the same configuration: the first entry of the
// log is the same whoever writes it.
func (n *Node) found() {
	var servers []raft.Server
	// All are asked at once: one that refuses this node must be heard even while
	// another is down.
	founders, ctx := errgroup.WithContext(n.life)
	for _, member := range n.config.InitialCluster {
		servers = append(servers, raft.Server{
			Suffrage: raft.Voter,
			ID:       raft.ServerID(member.ID),
			Address:  raft.ServerAddress(member.PeerAddr),
		})
		if member.ID != n.config.NodeID {
			founders.Go(func() error { return n.pinFounder(ctx, member) })
		}
	}
	if err := founders.Wait(); err != nil {
		if n.life.Err() == nil {
			n.config.Fatal(err)
		}
		return
	}
	var voters []string
	for _, member := range n.config.InitialCluster {
		voters = append(voters, member.ID)
	}
	n.clock.settle(n.config.NodeID, voters, n.machine.TimeMs())
	n.founding.set("founding the cluster")
	err := n.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error()
	switch {
	case errors.Is(err, raft.ErrCantBootstrap): // another founder was faster and its log has arrived
	case errors.Is(err, raft.ErrRaftShutdown):
	case err != nil:
		n.config.Fatal(fmt.Errorf("cannot found the cluster: %w", err))
	default:
		n.logger.Info("cluster founded", "node", n.config.NodeID, "members", len(servers))
	}
}

// pinFounder asks a founder for its incarnation until it answers.
func (n *Node) pinFounder(ctx context.Context, member Member) error {
	for attempt := 0; ; attempt++ {
		from, answer, err := n.meet(ctx, member.PeerAddr)
		var refused *peer.RefusedError
		switch {
		case errors.As(err, &refused):
			return fmt.Errorf("%w: %w", ErrNotAdmitted, err)
		case err == nil && from.NodeID != member.ID:
			return fmt.Errorf("%w: the node at %s is %s, not %s; correct the initial cluster", ErrNotAdmitted, member.PeerAddr, from.NodeID, member.ID)
		case err == nil:
			n.exchange.note(answer, time.Now())
			return n.identity.pin(member.ID, from.Incarnation)
		}
		n.founding.set("waiting for founder %s at %s; start it", member.ID, member.PeerAddr)
		if attempt%foundingLogEvery == 0 {
			n.logger.Info("waiting for a founder", "node", member.ID, "address", member.PeerAddr, "error", err)
		}
		if !pause(ctx, foundingRetry) {
			return ctx.Err()
		}
	}
}

// meet asks the node at an address who it is.
func (n *Node) meet(ctx context.Context, address string) (peer.Hello, info, error) {
	question, err := n.encodedInfo()
	if err != nil {
		return peer.Hello{}, info{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	asked := n.clock.elapsed()
	reply, from, err := n.port.CallAddr(ctx, address, methodInfo, question)
	if err != nil {
		return peer.Hello{}, info{}, err
	}
	answer, err := decodeInfo(reply, from.NodeID)
	if err == nil {
		n.clock.observe(from.NodeID, answer.ClockMs, asked, n.clock.elapsed())
	}
	return from, answer, err
}

// join asks members to let this node in until it is a voter.
func (n *Node) join() {
	request := membersRequest{Action: actionAdd, ID: n.config.NodeID, PeerAddr: n.peerAddr(), Voter: !n.config.NonVoter}
	for attempt := 0; ; attempt++ {
		for _, address := range n.config.Join {
			n.founding.set("asking %s to let this node join", address)
			err := n.askToJoin(address, request)
			if err == nil {
				n.logger.Info("joined the cluster", "node", n.config.NodeID)
				return
			}
			var refused *peer.RefusedError
			if errors.As(err, &refused) || errors.Is(err, counter.InvalidRequest) && !notReached(err) {
				n.config.Fatal(fmt.Errorf("%w: %s does not let it join: %w", ErrNotAdmitted, address, err))
				return
			}
			n.founding.set("%s did not let this node join yet: %v", address, err)
			if attempt%foundingLogEvery == 0 {
				n.logger.Info("cannot join yet", "address", address, "error", err)
			}
		}
		if !pause(n.life, foundingRetry) {
			return
		}
	}
}

// notReached says that the leader could not reach this node where it says it is:
// the network may be cut just now, so that is not final.
func notReached(err error) bool {
	var refusal *counter.Error
	return errors.As(err, &refusal) && refusal.Param == paramPeerAddr
}

func (n *Node) askToJoin(address string, request membersRequest) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(n.life, n.config.RequestTimeout)
	defer cancel()
	reply, _, err := n.port.CallAddr(ctx, address, methodMembers, data)
	if err != nil {
		return err
	}
	_, refusal, err := decodeReply(reply)
	if err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	return nil
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
