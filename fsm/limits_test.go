//go:build !jepsen

package fsm_test

import (
	"testing"
	"time"

	"tally/fsm"
)

// What every node of the product forgets is part of what snapshots mean. The
// test build forgets sooner, and must not be taken for the product.
func TestLimitsOfTheProduct(t *testing.T) {
	if fsm.IdempotencyEntriesMax != 1<<20 || fsm.IdempotencyAgeMaxMs != (10*time.Minute).Milliseconds() {
		t.Errorf("the product remembers %d requests for %d ms", fsm.IdempotencyEntriesMax, fsm.IdempotencyAgeMaxMs)
	}
}
