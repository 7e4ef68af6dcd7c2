package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tally/cluster"
	"tally/counter"
	"tally/ratelimit"
)

// The names of the limits, as RateLimit-Policy and metrics show them.
const (
	mutationsLimit  = "mutations"
	readsLimit      = "reads"
	staleReadsLimit = "stale-reads"
)

// limits are this node's call limits of users; nil for one that is off.
type limits struct {
	mutations, reads, staleReads *callLimit
}

func (n *Node) openLimits() (err error) {
	c := &n.config
	for _, l := range []struct {
		limit **callLimit
		name  string
		max   int
	}{
		{&n.limits.mutations, mutationsLimit, c.UserMutationsMax},
		{&n.limits.reads, readsLimit, c.UserReadsMax},
		{&n.limits.staleReads, staleReadsLimit, c.UserReadsMax},
	} {
		if l.max == 0 {
			continue
		}
		if *l.limit, err = newCallLimit(l.name, l.max, c.UserCallsWindow); err != nil {
			return err
		}
		if err := c.Metrics.Register((*l.limit).users()); err != nil {
			return err
		}
	}
	return nil
}

// ofCluster are the limits that the cluster asks.
func (l *limits) ofCluster() (limits cluster.Limits) {
	// An interface that holds a nil pointer would not be nil.
	if l.mutations != nil {
		limits.Mutations = l.mutations
	}
	if l.reads != nil {
		limits.Reads, limits.StaleReads = l.reads, l.staleReads
	}
	return limits
}

// callLimit is a limiter that answers in the cluster's words.
type callLimit struct {
	*ratelimit.Limiter
	full counter.Quota // of a user who has not called
}

var _ cluster.MutationLimit = (*callLimit)(nil)

func newCallLimit(name string, callsMax int, window time.Duration) (*callLimit, error) {
	limiter, err := ratelimit.New(ratelimit.Config{CallsMax: callsMax, Window: window})
	if err != nil {
		return nil, err
	}
	return &callLimit{limiter, counter.Quota{Name: name, CallsMax: callsMax, Window: window, Remaining: callsMax}}, nil
}

// Admit implements cluster.Limit.
func (l *callLimit) Admit(user string, nowMs int64) cluster.Verdict {
	v := l.Limiter.Admit(user, nowMs)
	verdict := cluster.Verdict{OK: v.OK, AtMs: v.AtMs, Quota: l.full}
	verdict.Quota.Remaining, verdict.Quota.RetryAfter = v.Remaining, v.RetryAfter
	return verdict
}

// users is the gauge of the users who are remembered.
func (l *callLimit) users() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "tally_ratelimit_users",
		Help:        "Users whose calls are remembered for the call limit.",
		ConstLabels: prometheus.Labels{"limit": l.full.Name},
	}, func() float64 { return float64(l.Users()) })
}
