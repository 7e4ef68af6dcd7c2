package watch

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the hub tells about itself.
type metrics struct {
	resets  prometheus.Counter
	refused prometheus.Counter
}

// newMetrics registers the metrics of h, unless registerer is nil. It panics
// when two hubs are given one registry: that is a mistake in the wiring.
func newMetrics(registerer prometheus.Registerer, h *Hub) *metrics {
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string, value *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value.Load()) })
	}
	m := &metrics{
		resets:  count("tally_watch_resets_total", "Resets given to watchers, those that asked for one included."),
		refused: count("tally_watch_refused_total", "Watches refused because there were too many watchers."),
	}
	if registerer == nil {
		return m
	}
	registerer.MustRegister(m.resets, m.refused,
		gauge("tally_watch_watchers", "Groups that are watched, over all connections.", &h.watchers),
		gauge("tally_watch_groups", "Groups that have watchers, or events in the ring that were indexed because there were watchers.", &h.groups),
		gauge("tally_watch_ring_events", "Events in the ring.", &h.ring.events),
		gauge("tally_watch_ring_bytes", "Memory charged to the events in the ring, in bytes.", &h.ring.bytes),
	)
	return m
}
