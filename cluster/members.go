package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
	"tally/peer"
)

// membersRequest asks the leader to change the membership or to hand over
// leadership. It travels as JSON because it is rare.
type membersRequest struct {
	Action   string `json:"action"`
	ID       string `json:"id"`
	PeerAddr string `json:"peerAddr,omitempty"`
	Voter    bool   `json:"voter,omitempty"`
	// Forwarded requests are not forwarded again.
	Forwarded bool `json:"forwarded,omitempty"`
}

const (
	actionAdd      = "add"
	actionRemove   = "remove"
	actionTransfer = "transfer"
)

// paramPeerAddr names, in a refusal, the address at which a newcomer was not
// reached; the newcomer takes that one for passing.
const paramPeerAddr = "peerAddr"

// AddMember lets a running node into the cluster: as a non-voter first and, when
// it has caught up with the log, as a voter. Adding a member again is harmless
// and goes on where the last attempt stopped.
func (n *Node) AddMember(ctx context.Context, m counter.NewMember) (counter.Cluster, error) {
	return n.changeMembers(ctx, membersRequest{Action: actionAdd, ID: m.ID, PeerAddr: m.PeerAddr, Voter: m.Voter})
}

// RemoveMember takes a member out of the cluster for good: neither its data nor
// its ID can come back. Removing it again is harmless.
func (n *Node) RemoveMember(ctx context.Context, id string) (counter.Cluster, error) {
	return n.changeMembers(ctx, membersRequest{Action: actionRemove, ID: id})
}

// TransferLeadership hands leadership to the voter with the given ID, or to any
// that has caught up if id is "".
func (n *Node) TransferLeadership(ctx context.Context, id string) (counter.Cluster, error) {
	return n.changeMembers(ctx, membersRequest{Action: actionTransfer, ID: id})
}

func (n *Node) changeMembers(ctx context.Context, request membersRequest) (counter.Cluster, error) {
	for {
		changed := n.leadership.Changed()
		err := n.routeMembers(ctx, request)
		if err == nil {
			return n.Cluster(ctx)
		}
		if !worthRetrying(err) {
			return counter.Cluster{}, err
		}
		if n.waitForLeader(ctx, changed) != nil {
			return counter.Cluster{}, n.withoutLeader(err)
		}
	}
}

// routeMembers serves the request here or sends it to the leader, once.
func (n *Node) routeMembers(ctx context.Context, request membersRequest) *counter.Error {
	leader := n.leaderID()
	switch {
	case leader == n.config.NodeID:
		return n.serveMembers(ctx, request)
	case leader == "":
		return counter.Errorf(counter.NoLeader, "no leader is known")
	case request.Forwarded:
		return counter.Errorf(counter.NotLeader, "%s is not the leader", n.config.NodeID)
	}
	request.Forwarded = true
	data, err := json.Marshal(request)
	if err != nil {
		return counter.Errorf(counter.Internal, "%v", err)
	}
	reply, err := n.port.Call(ctx, leader, methodMembers, data)
	if err != nil {
		return forwardOutcome(err, leader)
	}
	_, refusal, err := decodeReply(reply)
	if err != nil {
		return counter.Errorf(counter.OutcomeUnknown, "the answer of the leader %s cannot be read: %v", leader, err)
	}
	return refusal
}

// handleMembers serves a request of another node, which may be one that wants to join.
func (n *Node) handleMembers(call *peer.Call) {
	n.spawn(func() {
		ctx, cancel := context.WithDeadline(n.life, call.Deadline)
		defer cancel()
		var request membersRequest
		if err := json.Unmarshal(call.Payload, &request); err != nil {
			call.Reply(appendRefusal(nil, counter.Errorf(counter.InvalidRequest, "the membership request cannot be read: %v", err)))
			return
		}
		if err := n.routeMembers(ctx, request); err != nil {
			call.Reply(appendRefusal(nil, err))
			return
		}
		call.Reply(appendResult(nil, &counter.Result{}))
	})
}

// serveMembers is the leader's part. One change at a time: the library allows no
// second one before the first is committed, and each takes several steps.
func (n *Node) serveMembers(ctx context.Context, request membersRequest) *counter.Error {
	select {
	case n.membersTurn <- struct{}{}:
		defer func() { <-n.membersTurn }()
	case <-ctx.Done():
		return counter.Errorf(counter.Overloaded, "another membership change is under way; try again later")
	}
	if !n.ready() {
		return counter.Errorf(counter.NotLeader, "%s is not ready to lead", n.config.NodeID)
	}
	switch request.Action {
	case actionAdd:
		return n.add(ctx, request)
	case actionRemove:
		return n.remove(ctx, request.ID)
	case actionTransfer:
		return n.transfer(ctx, request.ID)
	}
	return counter.Errorf(counter.InvalidRequest, "the membership action %q is unknown", request.Action)
}

