//go:build !(jepsen && planted)

package fsm

// plantInRestored is for a test build alone; see restored_planted.go.
func plantInRestored(*state) {}
