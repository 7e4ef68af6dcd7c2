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
		// begins: a transfer begins then, and nobody has proposed anything meanwhile.
		begins bool
	}
	for _, test := range []struct {
		name    string
		answers []answer
		want    bool // of the last answer
	}{
		{"no refusal", []answer{{0, fine, false}, {time.Hour, fine, false}}, false},
		{"one refusal", []answer{{0, transferring, false}}, false},
		{"a transfer that takes its time", []answer{{0, transferring, false}, {3 * time.Second, transferring, false}}, false},
		{"a flag that stays", []answer{{0, transferring, false}, {time.Second, transferring, false}, {3*time.Second + 1, transferring, false}}, true},
		{"two transfers apart", []answer{{0, transferring, false}, {time.Second, fine, false}, {4 * time.Second, transferring, false}}, false},
		{"leadership lost in between", []answer{{0, transferring, false}, {time.Second, raft.ErrNotLeader, false}, {4 * time.Second, transferring, false}}, false},
		{"two transfers apart and nobody between", []answer{{0, transferring, false}, {time.Hour, transferring, true}}, false},
		{"a flag that stays after the second", []answer{{0, transferring, false}, {time.Hour, transferring, true}, {time.Hour + 3*time.Second + 1, transferring, false}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			guard := transferGuard{longest: 3 * time.Second}
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			stuck := false
			for _, a := range test.answers {
				if a.begins {
					guard.begin(start.Add(a.at))
				}
				stuck = guard.stuck(a.err, start.Add(a.at))
			}
			if stuck != test.want {
				t.Errorf("stuck %v, want %v", stuck, test.want)
			}
		})
	}
}
