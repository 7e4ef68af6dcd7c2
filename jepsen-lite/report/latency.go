package report

import (
	"cmp"
	"slices"
	"time"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
)

// kindRow is what came of the operations of one kind in one workload.
type kindRow struct {
	checker.KindStats
	// Latencies are those of the answers: ok and decided.
	Latencies quantiles
}

// quantiles are of a list of latencies; all 0 of an empty one.
type quantiles struct {
	P50, P95, P99, Max time.Duration
}

// quantilesOf sorts the latencies. The p-quantile is the smallest of them that p
// of all are not above.
func quantilesOf(latencies []time.Duration) quantiles {
	if len(latencies) == 0 {
		return quantiles{}
	}
	slices.Sort(latencies)
	at := func(percent int) time.Duration { return latencies[(len(latencies)*percent+99)/100-1] }
	return quantiles{at(50), at(95), at(99), latencies[len(latencies)-1]}
}

// answered says that the cluster served the request, be it with a refusal.
func answered(o *history.Operation) bool {
	return o.OK() || o.Outcome == history.TypeFail && o.Reply.Status >= 400 && o.Reply.Status < 500
}

// kindRows adds latencies to the statistics.
func kindRows(stats []checker.KindStats, h *history.History) []kindRow {
	type id struct {
		workload string
		kind     history.Kind
	}
	latencies := map[id][]time.Duration{}
	for i := range h.Operations {
		if o := &h.Operations[i]; answered(o) {
			k := id{o.Op.Workload, o.Op.Kind}
			latencies[k] = append(latencies[k], o.Returned-o.Invoked)
		}
	}
	var rows []kindRow
	for _, s := range stats {
		rows = append(rows, kindRow{s, quantilesOf(latencies[id{s.Workload, s.Kind}])})
	}
	slices.SortStableFunc(rows, func(a, b kindRow) int { return cmp.Compare(a.Workload, b.Workload) })
	return rows
}
