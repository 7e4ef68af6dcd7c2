package cluster

import (
	"context"
	"slices"
	"time"

	"tally/counter"
	"tally/fsm"
	"tally/peer"
)

// Propose makes the mutation a log entry and returns what the state machine
// answered. On a follower the encoded command goes to the leader.
//
// An error is a *counter.Error. A definite one changed nothing; after
// counter.OutcomeUnknown the change may have been made, or be made later. While
// there is no leader, Propose goes on looking for one until ctx ends.
func (n *Node) Propose(ctx context.Context, m *counter.Mutation) (counter.Result, error) {
	if err := m.Check(); err != nil {
		return counter.Result{}, err
	}
	result, err := n.proposeMutation(ctx, m)
	if err != nil {
		return counter.Result{}, err
	}
	return result, nil
}

// proposeMutation tries until the outcome is settled, or indefinite, or ctx
// ends. What may have been applied is tried again only if it has an idempotency
// key, and then nothing but the state machine's answer settles it: a later
// refusal by a node says nothing about the earlier attempt.
func (n *Node) proposeMutation(ctx context.Context, m *counter.Mutation) (counter.Result, *counter.Error) {
	encoded := (&fsm.Command{Type: fsm.TypeMutation, Mutation: *m}).Append(nil)
	var indefinite *counter.Error // of an earlier attempt that may have been applied
	for {
		changed := n.leadership.Changed()
		// Each attempt has bytes of its own: the library may keep those of the last one.
		result, err := n.attempt(ctx, m, slices.Clone(encoded))
		switch {
		case err == nil:
			return result, nil
		case !err.Definite() && m.IdempotencyKey != "":
			indefinite = err
		case worthRetrying(err):
		case indefinite != nil && !settles(err):
			return counter.Result{}, unsettled(indefinite)
		default:
			return counter.Result{}, err
		}
		if n.waitForLeader(ctx, changed) != nil {
			if indefinite != nil {
				return counter.Result{}, unsettled(indefinite)
			}
			return counter.Result{}, n.withoutLeader(err)
		}
	}
}

// settles says that the state machine decided under the idempotency key, so the
// answer holds for every attempt made with it. An expired key is no such answer:
// an earlier attempt may have been applied before its record was dropped.
func settles(err *counter.Error) bool {
	return err.Revision != 0 && err.Code != counter.IdempotencyKeyExpired
}

// unsettled is what a caller with an idempotency key is told when the attempts
// of this node came to nothing certain.
func unsettled(last *counter.Error) *counter.Error {
	if last.Code != counter.OutcomeUnknown {
		return last
	}
	return counter.Errorf(counter.OutcomeUnknown, "the change may have been made, or be made later; repeat the request with the same idempotency key until you are told")
}

// attempt hands the command to whoever leads, once.
func (n *Node) attempt(ctx context.Context, m *counter.Mutation, command []byte) (counter.Result, *counter.Error) {
	switch leader := n.leaderID(); leader {
	case "":
		return counter.Result{}, counter.Errorf(counter.NoLeader, "no leader is known")
	case n.config.NodeID:
		applied, err := n.submitAndWait(ctx, &proposal{command: command, mutation: m})
		if err != nil {
			return counter.Result{}, err
		}
		return applied.Result, applied.Err
	default:
		return n.forward(ctx, leader, command)
	}
}

// proposeCommand proposes a command of this node's own, here or not at all.
func (n *Node) proposeCommand(ctx context.Context, command *fsm.Command, opening bool) (*fsm.Applied, error) {
	applied, err := n.submitAndWait(ctx, &proposal{command: command.Append(nil), opening: opening})
	if err != nil {
		return nil, err
	}
	if applied.Err != nil {
		return nil, applied.Err
	}
	return applied, nil
}

// submitAndWait proposes on this node and waits for the answer, ctx or the end
// of Raft, whichever is first.
func (n *Node) submitAndWait(ctx context.Context, p *proposal) (*fsm.Applied, *counter.Error) {
	type answer struct {
		applied *fsm.Applied
		err     *counter.Error
	}
	answered := make(chan answer, 1)
	p.complete = func(applied *fsm.Applied, err *counter.Error) { answered <- answer{applied, err} }
	if deadline, ok := ctx.Deadline(); ok {
		p.deadline = deadline
	}
	if err := n.proposer.submit(p); err != nil {
		return nil, err
	}
	select {
	case a := <-answered:
		return a.applied, a.err
	case <-ctx.Done():
	case <-n.stopped:
	}
	if p.abandon() {
		return nil, counter.Errorf(counter.Overloaded, "the change waited for the log until its deadline; try again later")
	}
	select {
	case a := <-answered: // it came at the same moment
		return a.applied, a.err
	default:
	}
	return nil, counter.Errorf(counter.OutcomeUnknown, "the change was not committed before its deadline and may be later; read before you repeat it")
}

// forward sends the command to the leader and reads its answer.
func (n *Node) forward(ctx context.Context, leader string, command []byte) (counter.Result, *counter.Error) {
	reply, err := n.port.Call(ctx, leader, methodPropose, command)
	if err != nil {
		return counter.Result{}, forwardOutcome(err, leader)
	}
	result, refusal, err := decodeReply(reply)
	if err != nil {
		return counter.Result{}, counter.Errorf(counter.OutcomeUnknown, "the answer of the leader %s cannot be read (%v); read before you repeat the change", leader, err)
	}
	if refusal != nil && refusal.Code == counter.ShuttingDown {
		// It is the leader that ends, not this node: its successor may accept.
		refusal = counter.Errorf(counter.NotLeader, "the leader %s is shutting down", leader)
	}
	return result, refusal
}

// handlePropose is the leader's side of forward. A command that comes from
// another node is checked like one from a client, and never forwarded again.
func (n *Node) handlePropose(call *peer.Call) {
	command, err := fsm.DecodeCommand(call.Payload)
	if err != nil {
		call.Reply(appendRefusal(nil, counter.Errorf(counter.InvalidRequest, "the forwarded command cannot be read: %v", err)))
		return
	}
	if command.Type != fsm.TypeMutation {
		call.Reply(appendRefusal(nil, counter.Errorf(counter.InvalidRequest, "commands of type %d are not forwarded", command.Type)))
		return
	}
	if err := command.Mutation.Check(); err != nil {
		call.Reply(appendRefusal(nil, err))
		return
	}
	p := &proposal{command: call.Payload, mutation: &command.Mutation, deadline: call.Deadline}
	p.complete = func(applied *fsm.Applied, err *counter.Error) { call.Reply(appendApplied(nil, applied, err)) }
	if err := n.proposer.submit(p); err != nil {
		call.Reply(appendRefusal(nil, err))
	}
}

// withoutLeader is the definite error of a request that found no leader until
// its deadline.
func (n *Node) withoutLeader(last *counter.Error) *counter.Error {
	detail := n.quorumDetail()
	switch {
	case n.removed():
		detail = n.config.NodeID + " was removed from the cluster; ask another node"
	case detail == "":
		detail = last.Detail
	}
	return &counter.Error{Code: counter.NoLeader, Detail: detail, Leader: n.Leader(), RetryAfter: time.Second}
}
