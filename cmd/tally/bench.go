package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tally/client"
	"tally/cmd/tally/internal/load"
	"tally/counter"
)

// benching are the flags of bench.
type benching struct {
	work        string
	rate        float64
	even        bool
	concurrency int
	duration    time.Duration
	warmup      time.Duration
	groups      int
	prefix      string
	batch       int
	keep        bool
	plot        string
	seed        uint64
}

func (p *program) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a cluster can do, and how fast it answers",
		Long: `Put load on the cluster and print rates and latencies.

Without --rate it is a closed loop: each of --concurrency callers sends its next request when its last one
was answered. That measures how much the cluster can do. With --rate it is an open loop: requests become due
at that rate whether or not earlier ones were answered, and latencies count from when each was due, so that
time in which the cluster stood still is not left out. That measures what callers would see.

It counts in groups of its own (--prefix) and deletes them at the end. Every change has an idempotency key and
is repeated until it is answered, as by any client, and that time is part of its latency.`,
		Example: `  tally bench
  tally bench --rate 2000 --time 30s --plot latency.svg
  tally bench --work read --concurrency 128
  tally bench --work batch --batch 100 -o json`,
		Args: arguments(0, 0, "[flags]"),
	}
	var b benching
	f := c.Flags()
	f.StringVar(&b.work, "work", "increase", "what is asked: increase, read, stale or batch")
	f.Float64Var(&b.rate, "rate", 0, "open loop: how many `requests a second` become due; 0 is a closed loop")
	f.BoolVar(&b.even, "even", false, "they become due at equal intervals, not at random ones as independent callers come")
	f.IntVar(&b.concurrency, "concurrency", 0, "how many requests are under way at once (default: 32; with --rate at most 1024)")
	f.DurationVar(&b.duration, "time", 10*time.Second, "how long is measured")
	f.DurationVar(&b.warmup, "warmup", 2*time.Second, "how long the load runs before that")
	f.IntVar(&b.groups, "groups", 100, "how many groups the requests are spread over")
	f.StringVar(&b.prefix, "prefix", "bench:", "how the IDs of those groups begin")
	f.IntVar(&b.batch, "batch", 100, "how many increases a batch has")
	f.BoolVar(&b.keep, "keep", false, "do not delete the groups at the end")
	f.StringVar(&b.plot, "plot", "", "`file` to draw the latencies into, as SVG")
	f.Uint64Var(&b.seed, "seed", 1, "`number` that the random intervals are made of")
	c.RunE = func(c *cobra.Command, _ []string) error { return p.bench(c.Context(), &b) }
	return c
}

func (b *benching) check() error {
	switch {
	case b.groups < 1 || b.batch < 1 || b.batch > counter.BatchOperationsMax:
		return usagef("--groups must be at least 1, --batch 1 to %d", counter.BatchOperationsMax)
	case b.concurrency < 0:
		return usagef("--concurrency must be at least 1")
	case b.prefix == "":
		return usagef("--prefix must not be empty: the groups are deleted at the end")
	case b.plot != "" && !strings.HasSuffix(b.plot, ".svg"):
		return usagef("--plot %s: only SVG is drawn; name a file that ends with .svg", b.plot)
	}
	if b.concurrency == 0 {
		b.concurrency = 32
		if b.rate > 0 {
			b.concurrency = 1024
		}
	}
	return nil
}

// benchReport is what bench prints as JSON.
type benchReport struct {
	Work       string `json:"work"`
	Groups     int    `json:"groups"`
	Batch      int    `json:"batch,omitempty"`
	TermBefore uint64 `json:"termBefore"`
	TermAfter  uint64 `json:"termAfter"`
	load.Report
}

func (p *program) bench(ctx context.Context, b *benching) error {
	if err := b.check(); err != nil {
		return err
	}
	return p.with(func(calls *client.Client) error {
		request, err := b.request(calls)
		if err != nil {
			return err
		}
		before, err := calls.Cluster(ctx)
		if err != nil {
			return err
		}
		bar := newBar(p.Stderr)
		measured, err := load.Run(ctx, load.Config{
			Rate: b.rate, Even: b.even, Seed: b.seed, Workers: b.concurrency,
			Warmup: b.warmup, Duration: b.duration, Drain: p.settings.Timeout,
			Call: request, Classify: classify, Progress: bar.progress,
		})
		bar.clear()
		if err != nil {
			return usageError{err}
		}
		// Also after Ctrl-C: what was measured is worth a report, and what was
		// written is not worth keeping.
		ctx := context.WithoutCancel(ctx)
		after, clusterErr := calls.Cluster(ctx)
		report := benchReport{b.work, b.groups, 0, before.Term, after.Term, measured}
		if b.work == "batch" {
			report.Batch = b.batch
		}
		return errors.Join(p.print(benchDocument(&report)), b.writePlot(&report), clusterErr, b.clean(ctx, calls))
	})
}

