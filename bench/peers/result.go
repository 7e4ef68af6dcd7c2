package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what the rounds of one work measured.
type result struct {
	Work    string              `json:"work"`
	What    string              `json:"what"`
	Order   []string            `json:"contenders"`
	Samples map[string][]Sample `json:"samples"` // by contender, one of each round
	Ratios  []ratio             `json:"ratios"`
}

// ratio is a target and what was measured: of each round, so that what slowed
// a round down slows both sides.
type ratio struct {
	Of      string  `json:"of"`
	Against string  `json:"against"`
	Measure measure `json:"measure"`
	Median  float64 `json:"median"`
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
	AtLeast float64 `json:"atLeast,omitempty"`
	AtMost  float64 `json:"atMost,omitempty"`
	Reached bool    `json:"reached"`
}

func (r *result) compare(targets []target) {
	for _, t := range targets {
		of, against := r.Samples[t.of], r.Samples[t.against]
		if len(of) == 0 || len(against) == 0 {
			continue
		}
		var ratios []float64
		for i := range min(len(of), len(against)) {
			ratios = append(ratios, t.measure.of(of[i])/t.measure.of(against[i]))
		}
		slices.Sort(ratios)
		median := ratios[len(ratios)/2]
		r.Ratios = append(r.Ratios, ratio{
			Of: t.of, Against: t.against, Measure: t.measure,
			Median: median, Least: ratios[0], Most: ratios[len(ratios)-1],
			AtLeast: t.atLeast, AtMost: t.atMost,
			Reached: median >= t.atLeast && (t.atMost == 0 || median <= t.atMost),
		})
	}
}

// median is the sample with the median rate.
func median(samples []Sample) Sample {
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b Sample) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	return sorted[len(sorted)/2]
}

func (r *result) print(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s: %s\n", r.Work, r.What)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  who\ta second\tspread\tp50\tp99\tfailed")
	for _, name := range r.Order {
		samples := r.Samples[name]
		middle, least, most := median(samples), samples[0].PerSecond, samples[0].PerSecond
		failed := 0
		for _, s := range samples {
			least, most, failed = min(least, s.PerSecond), max(most, s.PerSecond), failed+s.Failed
		}
		_, _ = fmt.Fprintf(table, "  %s\t%.0f\t%.0f to %.0f\t%v\t%v\t%d\n", name, middle.PerSecond, least, most,
			middle.P50.Round(10*time.Microsecond), middle.P99.Round(10*time.Microsecond), failed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, ratio := range r.Ratios {
		fmt.Fprintf(&text, "  %s\n", ratio)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (r ratio) String() string {
	text := fmt.Sprintf("%s of %s: %.2f of %s (%.2f to %.2f)", r.Measure, r.Of, r.Median, r.Against, r.Least, r.Most)
	verdict := "reached"
	if !r.Reached {
		verdict = "SHORT"
	}
	switch {
	case r.AtLeast > 0:
		text += fmt.Sprintf("; target at least %.2f: %s", r.AtLeast, verdict)
	case r.AtMost > 0:
		text += fmt.Sprintf("; target at most %.2f: %s", r.AtMost, verdict)
	}
	return text
}
