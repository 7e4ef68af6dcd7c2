package main

import (
	"runtime"

	"github.com/hashicorp/go-metrics/compat"
	compatprom "github.com/hashicorp/go-metrics/compat/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// perEntryMetrics are raft's metrics that are taken once for every log entry,
// each through a lock that all writes share. The node's own histograms measure
// the same at a fraction of the price.
var perEntryMetrics = []string{"raft.apply", "raft.commitTime"}

// newRegistry returns the registry behind /metrics with what belongs to the
// process: the build, the Go runtime, lines the log had to drop, and raft's own
// metrics as raft_….
//
// raft knows only the process-wide go-metrics; this is the one place that
// touches it.
func newRegistry(logs *logWriter) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "tally_build_info",
		Help:        "Always 1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": version(), "go": runtime.Version()},
	})
	build.Set(1)
	dropped := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tally_log_lines_dropped_total",
		Help: "Log lines dropped because the output did not take them in time.",
	}, func() float64 { return float64(logs.Lost()) })
	for _, c := range []prometheus.Collector{
		build, dropped,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, sendRaftMetricsTo(registry)
}

func sendRaftMetricsTo(registry *prometheus.Registry) error {
	// Without an expiration a metric that was seen once stays: a gap in a graph
	// then means that the node was down, not that nothing happened.
	sink, err := compatprom.NewPrometheusSinkFrom(compatprom.PrometheusOpts{Registerer: registry})
	if err != nil {
		return err
	}
	config := metrics.DefaultConfig("")
	config.EnableHostname = false       // the scraper knows where it scrapes
	config.EnableRuntimeMetrics = false // the Go collector has them
	config.BlockedPrefixes = perEntryMetrics
	_, err = metrics.NewGlobal(config, sink)
	return err
}
