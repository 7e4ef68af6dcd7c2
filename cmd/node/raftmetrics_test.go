package main

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/hashicorp/go-metrics/compat"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestRaftMetricsKeepNamesAndLabels(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newRaftMetrics(registry)
	peer := func(id string) []metrics.Label { return []metrics.Label{{Name: "peer_id", Value: id}} }
	m.IncrCounter([]string{"raft", "apply"}, 2)
	m.IncrCounter([]string{"raft", "apply"}, 1)
	m.SetGauge([]string{"raft", "leader", "dispatchNumLogs"}, 7)
	m.SetGauge([]string{"raft", "leader", "dispatchNumLogs"}, 5)
	m.IncrCounterWithLabels([]string{"raft", "replication", "appendEntries", "logs"}, 3, peer("n2"))
	m.IncrCounterWithLabels([]string{"raft", "replication", "appendEntries", "logs"}, 4, peer("n3"))
	m.SetGauge([]string{"raft", "odd-name", "a.b"}, 1)

	want := `# HELP raft_apply raft_apply
# TYPE raft_apply counter
raft_apply 3
# HELP raft_leader_dispatchNumLogs raft_leader_dispatchNumLogs
# TYPE raft_leader_dispatchNumLogs gauge
raft_leader_dispatchNumLogs 5
# HELP raft_odd_name_a_b raft_odd_name_a_b
# TYPE raft_odd_name_a_b gauge
raft_odd_name_a_b 1
# HELP raft_replication_appendEntries_logs raft_replication_appendEntries_logs
# TYPE raft_replication_appendEntries_logs counter
raft_replication_appendEntries_logs{peer_id="n2"} 3
raft_replication_appendEntries_logs{peer_id="n3"} 4
`
	reply := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(reply, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if got := reply.Body.String(); got != want {
		t.Errorf("/metrics is\n%s\nwant\n%s", got, want)
	}
}

// Raft's goroutines see a metric for the first time at the same moment.
func TestRaftMetricsLoseNoSample(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newRaftMetrics(registry)
	var goroutines sync.WaitGroup
	for range 8 {
		goroutines.Go(func() {
			for range 100 {
				m.AddSample([]string{"raft", "fsm", "applyBatchNum"}, 3)
			}
		})
	}
	goroutines.Wait()

	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("gathered %d metrics, %v", len(families), err)
	}
	got := families[0].GetMetric()[0].GetHistogram()
	if families[0].GetName() != "raft_fsm_applyBatchNum" || got.GetSampleCount() != 800 || got.GetSampleSum() != 2400 {
		t.Errorf("%s has %d samples that add up to %v, want 800 and 2400", families[0].GetName(), got.GetSampleCount(), got.GetSampleSum())
	}
}

// One value of each kind, as one write of the log has some 30 of.
func BenchmarkRaftMetrics(b *testing.B) {
	m := newRaftMetrics(prometheus.NewRegistry())
	key := []string{"raft", "replication", "appendEntries", "rpc"}
	labels := []metrics.Label{{Name: "peer_id", Value: "n2"}}
	b.ReportAllocs()
	for b.Loop() {
		m.AddSampleWithLabels(key, 1.5, labels)
	}
}
