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
func (n *Node) Read(ctx context.Context, caller counter.Caller, group string, keys []string, stale bool) (counter.Reading, error) {
	var quota *counter.Quota
	var refusal *counter.Error
	if stale {
		quota, refusal = n.admitStaleRead(caller)
	} else {
		quota, refusal = n.waitLinearizable(ctx, caller)
	}
	if refusal != nil {
		return counter.Reading{}, refusal
	}
	reading := n.machine.Read(group, keys)
	reading.Quota = quota
	return reading, nil
}

// List returns up to limit groups whose IDs begin with prefix and come after
// after, in order, and whether there are more. It is linearizable. No limit counts it.
func (n *Node) List(ctx context.Context, prefix, after string, limit int) ([]counter.GroupSummary, bool, error) {
	if _, err := n.waitLinearizable(ctx, counter.Caller{}); err != nil {
		return nil, false, err
	}
	groups := n.machine.List(prefix, after, limit+1)
	if len(groups) > limit {
		return groups[:limit], true, nil
	}
	return groups, false, nil
}

// waitLinearizable waits until what this node has applied includes every change
// acknowledged before the call. It returns what a reader under the call limit
// has left of it.
func (n *Node) waitLinearizable(ctx context.Context, reader counter.Caller) (*counter.Quota, *counter.Error) {
	index, quota, refusal := n.readIndex(ctx, reader)
	if refusal != nil {
		return nil, refusal
	}
	if err := n.machine.WaitApplied(ctx, index); err != nil {
		return nil, counter.Errorf(counter.Overloaded, "%s has applied the log up to %d of %d by the deadline; ask another node or accept consistency=stale", n.config.NodeID, n.machine.AppliedIndex(), index)
	}
	return quota, nil
}

// readIndex returns a log index that covers every change acknowledged before the
// call (Raft thesis, section 6.4), looking for a leader until ctx ends. The
// leader counts the reader when it has confirmed the round: a round that fails
// costs nobody a call.
func (n *Node) readIndex(ctx context.Context, reader counter.Caller) (uint64, *counter.Quota, *counter.Error) {
	for {
		changed := n.leadership.Changed()
		var index uint64
		var verdict *Verdict
		var err error
		switch n.leaderID() {
		case "":
			err = errNoLeader
		case n.config.NodeID:
			index, verdict, err = n.confirmations.join(ctx, reader)
		default:
			index, verdict, err = n.questions.join(ctx, reader)
		}
		switch {
		case err == nil && verdict == nil:
			return index, nil, nil
		case err == nil && verdict.OK:
			return index, &verdict.Quota, nil
		case err == nil:
			return 0, nil, verdict.Quota.Refusal()
		}
		if n.waitForLeader(ctx, changed) != nil {
			return 0, nil, n.withoutLeader(counter.Errorf(counter.NoLeader, "no leader confirmed the read: %v", err))
		}
	}
}

var (
	errNoLeader  = errors.New("no leader is known")
	errNotReady  = errors.New("this node does not lead, or has not applied a command of its term yet")
	errNoQuorum  = errors.New("a majority of the voters did not confirm the leader's term in time")
	errClosed    = errors.New("the node is closed")
	errTermEnded = errors.New("the term ended during the read")
	errCrowded   = errors.New("too many readers wait for the leader")
	errVerdicts  = errors.New("the leader did not answer for each reader")
)

// roundReadersMax bounds the readers under a call limit of one round, so that
// their names fit into a call between nodes.
const roundReadersMax = 16384

// rounds lets many readers share one question. A reader joins only a round that
// starts after it arrived: what a round that is under way finds out may be older
// than the reader's call.
type rounds struct {
	// ask returns the read index and a verdict for each of the users, or none at
	// all where there is no limit.
	ask     func(ctx context.Context, users []string) (uint64, []Verdict, error)
	life    context.Context // ends every round
	timeout time.Duration   // of one round
	spawn   func(task func()) bool

	mu      sync.Mutex
	running bool
	next    *round // starts when the running one has ended; nil if nobody waits for it
}

