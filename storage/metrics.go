package storage

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics belong to one Store. They work unregistered too.
type metrics struct {
	storeLogsSeconds prometheus.Histogram
	storeLogsEntries prometheus.Histogram
	errors           *prometheus.CounterVec
	gauges           []prometheus.Collector

	snapshotBytes atomic.Uint64 // size of the newest snapshot

	registerer prometheus.Registerer
	registered []prometheus.Collector // what unregister takes back
}

func newMetrics(b Backing) *metrics {
	m := &metrics{
		storeLogsSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tally_storage_store_logs_seconds",
			Help:    "Time to make one batch of log entries durable.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		storeLogsEntries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tally_storage_store_logs_entries",
			Help:    "Log entries in one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tally_storage_errors_total",
			Help: "Failed store calls. All but those of snapshots end the node.",
		}, []string{"operation"}),
	}
	if list, err := b.Snapshots.List(); err == nil && len(list) > 0 {
		m.snapshotBytes.Store(uint64(list[0].Size))
	}
	m.gauge("tally_storage_snapshot_bytes", "Size of the newest snapshot.",
		func() (uint64, error) { return m.snapshotBytes.Load(), nil })
	m.gauge("tally_storage_log_bytes", "Size of the log on disk; it is reused, never given back.", b.LogBytes)
	m.gauge("tally_storage_free_bytes", "Free space of the disk under the data directory.", b.FreeBytes)
	return m
}

// gauge adds one whose value is asked for when somebody looks. A value that
// cannot be had shows as -1, which no size is.
func (m *metrics) gauge(name, help string, value func() (uint64, error)) {
	if value == nil {
		return
	}
	m.gauges = append(m.gauges, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		v, err := value()
		if err != nil {
			return -1
		}
		return float64(v)
	}))
}

func (m *metrics) collectors() []prometheus.Collector {
	return append([]prometheus.Collector{m.storeLogsSeconds, m.storeLogsEntries, m.errors}, m.gauges...)
}

func (m *metrics) register(registerer prometheus.Registerer) error {
	if registerer == nil {
		return nil
	}
	m.registerer = registerer
	for _, c := range m.collectors() {
		if err := registerer.Register(c); err != nil {
			m.unregister()
			return err
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
}

func (m *metrics) stored(entries int, took time.Duration) {
	m.storeLogsSeconds.Observe(took.Seconds())
	m.storeLogsEntries.Observe(float64(entries))
}

func (m *metrics) failed(op Operation) {
	m.errors.WithLabelValues(string(op)).Inc()
}
