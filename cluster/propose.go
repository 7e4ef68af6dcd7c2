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
	command := fsm.Command{Type: fsm.TypeMutation, Mutation: *m}
	result, err := n.proposeEncoded(ctx, command.Append(nil))
	if err != nil {
		return counter.Result{}, err
	}
	return result, nil
}

// proposeEncoded tries until the outcome is settled or indefinite, or ctx ends.
func (n *Node) proposeEncoded(ctx context.Context, command []byte) (counter.Result, *counter.Error) {
	for {
		changed := n.leadership.Changed()
		// Each attempt has bytes of its own: the library may keep those of the last one.
		result, err := n.attempt(ctx, slices.Clone(command))
		if err == nil || !worthRetrying(err) {
			return result, err
		}
		if n.waitForLeader(ctx, changed) != nil {
			return counter.Result{}, n.withoutLeader(err)
		}
	}
}

// attempt hands the command to whoever leads, once.
func (n *Node) attempt(ctx context.Context, command []byte) (counter.Result, *counter.Error) {
	switch leader := n.leaderID(); leader {
	case "":
		return counter.Result{}, counter.Errorf(counter.NoLeader, "no leader is known")
	case n.config.NodeID:
		applied, err := n.submitAndWait(ctx, command, false)
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
	applied, err := n.submitAndWait(ctx, command.Append(nil), opening)
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
func (n *Node) submitAndWait(ctx context.Context, command []byte, opening bool) (*fsm.Applied, *counter.Error) {
	type answer struct {
		applied *fsm.Applied
		err     *counter.Error
	}
	answered := make(chan answer, 1)
	p := &proposal{command: command, opening: opening, complete: func(applied *fsm.Applied, err *counter.Error) {
		answered <- answer{applied, err}
	}}
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
	p := &proposal{command: call.Payload, deadline: call.Deadline, complete: func(applied *fsm.Applied, err *counter.Error) {
		call.Reply(appendApplied(nil, applied, err))
	}}
	if err := n.proposer.submit(p); err != nil {
		call.Reply(appendRefusal(nil, err))
	}
}

// withoutLeader is the definite error of a request that found no leader until
// its deadline.
func (n *Node) withoutLeader(last *counter.Error) *counter.Error {
	detail := n.quorumDetail()
	if detail == "" {
		detail = last.Detail
	}
	return &counter.Error{Code: counter.NoLeader, Detail: detail, Leader: n.Leader(), RetryAfter: time.Second}
}
