package httpapi

import (
	"context"

	"tally/counter"
)

// Backend is what this package needs of a node. All methods may be called at
// the same time from many goroutines, return soon after their context ends, and
// return errors that are *counter.Error; any other error is shown to callers as
// counter.Internal.
type Backend interface {
	// Propose has the mutation applied by the cluster and returns its result.
	// The mutation has passed counter.Mutation.Check and is the backend's from
	// then on. When the context ends before the outcome is known the error is
	// counter.OutcomeUnknown.
	Propose(ctx context.Context, m *counter.Mutation) (counter.Result, error)
	// Read returns to the caller one cut of the group: the named counters, or all if keys is
	// nil. Unless stale it is linearizable.
	Read(ctx context.Context, caller counter.Caller, group string, keys []string, stale bool) (counter.Reading, error)
	// List returns up to limit groups whose ID starts with prefix and is greater
	// than after, ordered by the bytes of their IDs, and whether there are more.
	List(ctx context.Context, prefix, after string, limit int) (groups []counter.GroupSummary, more bool, err error)
	// Cluster returns what this node and the members it can reach know.
	Cluster(ctx context.Context) (counter.Cluster, error)
	// AddMember adds a running node to the cluster, or changes its address or
	// suffrage, and returns the cluster as it is then.
	AddMember(ctx context.Context, m counter.NewMember) (counter.Cluster, error)
	// RemoveMember removes a member and returns the cluster as it is then.
	RemoveMember(ctx context.Context, id string) (counter.Cluster, error)
	// TransferLeadership makes the member the leader, or any other voter if id is "".
	TransferLeadership(ctx context.Context, id string) (counter.Cluster, error)
	// Ready returns the conditions of readiness; the node is ready if all are OK.
	Ready(ctx context.Context) []counter.Check
}
