package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"tally/counter"
	"tally/peer"
)

// Read returns some or all counters of a group, nil keys meaning all. Unless
// stale is set it is linearizable: it shows every change that was acknowledged
// anywhere before Read was called. A failed read is always definite.
func (n *Node) Read(ctx context.Context, _ counter.Caller, group string, keys []string, stale bool) (counter.Reading, error) {
	if !stale {
		if err := n.waitLinearizable(ctx); err != nil {
			return counter.Reading{}, err
		}
	}
	return n.machine.Read(group, keys), nil
}

// List returns up to limit groups whose IDs begin with prefix and come after
// after, in order, and whether there are more. It is linearizable.
func (n *Node) List(ctx context.Context, prefix, after string, limit int) ([]counter.GroupSummary, bool, error) {
	if err := n.waitLinearizable(ctx); err != nil {
		return nil, false, err
	}
	groups := n.machine.List(prefix, after, limit+1)
	if len(groups) > limit {
		return groups[:limit], true, nil
	}
	return groups, false, nil
}

// waitLinearizable waits until what this node has applied includes every change
// acknowledged before the call.
func (n *Node) waitLinearizable(ctx context.Context) error {
	index, refusal := n.readIndex(ctx)
	if refusal != nil {
		return refusal
	}
	if err := n.machine.WaitApplied(ctx, index); err != nil {
		return counter.Errorf(counter.Overloaded, "%s has applied the log up to %d of %d by the deadline; ask another node or accept consistency=stale", n.config.NodeID, n.machine.AppliedIndex(), index)
	}
	return nil
}

// readIndex returns a log index that covers every change acknowledged before the
// call (Raft thesis, section 6.4), looking for a leader until ctx ends.
func (n *Node) readIndex(ctx context.Context) (uint64, *counter.Error) {
	for {
		changed := n.leadership.Changed()
		var index uint64
		var err error
		switch n.leaderID() {
		case "":
			err = errNoLeader
		case n.config.NodeID:
			index, err = n.confirmations.join(ctx)
		default:
			index, err = n.questions.join(ctx)
		}
		if err == nil {
			return index, nil
		}
		if n.waitForLeader(ctx, changed) != nil {
			return 0, n.withoutLeader(counter.Errorf(counter.NoLeader, "no leader confirmed the read: %v", err))
		}
	}
}

var (
	errNoLeader  = errors.New("no leader is known")
	errNotReady  = errors.New("this node does not lead, or has not applied a command of its term yet")
	errNoQuorum  = errors.New("a majority of the voters did not confirm the leader's term in time")
	errClosed    = errors.New("the node is closed")
	errTermEnded = errors.New("the term ended during the read")
)

// rounds lets many readers share one question. A reader joins only a round that
// starts after it arrived: what a round that is under way finds out may be older
// than the reader's call.
type rounds struct {
	ask     func(context.Context) (uint64, error)
	life    context.Context // ends every round
	timeout time.Duration   // of one round
	spawn   func(task func()) bool

	mu      sync.Mutex
	running bool
	next    *round // starts when the running one has ended; nil if nobody waits for it
}

type round struct {
	done  chan struct{} // closed when index and err are set
	index uint64
	err   error
}

func (r *rounds) join(ctx context.Context) (uint64, error) {
	round := r.enlist()
	select {
	case <-round.done:
		return round.index, round.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (r *rounds) enlist() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		return r.next
	}
	joined := &round{done: make(chan struct{})}
	if r.running {
		r.next = joined
		return joined
	}
	r.running = r.spawn(func() { r.run(joined) })
	if !r.running {
		joined.err = errClosed
		close(joined.done)
	}
	return joined
}

// run asks for the given round and for those that readers joined meanwhile.
func (r *rounds) run(current *round) {
	for current != nil {
		ctx, cancel := context.WithTimeout(r.life, r.timeout)
		current.index, current.err = r.ask(ctx)
		cancel()
		close(current.done)

		r.mu.Lock()
		current, r.next = r.next, nil
		r.running = current != nil
		r.mu.Unlock()
	}
}

// confirm is a round on the leader: it takes the commit index and then makes
// sure that no later leader can have committed anything before it did so.
//
// A voter that, asked after the commit index was taken, is still in this term or
// an earlier one, cannot have voted for a later leader before that. If a
// majority answers so, any later leader was elected after the commit index was
// taken, and whatever it commits was not acknowledged before this read began.
// An answer to anything that was asked before, such as an acknowledgement that
// was on its way, proves nothing: the voter may have voted since. That is how
// raft.VerifyLeader lets a deposed leader answer.
func (n *Node) confirm(ctx context.Context) (uint64, error) {
	if !n.ready() {
		return 0, errNotReady
	}
	term := n.raft.CurrentTerm()
	index := n.raft.CommitIndex()

	voters := n.voters()
	needed := len(voters)/2 + 1
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan bool, len(voters))
	asked := 0
	for _, id := range voters {
		if id == n.config.NodeID {
			needed--
		} else if n.spawn(func() { answers <- n.termIsAtMost(ctx, id, term) }) {
			asked++
		}
	}
	for ; needed > 0; asked-- {
		if asked < needed {
			return 0, errNoQuorum
		}
		select {
		case confirmed := <-answers:
			if confirmed {
				needed--
			}
		case <-ctx.Done():
			return 0, errNoQuorum
		}
	}
	// This node's own vote counts only if it, too, has not gone on to a later term.
	if !n.leads() || n.raft.CurrentTerm() != term {
		return 0, errTermEnded
	}
	return index, nil
}

// termIsAtMost asks a voter for its term.
func (n *Node) termIsAtMost(ctx context.Context, id string, term uint64) bool {
	reply, err := n.port.Call(ctx, id, methodConfirm, nil)
	return err == nil && len(reply) == 8 && binary.BigEndian.Uint64(reply) <= term
}

// handleConfirm answers with the current term. The library stores a term before
// it votes in it, so a vote is never ahead of this answer.
func (n *Node) handleConfirm(call *peer.Call) {
	call.Reply(binary.BigEndian.AppendUint64(nil, n.raft.CurrentTerm()))
}

// askLeader is a round on a follower.
func (n *Node) askLeader(ctx context.Context) (uint64, error) {
	leader := n.leaderID()
	if leader == "" {
		return 0, errNoLeader
	}
	reply, err := n.port.Call(ctx, leader, methodReadIndex, nil)
	if err != nil {
		return 0, err
	}
	result, refusal, err := decodeReply(reply)
	if err != nil {
		return 0, err
	}
	if refusal != nil {
		return 0, refusal
	}
	return result.Revision, nil
}

// handleReadIndex is the leader's side of askLeader. Followers share their
// questions, so there are few at once.
func (n *Node) handleReadIndex(call *peer.Call) {
	n.spawn(func() {
		ctx, cancel := context.WithDeadline(n.life, call.Deadline)
		defer cancel()
		index, err := n.confirmations.join(ctx)
		if err != nil {
			call.Reply(appendRefusal(nil, counter.Errorf(counter.NotLeader, "%s: %v", n.config.NodeID, err)))
			return
		}
		call.Reply(appendResult(nil, &counter.Result{Revision: index}))
	})
}
