package fsm

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the machine tells about itself. They measure how long things
// take, which is the only use of a clock in this package, and no figure of
// theirs ever finds its way into the state.
type metrics struct {
	apply    prometheus.Histogram
	entries  prometheus.Counter
	refusals prometheus.Counter
	replays  prometheus.Counter
	persist  prometheus.Histogram
	restore  prometheus.Histogram
	restores prometheus.Counter
}

// newMetrics registers the metrics of m, unless registerer is nil. It panics
// when two machines are given one registry: that is a mistake in the wiring.
func newMetrics(registerer prometheus.Registerer, m *Machine) *metrics {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string, value func(*state) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			m.mu.RLock()
			defer m.mu.RUnlock()
			return value(m.state)
		})
	}
	shortTimes := prometheus.ExponentialBuckets(5e-6, 4, 10) // 5 us to 1.3 s
	longTimes := prometheus.ExponentialBuckets(1e-3, 4, 10)  // 1 ms to 4.4 min
	ms := &metrics{
		apply:    histogram("tally_fsm_apply_seconds", "Time to apply a batch of log entries.", shortTimes),
		entries:  count("tally_fsm_entries_total", "Log entries applied."),
		refusals: count("tally_fsm_refusals_total", "Commands that the state machine refused."),
		replays:  count("tally_fsm_replays_total", "Commands that were answered with the result of an earlier attempt."),
		persist:  histogram("tally_fsm_snapshot_persist_seconds", "Time to write a snapshot.", longTimes),
		restore:  histogram("tally_fsm_restore_seconds", "Time to read, verify and take over a snapshot.", longTimes),
		restores: count("tally_fsm_restores_total", "Snapshots that replaced the state."),
	}
	if registerer == nil {
		return ms
	}
	registerer.MustRegister(ms.apply, ms.entries, ms.refusals, ms.replays, ms.persist, ms.restore, ms.restores,
		gauge("tally_fsm_groups", "Groups that have counters.", func(s *state) float64 { return float64(s.groups.count) }),
		gauge("tally_fsm_idempotency_keys", "Idempotency keys that are remembered.", func(s *state) float64 { return float64(s.idempotency.entries.count) }),
		gauge("tally_fsm_idempotency_result_bytes", "Bytes of the results that are remembered.", func(s *state) float64 { return float64(s.idempotency.resultBytes) }),
		gauge("tally_fsm_idempotency_mark_seconds", "Time up to which idempotency keys may have been forgotten, as Unix time.",
			func(s *state) float64 { return float64(s.idempotency.markAt(s.timeMs)) / 1000 }),
		gauge("tally_fsm_applied_index", "Index of the last log entry applied.", func(s *state) float64 { return float64(s.appliedIndex) }),
		gauge("tally_fsm_log_time_seconds", "Log time, as Unix time.", func(s *state) float64 { return float64(s.timeMs) / 1000 }),
	)
	return ms
}

// time starts to measure; the function that it returns ends it.
func (*metrics) time(histogram prometheus.Histogram) func() {
	timer := prometheus.NewTimer(histogram)
	return func() { timer.ObserveDuration() }
}
