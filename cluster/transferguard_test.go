package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestTransferGuard(t *testing.T) {
	transferring, fine := raft.ErrLeadershipTransferInProgress, error(nil)
	type answer struct {
		at  time.Duration
		err error
	}
	for _, test := range []struct {
		name    string
		answers []answer
		want    bool // of the last answer
	}{
		{"no refusal", []answer{{0, fine}, {time.Hour, fine}}, false},
		{"one refusal", []answer{{0, transferring}}, false},
		{"a transfer that takes its time", []answer{{0, transferring}, {3 * time.Second, transferring}}, false},
		{"a flag that stays", []answer{{0, transferring}, {time.Second, transferring}, {3*time.Second + 1, transferring}}, true},
		{"two transfers apart", []answer{{0, transferring}, {time.Second, fine}, {4 * time.Second, transferring}}, false},
		{"leadership lost in between", []answer{{0, transferring}, {time.Second, raft.ErrNotLeader}, {4 * time.Second, transferring}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			guard := transferGuard{longest: 3 * time.Second}
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			stuck := false
			for _, a := range test.answers {
				stuck = guard.stuck(a.err, start.Add(a.at))
			}
			if stuck != test.want {
				t.Errorf("stuck %v, want %v", stuck, test.want)
			}
		})
	}
}
