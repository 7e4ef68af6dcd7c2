package cluster_test

import (
	"testing"

	"tally/internal/clustertest"
)

// The counter that most scenarios count with.
const (
	group = "live:1"
	key   = "likes"
)

func mustIncrease(t *testing.T, n *clustertest.Node, by int64) {
	t.Helper()
	if reply := n.Increase(group, key, by); !reply.OK() {
		t.Fatalf("increase on %s: %v", n.ID, reply)
	}
}