// request makes the function that sends one request.
func (b *benching) request(calls *client.Client) (func(context.Context, int) error, error) {
	group := func(number int) string { return fmt.Sprintf("%s%06d", b.prefix, number%b.groups) }
	const key = "count"
	switch b.work {
	case "increase":
		return func(ctx context.Context, number int) error {
			_, err := calls.Increase(ctx, group(number), map[string]int64{key: 1})
			return err
		}, nil
	case "read":
		return func(ctx context.Context, number int) error { _, err := calls.Get(ctx, group(number)); return err }, nil
	case "stale":
		return func(ctx context.Context, number int) error { _, err := calls.GetStale(ctx, group(number)); return err }, nil
	case "batch":
		return func(ctx context.Context, number int) error {
			operations := make([]counter.Operation, b.batch)
			for i := range operations {
				operations[i] = counter.Operation{Kind: counter.Increase, Group: group(number*b.batch + i), Counters: []counter.Counter{{Key: key, Value: 1}}}
			}
			_, err := calls.Batch(ctx, operations)
			return err
		}, nil
	}
	return nil, usagef("there is no work %q; there are: %s", b.work, strings.Join(benchWorks(), ", "))
}

func benchWorks() []string { return []string{"increase", "read", "stale", "batch"} }

// classify names a failure by its code, as the HTTP API does.
func classify(err error) string {
	refusal := new(counter.Error)
	switch {
	case errors.As(err, &refusal):
		return string(refusal.Code)
	case errors.Is(err, client.ErrUnreachable):
		return "unreachable"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "other"
}

// clean deletes the groups that were counted in.
func (b *benching) clean(ctx context.Context, calls *client.Client) error {
	if b.keep || b.work == "read" || b.work == "stale" {
		return nil
	}
	for first := 0; first < b.groups; first += counter.BatchOperationsMax {
		var operations []counter.Operation
		for i := first; i < min(first+counter.BatchOperationsMax, b.groups); i++ {
			operations = append(operations, counter.Operation{Kind: counter.Delete, Group: fmt.Sprintf("%s%06d", b.prefix, i), All: true})
		}
		if _, err := calls.Batch(ctx, operations); err != nil {
			return fmt.Errorf("the groups that begin with %q were not all deleted: %w", b.prefix, err)
		}
	}
	return nil
}

func (b *benching) writePlot(report *benchReport) (err error) {
	if b.plot == "" || report.Acknowledged == 0 {
		return nil
	}
	file, err := os.Create(b.plot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return report.WritePlot(file, "tally bench: "+b.work)
}

func benchDocument(r *benchReport) document {
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e6, 'f', 2, 64) }
	d := document{value: r, header: []string{"WORK", "LOOP", "ACKNOWLEDGED/S", "FAILED", "NOT SENT", "P50 MS", "P90 MS", "P99 MS", "P99.9 MS", "MAX MS"}}
	d.rows = [][]string{{
		r.Work, r.Loop, strconv.FormatFloat(r.PerSecond, 'f', 0, 64), strconv.FormatUint(r.Failed, 10), strconv.FormatUint(r.NotSent, 10),
		ms(r.Latency.P50), ms(r.Latency.P90), ms(r.Latency.P99), ms(r.Latency.P999), ms(r.Latency.Max),
	}}
	var notes []string
	if r.Loop == "open" {
		notes = append(notes, fmt.Sprintf("%g requests a second became due; latencies count from then.", r.Rate))
	}
	if r.Work == "batch" {
		notes = append(notes, fmt.Sprintf("Each is a batch of %d increases.", r.Batch))
	}
	if r.NotSent > 0 {
		notes = append(notes, fmt.Sprintf("%d requests were due and not sent, for all %d callers were busy: the rate is more than the cluster can do, and the latencies leave those out.", r.NotSent, r.Workers))
	}
	for kind, count := range r.Failures {
		notes = append(notes, fmt.Sprintf("%d failed: %s.", count, kind))
	}
	if r.TermAfter != r.TermBefore {
		notes = append(notes, fmt.Sprintf("The leader changed: term %d before, %d after.", r.TermBefore, r.TermAfter))
	}
	if r.Interrupted {
		notes = append(notes, "It was interrupted; this is what was measured until then.")
	}
	if len(notes) > 0 {
		d.note = "\n" + strings.Join(notes, "\n")
	}
	return d
}

// bar shows on a terminal how far a run is.
type bar struct{ out io.Writer } // nil where nobody looks

func newBar(out io.Writer) bar {
	if !isTerminal(out) {
		return bar{}
	}
	return bar{out}
}

// barWidth is how many characters are all of the bar.
const barWidth = 30

func (b bar) progress(p load.Progress) {
	if b.out != nil {
		fmt.Fprint(b.out, "\r", barLine(p), "\x1b[K")
	}
}

func (b bar) clear() {
	if b.out != nil {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}

func barLine(p load.Progress) string {
	done := int(barWidth * p.Elapsed / max(p.Total, 1))
	line := fmt.Sprintf("[%s%s] %d s of %d  %.0f/s", strings.Repeat("#", done), strings.Repeat(" ", barWidth-done),
		int(p.Elapsed.Seconds()), int(p.Total.Seconds()), p.PerSecond)
	if p.Failed > 0 {
		line += fmt.Sprintf("  %d failed", p.Failed)
	}
	return line
}
