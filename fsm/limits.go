//go:build !jepsen

package fsm

// How many requests are remembered, and for how long in log time.
const (
	IdempotencyEntriesMax = 1 << 20
	IdempotencyAgeMaxMs   = 10 * 60 * 1000
)
