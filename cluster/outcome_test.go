package cluster

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/peer"
)

// The difference between definite and indefinite is what clients build retries
// on, so the table says again, from the library's source, what each error means.
func TestOutcomeOfRaftErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want counter.Code
	}{
		{raft.ErrNotLeader, counter.NotLeader},
		{raft.ErrLeadershipTransferInProgress, counter.NotLeader},
		{raft.ErrEnqueueTimeout, counter.Overloaded},
		{raft.ErrLeadershipLost, counter.OutcomeUnknown},
		{raft.ErrAbortedByRestore, counter.OutcomeUnknown},
		{raft.ErrRaftShutdown, counter.OutcomeUnknown},
		{fmt.Errorf("append: %w", raft.ErrLeadershipLost), counter.OutcomeUnknown},
		{errors.New("bolt: no space left on device"), counter.OutcomeUnknown},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			got := outcome(test.err)
			if got.Code != test.want {
				t.Errorf("code %s, want %s", got.Code, test.want)
			}
			if got.Definite() != (test.want != counter.OutcomeUnknown) {
				t.Errorf("definite %v", got.Definite())
			}
		})
	}
}

func TestOutcomeOfForwarding(t *testing.T) {
	for _, test := range []struct {
		err  error
		want counter.Code
	}{
		{fmt.Errorf("dial: %w", peer.ErrNotSent), counter.NoLeader},
		{&peer.RefusedError{Reason: "wrong cluster"}, counter.NoLeader},
		{peer.ErrBroken, counter.OutcomeUnknown},
		{errors.New("read: connection reset by peer"), counter.OutcomeUnknown},
	} {
		if got := forwardOutcome(test.err, "n2"); got.Code != test.want {
			t.Errorf("%v: code %s, want %s", test.err, got.Code, test.want)
		}
	}
}

func TestOnlyDefiniteRefusalsAreRetried(t *testing.T) {
	for _, info := range counter.Codes() {
		if worthRetrying(&counter.Error{Code: info.Code}) && !info.Definite {
			t.Errorf("%s is indefinite and must not be retried", info.Code)
		}
	}
}