func (n *Node) add(ctx context.Context, request membersRequest) *counter.Error {
	if err := counter.CheckNodeID(request.ID); err != nil {
		return err
	}
	if server, ok := n.server(request.ID); ok && string(server.Address) == request.PeerAddr && (server.Suffrage == raft.Voter || !request.Voter) {
		return nil
	}
	if request.ID == n.config.NodeID {
		return counter.Errorf(counter.InvalidRequest, "%s leads this cluster and cannot be added to it", request.ID).WithParam("id")
	}
	hello, answer, err := n.meet(ctx, request.PeerAddr)
	var refused *peer.RefusedError
	switch {
	case errors.As(err, &refused):
		return counter.Errorf(counter.InvalidRequest, "the node at %s cannot join (%v)", request.PeerAddr, err).WithParam("id")
	case err != nil:
		return counter.Errorf(counter.InvalidRequest, "no node that could join answers at %s (%v); start it with --join", request.PeerAddr, err).WithParam(paramPeerAddr)
	case hello.NodeID != request.ID:
		return counter.Errorf(counter.InvalidRequest, "the node at %s is %s, not %s", request.PeerAddr, hello.NodeID, request.ID).WithParam("id")
	case hello.CommandVersion < fsm.CommandVersion:
		return counter.Errorf(counter.InvalidRequest, "%s runs a build that cannot read the log (command version %d, needed %d); upgrade it first", request.ID, hello.CommandVersion, fsm.CommandVersion).WithParam("id")
	case answer.Founded && !n.isMember(request.ID):
		return counter.Errorf(counter.InvalidRequest, "%s has a log of its own; empty its data directory before it joins", request.ID).WithParam("id")
	}
	pin := fsm.Command{Type: fsm.TypeMember, Member: fsm.Member{ID: hello.NodeID, Incarnation: hello.Incarnation}}
	if _, err := n.proposeCommand(ctx, &pin, false); err != nil {
		return asRefusal(err)
	}
	n.exchange.note(answer, time.Now())
	id, address := raft.ServerID(request.ID), raft.ServerAddress(request.PeerAddr)
	if err := n.configure(ctx, id, address, false); err != nil {
		return outcome(err)
	}
	if !request.Voter {
		return nil
	}
	if err := n.waitCaughtUp(ctx, request.ID); err != nil {
		return counter.Errorf(counter.OutcomeUnknown, "%s is a non-voter and still catching up; repeat the request to make it a voter", request.ID)
	}
	if err := n.configure(ctx, id, address, true); err != nil {
		return outcome(err)
	}
	return nil
}

// waitCaughtUp waits until the member has applied what is committed now. A voter
// that lags counts for the majority and would hold back every commit.
func (n *Node) waitCaughtUp(ctx context.Context, id string) error {
	target := n.raft.CommitIndex()
	for {
		if answer, err := n.askInfo(ctx, id); err == nil && answer.AppliedIndex >= target {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(openRetry):
		}
	}
}

func (n *Node) remove(ctx context.Context, id string) *counter.Error {
	server, ok := n.server(id)
	if ok {
		if err := n.checkRemoval(server); err != nil {
			return err
		}
		if id == n.config.NodeID {
			// The successor removes this node: a leader that removes itself leaves
			// the cluster without one until the next election.
			if err := n.transfer(ctx, ""); err != nil {
				return err
			}
			return counter.Errorf(counter.NotLeader, "%s has handed over leadership to be removed", id)
		}
		if err := n.await(ctx, n.raft.RemoveServer(server.ID, 0, n.config.RequestTimeout)); err != nil {
			return outcome(err)
		}
		n.exchange.forget(id)
	}
	for _, member := range n.machine.Members() {
		if member.ID != id {
			continue
		}
		if member.Removed {
			return nil
		}
		member.Removed = true
		if _, err := n.proposeCommand(ctx, &fsm.Command{Type: fsm.TypeMember, Member: member}, false); err != nil {
			return asRefusal(err)
		}
		return nil
	}
	return counter.Errorf(counter.InvalidRequest, "%q is no member; see GET /v1/cluster", id).WithParam("id")
}

// checkRemoval refuses to remove a voter whose removal would leave the cluster
// without a majority that answers: nobody could undo it.
func (n *Node) checkRemoval(server raft.Server) *counter.Error {
	if server.Suffrage != raft.Voter {
		return nil
	}
	recently := time.Now().Add(-2*exchangeInterval - exchangeTimeout)
	remaining, answering := 0, 0
	for _, id := range n.voters() {
		if id == string(server.ID) {
			continue
		}
		remaining++
		if id == n.config.NodeID || n.exchange.since(id, recently) {
			answering++
		}
	}
	if remaining == 0 {
		return counter.Errorf(counter.InvalidRequest, "%s is the last voter; a cluster needs one", server.ID).WithParam("id")
	}
	if answering < remaining/2+1 {
		return counter.Errorf(counter.InvalidRequest, "without %s only %d of %d voters would answer and the cluster would stop; start the others first", server.ID, answering, remaining).WithParam("id")
	}
	return nil
}

