//go:build jepsen

package fsm

// In the test build so little is remembered that requests are forgotten all the
// time. Its nodes do not understand those of the product, nor their data.
const (
	IdempotencyEntriesMax = 1 << 10
	IdempotencyAgeMaxMs   = 10 * 1000
)
