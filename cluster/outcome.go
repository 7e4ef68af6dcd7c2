package cluster

import (
	"errors"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/peer"
)

// outcomes is what an error of the Raft library means to a caller: the one
// place that decides whether a proposal certainly did nothing (definite) or may
// still be applied. Errors that are not listed are taken for indefinite.
//
// The definite ones are answered before the entry is given an index:
// ErrNotLeader and ErrLeadershipTransferInProgress by the library's main loop
// before dispatchLogs, ErrEnqueueTimeout before the main loop sees the entry.
// ErrLeadershipLost comes after dispatch: the next leader may have the entry.
// ErrRaftShutdown may come out of the commit path, after the entry was
// replicated, and a storage error does not say what is on the disk.
var outcomes = []struct {
	err    error
	code   counter.Code
	detail string
}{
	{raft.ErrNotLeader, counter.NotLeader, "the node lost leadership before it took the change; try again"},
	{raft.ErrLeadershipTransferInProgress, counter.NotLeader, "leadership is being handed over; try again"},
	{raft.ErrEnqueueTimeout, counter.Overloaded, "the log did not take the change in time; try again later"},
	{raft.ErrLeadershipLost, counter.OutcomeUnknown, "leadership was lost while the change was being replicated; read before you repeat it"},
	{raft.ErrAbortedByRestore, counter.OutcomeUnknown, "a snapshot was restored over the change; read before you repeat it"},
	{raft.ErrRaftShutdown, counter.OutcomeUnknown, "the node stopped while the change was being replicated; read before you repeat it"},
}

// outcome maps an error of the Raft library to one of the closed list.
func outcome(err error) *counter.Error {
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return counter.Errorf(o.code, "%s", o.detail)
		}
	}
	return counter.Errorf(counter.OutcomeUnknown, "the log failed (%v); read before you repeat the change", err)
}

// forwardOutcome maps a failure of the peer connection during a forwarded call.
// Only what certainly never left this node, or was certainly not understood
// there, is definite.
func forwardOutcome(err error, leader string) *counter.Error {
	var refused *peer.RefusedError
	switch {
	case errors.As(err, &refused):
		return counter.Errorf(counter.NoLeader, "the leader %s refuses this node: %s", leader, refused.Reason)
	case peer.Definite(err):
		return counter.Errorf(counter.NoLeader, "the leader %s cannot be reached; try again", leader)
	}
	return counter.Errorf(counter.OutcomeUnknown, "the answer of the leader %s did not arrive (%v); read before you repeat the change", leader, err)
}

// worthRetrying says that the refusal is definite and another leader, or the
// same a moment later, may accept. What to do after an indefinite outcome is
// not decided here.
func worthRetrying(err *counter.Error) bool {
	return err.Code == counter.NotLeader || err.Code == counter.NoLeader
}