type round struct {
	users []string // the readers under the call limit; fixed when the round starts

	done     chan struct{} // closed when the rest is set
	index    uint64
	verdicts []Verdict // for users, or none
	err      error
}

// join waits for a round that starts from now on, and for its verdict on a
// reader under the call limit, if there is one.
func (r *rounds) join(ctx context.Context, reader counter.Caller) (uint64, *Verdict, error) {
	round, place, err := r.enlist(reader)
	if err != nil {
		return 0, nil, err
	}
	select {
	case <-round.done:
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
	if reader.UnderLimit() && len(round.verdicts) > 0 {
		return round.index, &round.verdicts[place], round.err
	}
	return round.index, nil, round.err
}

// enlist finds the reader a round and a place among its users.
func (r *rounds) enlist(reader counter.Caller) (joined *round, place int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if joined = r.next; joined == nil {
		joined = &round{done: make(chan struct{})}
	}
	if place = len(joined.users); reader.UnderLimit() {
		if place == roundReadersMax {
			return nil, 0, errCrowded
		}
		joined.users = append(joined.users, reader.User)
	}
	if r.running {
		r.next = joined
		return joined, place, nil
	}
	r.running = r.spawn(func() { r.run(joined) })
	if !r.running {
		return nil, 0, errClosed
	}
	return joined, place, nil
}

// run asks for the given round and for those that readers joined meanwhile.
func (r *rounds) run(current *round) {
	for current != nil {
		ctx, cancel := context.WithTimeout(r.life, r.timeout)
		current.index, current.verdicts, current.err = r.ask(ctx, current.users)
		cancel()
		if got := len(current.verdicts); current.err == nil && got > 0 && got != len(current.users) {
			current.verdicts, current.err = nil, errVerdicts
		}
		close(current.done)

		r.mu.Lock()
		current, r.next = r.next, nil
		r.running = current != nil
		r.mu.Unlock()
	}
}

// confirmFor is a round on the leader.
func (n *Node) confirmFor(ctx context.Context, users []string) (uint64, []Verdict, error) {
	index, err := n.confirm(ctx)
	if err != nil {
		return 0, nil, err
	}
	return index, n.admitReaders(users), nil
}

// confirm takes the commit index and then makes
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
	// The term first: if this node is ready and in the same term at the end, it was
	// ready in that term. Read afterwards it could be one that this node has just
	// been elected in, whose commit index is still behind.
	term := n.raft.CurrentTerm()
	if !n.ready() {
		return 0, errNotReady
	}
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
func (n *Node) askLeader(ctx context.Context, users []string) (uint64, []Verdict, error) {
	leader := n.leaderID()
	if leader == "" {
		return 0, nil, errNoLeader
	}
	reply, err := n.port.Call(ctx, leader, methodReadIndex, appendUsers(nil, users))
	if err != nil {
		return 0, nil, err
	}
	return decodeReadIndex(reply)
}

// handleReadIndex is the leader's side of askLeader. Followers share their
// questions, so there are few at once.
func (n *Node) handleReadIndex(call *peer.Call) {
	users, err := decodeUsers(call.Payload)
	if err != nil {
		call.Reply(appendRefusal(nil, counter.Errorf(counter.InvalidRequest, "the readers cannot be read: %v", err)))
		return
	}
	n.spawn(func() {
		ctx, cancel := context.WithDeadline(n.life, call.Deadline)
		defer cancel()
		index, _, err := n.confirmations.join(ctx, counter.Caller{})
		if err != nil {
			call.Reply(appendRefusal(nil, counter.Errorf(counter.NotLeader, "%s: %v", n.config.NodeID, err)))
			return
		}
		call.Reply(appendReadIndex(nil, index, n.admitReaders(users)))
	})
}
