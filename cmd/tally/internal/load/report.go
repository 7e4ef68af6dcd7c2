package load

import (
	"context"
	"maps"
	"time"
)

// Report is what a run measured. Latencies are of requests that were
// acknowledged, from when they were due (open loop) or sent (closed loop).
type Report struct {
	// Loop is "open" or "closed".
	Loop string `json:"loop"`
	// Rate is what was asked for, a second; 0 in a closed loop.
	Rate    float64 `json:"rate,omitempty"`
	Workers int     `json:"workers"`
	// StartedAt is when measuring began, after the warm-up.
	StartedAt time.Time `json:"startedAt"`
	// Seconds is how long requests became due that were measured.
	Seconds float64 `json:"seconds"`
	// Interrupted: the run was ended before its time.
	Interrupted bool `json:"interrupted,omitempty"`

	Acknowledged uint64 `json:"acknowledged"`
	// PerSecond is Acknowledged over the time until the last answer.
	PerSecond float64           `json:"perSecond"`
	Failed    uint64            `json:"failed"`
	Failures  map[string]uint64 `json:"failures"` // how many of each kind
	// NotSent were due, but all workers were busy until the end of the drain.
	// More than a few mean that the rate is more than the cluster can do, and that
	// the latencies are too good by those that are missing.
	NotSent uint64 `json:"notSent"`
	// Abandoned were under way when the run was interrupted.
	Abandoned uint64 `json:"abandoned,omitempty"`

	Latency Latency `json:"latency"`
	// Percentiles is the distribution, denser toward 100, for a plot.
	Percentiles []Percentile `json:"percentiles"`
}

// Latency are the usual figures, in nanoseconds in JSON.
type Latency struct {
	Min  time.Duration `json:"minNs"`
	Mean time.Duration `json:"meanNs"`
	P50  time.Duration `json:"p50Ns"`
	P90  time.Duration `json:"p90Ns"`
	P99  time.Duration `json:"p99Ns"`
	P999 time.Duration `json:"p999Ns"`
	Max  time.Duration `json:"maxNs"`
}

// Percentile says that so many of a hundred requests took at most Latency.
type Percentile struct {
	Percentile float64       `json:"percentile"`
	Latency    time.Duration `json:"latencyNs"`
}

func (r *run) report(ctx context.Context) Report {
	ended := time.Now()
	m := r.recorder
	m.mu.Lock()
	defer m.mu.Unlock()
	report := Report{
		Loop:         "closed",
		Rate:         r.config.Rate,
		Workers:      r.config.Workers,
		StartedAt:    r.measuredFrom,
		Seconds:      max(0, min(ended.Sub(r.measuredFrom), r.config.Duration).Seconds()),
		Interrupted:  ctx.Err() != nil,
		Acknowledged: m.acknowledged,
		Failed:       m.failed,
		Failures:     maps.Clone(m.failures),
		NotSent:      m.unsent,
		Abandoned:    m.abandoned,
	}
	if r.config.Rate > 0 {
		report.Loop = "open"
	}
	if measured := ended.Sub(r.measuredFrom).Seconds(); measured > 0 {
		report.PerSecond = float64(m.acknowledged) / measured
	}
	if m.acknowledged > 0 {
		report.Latency, report.Percentiles = m.distribution()
	}
	return report
}

// distribution is called with mu held.
func (m *recorder) distribution() (Latency, []Percentile) {
	at := func(percentile float64) time.Duration {
		return min(time.Duration(m.latencies.ValueAtPercentile(percentile))*latencyUnit, m.slowest)
	}
	latency := Latency{
		Min:  time.Duration(m.latencies.Min()) * latencyUnit,
		Mean: time.Duration(m.latencies.Mean() * float64(latencyUnit)),
		P50:  at(50),
		P90:  at(90),
		P99:  at(99),
		P999: at(99.9),
		Max:  m.slowest,
	}
	var percentiles []Percentile
	for _, percentile := range plotted() {
		percentiles = append(percentiles, Percentile{percentile, at(percentile)})
		// Beyond this there is less than one request, and all is the slowest.
		if float64(m.acknowledged)*(100-percentile)/100 < 1 {
			break
		}
	}
	return latency, append(percentiles, Percentile{100, m.slowest})
}

// plotted are the percentiles of a distribution: ten steps for each "nine".
func plotted() []float64 {
	var all []float64
	rest := 100.0 // what is above the percentile
	for range 6 {
		for step := range 9 {
			all = append(all, 100-rest*(1-float64(step)/10))
		}
		rest /= 10
	}
	return all
}
