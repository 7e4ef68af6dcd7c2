package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
)

// metrics are the figures of one node; their names are part of the product.
type metrics struct {
	proposals     *prometheus.CounterVec
	applied       prometheus.Counter // of proposals, as the next two
	failed        prometheus.Counter
	replayed      prometheus.Counter
	commitSeconds prometheus.Histogram
	leaderships   prometheus.Counter
	limited       *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		proposals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tally_cluster_proposals_total",
			Help: "Commands this node proposed as the leader, by what became of them.",
		}, []string{"outcome"}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tally_cluster_commit_seconds",
			Help:    "From the proposal of a command to its result, on the leader.",
			Buckets: []float64{.0005, .001, .002, .004, .008, .016, .032, .064, .128, .25, .5, 1, 2, 5},
		}),
		leaderships: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tally_cluster_leaderships_total",
			Help: "Terms that this node has opened as the leader.",
		}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tally_cluster_rate_limited_total",
			Help: "Calls that this node refused because of a user's call limit, by what the limit counts. Mutations and reads are refused by the leader, stale reads where they arrive.",
		}, []string{"limit"}),
	}
	m.applied, m.failed, m.replayed = m.proposals.WithLabelValues("applied"), m.proposals.WithLabelValues("failed"), m.proposals.WithLabelValues("replayed")
	return m
}

// register also adds the gauges that read the node as it is.
func (m *metrics) register(n *Node, registerer prometheus.Registerer) error {
	collectors := []prometheus.Collector{m.proposals, m.commitSeconds, m.leaderships, m.limited}
	for _, gauge := range []struct {
		name, help string
		value      func() float64
	}{
		{"tally_cluster_leader", "1 while this node leads.", func() float64 { return oneIf(n.leads()) }},
		{"tally_cluster_candidate", "1 while this node is a candidate.", func() float64 { return oneIf(n.role() == counter.RoleCandidate) }},
		{"tally_cluster_term", "The current Raft term.", func() float64 { return float64(n.raft.CurrentTerm()) }},
		{"tally_cluster_last_index", "The last index of the log.", func() float64 { return float64(n.raft.LastIndex()) }},
		{"tally_cluster_commit_index", "The last index known to be committed.", func() float64 { return float64(n.raft.CommitIndex()) }},
		{"tally_cluster_members", "Members of the Raft configuration.", func() float64 { return float64(len(n.servers())) }},
		{"tally_cluster_proposals_waiting", "Commands that wait for the log.", func() float64 { return float64(n.proposer.waiting.Load()) }},
		{"tally_cluster_clock_skew_seconds", "How far this node's wall clock is ahead of the median of the voters'.", func() float64 { return n.clock.ownSkew().Seconds() }},
		{"tally_cluster_caught_up", "1 once this node has served a linearizable read since its start.", func() float64 { return oneIf(n.caughtUp.Load()) }},
	} {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: gauge.name, Help: gauge.help}, gauge.value))
	}
	for _, collector := range collectors {
		if err := registerer.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
