package checker

import "sort"

// The limits of the idempotency table in the test build of the nodes.
const (
	rememberedMax   = 1 << 10
	rememberedMaxMs = 10 * 1000
	aheadMaxMs      = 60 * 1000
)

// clockSlackMs is how far the clocks of clients may be from log time. The keys
// that they make carry their time, and are forgotten in that order.
const clockSlackMs = 5 * 1000

// table says what the nodes may have forgotten of the requests with a key. It
// does not follow them entry by entry: that would be their own code again.
type table struct {
	times     []int64 // log times of the executions, ascending
	crowdedMs int64   // log time when there last may have been too many to remember
}

// executed takes note of an execution.
func (t *table) executed(timeMs int64) {
	t.times = append(t.times, timeMs)
	young := timeMs - rememberedMaxMs - clockSlackMs
	first := sort.Search(len(t.times), func(i int) bool { return t.times[i] > young })
	if len(t.times)-first >= rememberedMax {
		t.crowdedMs = timeMs
	}
}

// mayHaveForgotten says that a request of a time may be forgotten at a log time:
// it is too old, or there were too many since.
func (t *table) mayHaveForgotten(requestMs, nowMs int64) bool {
	return requestMs <= nowMs-rememberedMaxMs || t.crowdedMs != 0 && t.crowdedMs >= requestMs-clockSlackMs
}
