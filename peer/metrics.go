package peer

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is everything the port counts, registered as one collector.
type metrics struct {
	connections    *prometheus.GaugeVec   // by kind
	bytes          *prometheus.CounterVec // by kind, direction
	refused        *prometheus.CounterVec // by direction, reason
	calls          *prometheus.CounterVec // by outcome
	callSeconds    prometheus.Histogram
	framesPerWrite prometheus.Histogram

	// calls by outcome, looked up once
	ok, notSent, refusedCalls, broken, expired prometheus.Counter
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "tally", Subsystem: "peer", Name: name, Help: help}
	}
	m := &metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("connections",
			"Open connections to other nodes, by kind (raft, entries, calls), whoever opened them.")), []string{"kind"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts(opts("bytes_total",
			"Bytes received (in) and sent (out) after the hellos, by kind.")), []string{"kind", "direction"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts(opts("handshakes_refused_total",
			"Connections that ended before both nodes had accepted each other, by who opened them (in, out) and reason.")), []string{"direction", "reason"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts(opts("calls_total",
			"Calls this node made, by outcome: ok; not_sent and refused (certainly without effect); broken and expired (perhaps with).")), []string{"outcome"}),
		callSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "tally", Subsystem: "peer", Name: "call_seconds",
			Help: "Time from the call to the reply, of calls with a reply.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
		framesPerWrite: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "tally", Subsystem: "peer", Name: "frames_per_write",
			Help: "Requests or replies that one write carried.", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
	}
	for _, class := range refusals() {
		m.refused.WithLabelValues("in", string(class))
		m.refused.WithLabelValues("out", string(class))
	}
	m.ok, m.notSent, m.refusedCalls = m.calls.WithLabelValues("ok"), m.calls.WithLabelValues("not_sent"), m.calls.WithLabelValues("refused")
	m.broken, m.expired = m.calls.WithLabelValues("broken"), m.calls.WithLabelValues("expired")
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.connections, m.bytes, m.refused, m.calls, m.callSeconds, m.framesPerWrite}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

// called counts one call.
func (m *metrics) called(start time.Time, err error) {
	switch {
	case err == nil:
		m.ok.Inc()
		m.callSeconds.Observe(time.Since(start).Seconds())
	case errors.Is(err, ErrNotSent):
		m.notSent.Inc()
	case Definite(err):
		m.refusedCalls.Inc()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		m.expired.Inc()
	default:
		m.broken.Inc()
	}
}
