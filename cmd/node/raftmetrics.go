package main

import (
	"strings"
	"sync"

	"github.com/hashicorp/go-metrics/compat"
	"github.com/prometheus/client_golang/prometheus"
)

// raftMetrics shows what the Raft library measures: "raft", "fsm", "apply" as
// raft_fsm_apply. Times are in milliseconds, which is the library's unit.
//
// It takes the place of go-metrics' own Prometheus sink, which keeps a sorted
// window of each sample for its quantiles and puts the name together anew each
// time: some 30 values for each write of three logs, on the goroutines that all
// changes wait for. A histogram costs a fraction, and
// those of several nodes can be added.
//
// What was seen once stays: a gap in a graph then means that the node was
// down, not that nothing happened.
type raftMetrics struct {
	registerer prometheus.Registerer

	mu       sync.RWMutex
	counters map[series]prometheus.Counter
	gauges   map[series]prometheus.Gauge
	samples  map[series]prometheus.Histogram
}

var _ metrics.MetricSink = (*raftMetrics)(nil)

// series names one row of values without putting strings together: the parts of
// the name, and one label. The library has five parts and one label at most.
type series struct {
	parts [6]string
	label metrics.Label
}

// sampleBuckets suit times in milliseconds as well as numbers of entries.
var sampleBuckets = prometheus.ExponentialBuckets(0.0625, 2, 18)

func newRaftMetrics(registerer prometheus.Registerer) *raftMetrics {
	return &raftMetrics{
		registerer: registerer,
		counters:   make(map[series]prometheus.Counter),
		gauges:     make(map[series]prometheus.Gauge),
		samples:    make(map[series]prometheus.Histogram),
	}
}

func (m *raftMetrics) IncrCounter(key []string, val float32) { m.IncrCounterWithLabels(key, val, nil) }
func (m *raftMetrics) SetGauge(key []string, val float32)    { m.SetGaugeWithLabels(key, val, nil) }
func (m *raftMetrics) AddSample(key []string, val float32)   { m.AddSampleWithLabels(key, val, nil) }

// EmitKey does nothing: Prometheus has no place for single events.
func (m *raftMetrics) EmitKey([]string, float32) {}

func (m *raftMetrics) IncrCounterWithLabels(key []string, val float32, labels []metrics.Label) {
	found := find(m, m.counters, key, labels, func(o prometheus.Opts) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(o))
	})
	found.Add(float64(val))
}

func (m *raftMetrics) SetGaugeWithLabels(key []string, val float32, labels []metrics.Label) {
	found := find(m, m.gauges, key, labels, func(o prometheus.Opts) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(o))
	})
	found.Set(float64(val))
}

func (m *raftMetrics) AddSampleWithLabels(key []string, val float32, labels []metrics.Label) {
	found := find(m, m.samples, key, labels, func(o prometheus.Opts) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: o.Name, Help: o.Help, ConstLabels: o.ConstLabels, Buckets: sampleBuckets})
	})
	found.Observe(float64(val))
}

// find returns the metric of a series, made and registered when it is first seen.
func find[M prometheus.Collector](m *raftMetrics, known map[series]M, key []string, labels []metrics.Label, create func(prometheus.Opts) M) M {
	var s series
	copy(s.parts[:], key)
	if len(labels) > 0 {
		s.label = labels[0]
	}
	m.mu.RLock()
	found, ok := known[s]
	m.mu.RUnlock()
	if ok {
		return found
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if found, ok = known[s]; ok { // another came first
		return found
	}
	found = create(s.opts())
	// What clashes with another metric's name stays out of sight: it would be a
	// mistake of the library's, and no reason to end a node.
	_ = m.registerer.Register(found)
	known[s] = found
	return found
}

var forbiddenInNames = strings.NewReplacer(" ", "_", ".", "_", "=", "_", "-", "_", "/", "_")

func (s *series) opts() prometheus.Opts {
	parts := s.parts[:]
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	name := forbiddenInNames.Replace(strings.Join(parts, "_"))
	o := prometheus.Opts{Name: name, Help: name}
	if s.label.Name != "" {
		o.ConstLabels = prometheus.Labels{s.label.Name: s.label.Value}
	}
	return o
}
