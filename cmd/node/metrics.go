package main

import (
	"runtime"

	"github.com/hashicorp/go-metrics/compat"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

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
	config := metrics.DefaultConfig("")
	config.EnableHostname = false       // the scraper knows where it scrapes
	config.EnableRuntimeMetrics = false // the Go collector has them
	_, err := metrics.NewGlobal(config, newRaftMetrics(registry))
	return err
}