func (n *Node) transfer(ctx context.Context, id string) *counter.Error {
	if id == n.config.NodeID {
		return nil
	}
	successor, refusal := n.successor(ctx, id)
	if refusal != nil {
		return refusal
	}
	takeBack := n.proposer.transfer.begin(time.Now())
	if err := n.await(ctx, n.raft.LeadershipTransferToServer(successor.ID, successor.Address)); err != nil {
		switch {
		case errors.Is(err, raft.ErrNotLeader):
			return outcome(err)
		case errors.Is(err, raft.ErrLeadershipTransferInProgress):
			takeBack()
			return counter.Errorf(counter.Overloaded, "leadership was not handed over: %v; try again", err)
		}
		// The successor may have been told to stand for election.
		return counter.Errorf(counter.OutcomeUnknown, "leadership was not handed over in time and may be later (%v); see GET /v1/cluster before you try again", err)
	}
	return n.waitForSuccessor(ctx)
}

// successor returns the voter with the given ID, any if id is "", once it has
// answered and applied what is committed.
//
// The library would begin a transfer to a voter that is gone, and left alone it
// may choose one. While it tries, which may be longer than an election takes, it
// refuses every proposal.
func (n *Node) successor(ctx context.Context, id string) (raft.Server, *counter.Error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var candidates []string
	servers := n.servers()
	caughtUp := make(chan raft.Server, len(servers))
	for _, server := range servers {
		candidate := string(server.ID)
		if candidate == n.config.NodeID || server.Suffrage != raft.Voter || (id != "" && id != candidate) {
			continue
		}
		candidates = append(candidates, candidate)
		n.spawn(func() {
			if n.waitCaughtUp(ctx, candidate) == nil {
				caughtUp <- server
			}
		})
	}
	if len(candidates) == 0 && id != "" {
		return raft.Server{}, counter.Errorf(counter.InvalidRequest, "%q is no voter; see GET /v1/cluster", id).WithParam("id")
	}
	select {
	case server := <-caughtUp:
		return server, nil
	case <-ctx.Done():
		return raft.Server{}, counter.Errorf(counter.Overloaded, "leadership was not handed over: %s did not answer or lacks part of the log; start it and try again", strings.Join(candidates, " and "))
	}
}

// waitForSuccessor waits until this node knows another leader.
func (n *Node) waitForSuccessor(ctx context.Context) *counter.Error {
	for {
		changed := n.leadership.Changed()
		if leader := n.leaderID(); leader != "" && leader != n.config.NodeID {
			return nil
		}
		if n.waitForLeader(ctx, changed) != nil {
			return counter.Errorf(counter.OutcomeUnknown, "leadership was given up but no new leader is known yet; see GET /v1/cluster before you try again")
		}
	}
}

// admitted says that this node is in the cluster as what it asks to be.
func (n *Node) admitted() bool {
	server, ok := n.server(n.config.NodeID)
	return ok && (server.Suffrage == raft.Voter || n.config.NonVoter)
}

func (n *Node) server(id string) (raft.Server, bool) {
	for _, server := range n.servers() {
		if string(server.ID) == id {
			return server, true
		}
	}
	return raft.Server{}, false
}

// configure writes a member into the Raft configuration.
func (n *Node) configure(ctx context.Context, id raft.ServerID, address raft.ServerAddress, voter bool) error {
	if voter {
		return n.await(ctx, n.raft.AddVoter(id, address, 0, n.config.RequestTimeout))
	}
	return n.await(ctx, n.raft.AddNonvoter(id, address, 0, n.config.RequestTimeout))
}

// await waits for a future of the library no longer than ctx and Raft live.
func (n *Node) await(ctx context.Context, future raft.Future) error {
	new(releaser).release(future, n.stopped)
	answered := make(chan error, 1)
	if !n.spawn(func() { answered <- future.Error() }) {
		return errClosed
	}
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asRefusal returns err as one of the closed list.
func asRefusal(err error) *counter.Error {
	var refusal *counter.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return counter.Errorf(counter.Internal, "%s", strings.TrimSpace(err.Error()))
}

// removed says that this node was taken out of the cluster: it has been let in,
// and is not in the configuration. The log of a newcomer that is catching up
// begins with configurations without it, too. What came last to a removed node
// may be its removal from the configuration, before fsm.Member.Removed.
func (n *Node) removed() bool {
	return len(n.configuration()) > 0 && !n.isMember(n.config.NodeID) &&
		slices.ContainsFunc(n.machine.Members(), func(m fsm.Member) bool { return m.ID == n.config.NodeID })
}
