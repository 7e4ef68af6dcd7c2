package main

import (
	"sync/atomic"
	"time"
)

// histogram counts latencies by the millisecond; what is longer than the last
// step counts as that. All callers share one: an array of their own for each of
// 20,000 would take more time in the caches than the atomic addition does.
type histogram struct{ counts [10001]atomic.Int64 }

func (h *histogram) note(latency time.Duration) {
	h.counts[min(latency.Milliseconds(), int64(len(h.counts)-1))].Add(1)
}

// quantile returns the latency that the given part of all did not exceed,
// rounded up to a millisecond.
func (h *histogram) quantile(part float64) time.Duration {
	var all int64
	for i := range h.counts {
		all += h.counts[i].Load()
	}
	left := int64(part * float64(all))
	for i := range h.counts {
		if left -= h.counts[i].Load(); left < 0 {
			return time.Duration(i+1) * time.Millisecond
		}
	}
	return 0
}
