// Package load sends requests at a pace and measures how long each took.
//
// There are two paces. In a closed loop each worker sends its next request when
// its last one was answered: it finds out how much the other side can do, but a
// side that stands still for a second is asked nothing meanwhile, so its
// latencies say little about what callers would have met. In an open loop
// requests become due at a rate, as callers come who do not know of each other,
// and the latency of a request counts from when it was due, not from when a
// worker was free to send it; who stands still for a second pays for everyone
// who came in that second (G. Tene, "How NOT to Measure Latency": coordinated
// omission).
//
// The package does not know what a request is, and never prints.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what to send and how fast.
type Config struct {
	// Rate is how many requests become due a second; 0 is a closed loop.
	Rate float64
	// Even lets them become due at equal intervals. Otherwise the intervals are
	// random (exponential, a Poisson process), which is how independent callers come.
	Even bool
	// Seed makes the random intervals; equal seeds make equal ones.
	Seed uint64
	// Workers is how many requests can be under way at once: at least 1.
	Workers int
	// Warmup is how long requests are sent at the same pace before any is measured.
	Warmup time.Duration
	// Duration is for how long requests become due that are measured.
	Duration time.Duration
	// Drain is how long, after Duration, an open loop goes on sending what became
	// due and was not sent for want of a worker, and both wait for what is under way.
	Drain time.Duration
	// Call sends the request with the given number, counted from 0 over all
	// workers, and returns when it is answered. It is called by Workers
	// goroutines at once.
	Call func(ctx context.Context, number int) error
	// Classify names an error in Report.Failures; nil makes all "error".
	Classify func(error) string
	// Progress, if not nil, is told several times a second how far the run is, by
	// one goroutine.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Elapsed, Total time.Duration // of warm-up and duration together
	Acknowledged   uint64        // since the end of the warm-up
	Failed         uint64        // likewise
	PerSecond      float64       // acknowledged, over the time since the last report
}

// progressInterval is how often progress is reported.
const progressInterval = 200 * time.Millisecond

// Check says what is wrong with the configuration.
func (c *Config) Check() error {
	switch {
	case c.Workers < 1:
		return errors.New("at least 1 request must be under way at once")
	case c.Rate < 0 || c.Rate > 1e6:
		return fmt.Errorf("a rate of %g requests a second is not between 0 and 1,000,000", c.Rate)
	case c.Duration <= 0 || c.Warmup < 0 || c.Drain < 0:
		return errors.New("the duration must be more than 0, warm-up and drain not less")
	}
	return nil
}

// Run sends the load and returns what was measured. When ctx ends, the run ends
// early; what was measured until then is reported, with Report.Interrupted set.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Check(); err != nil {
		return Report{}, err
	}
	start := time.Now()
	measuredFrom := start.Add(c.Warmup)
	end := measuredFrom.Add(c.Duration)
	// What is under way at the end is given Drain to be answered.
	calls, cancel := context.WithDeadline(ctx, end.Add(c.Drain))
	defer cancel()

	r := &run{config: c, start: start, measuredFrom: measuredFrom, end: end, recorder: newRecorder(c.Classify)}
	if c.Rate > 0 {
		r.schedule = newSchedule(c, start)
	}
	var workers sync.WaitGroup
	for range c.Workers {
		workers.Go(func() { r.work(calls) })
	}
	stopProgress := r.reportProgress()
	workers.Wait()
	stopProgress()
	return r.report(ctx), nil
}

// run is one run under way.
type run struct {
	config                   Config
	start, measuredFrom, end time.Time
	schedule                 *schedule // nil in a closed loop
	recorder                 *recorder
	sent                     atomic.Int64
}

// work is one worker.
func (r *run) work(ctx context.Context) {
	for {
		due, ok := r.next(ctx)
		if !ok {
			return
		}
		err := r.config.Call(ctx, int(r.sent.Add(1)-1))
		if due.Before(r.measuredFrom) {
			continue
		}
		// A call that was given up because the run was is no failure of the
		// other side. One that is unanswered at the end of the drain is.
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			r.recorder.abandon()
			return
		}
		r.recorder.record(time.Since(due), err)
	}
}

// next waits until this worker may send and returns from when the latency
// counts; ok is false at the end of the run.
func (r *run) next(ctx context.Context) (due time.Time, ok bool) {
	if r.schedule == nil {
		now := time.Now()
		return now, ctx.Err() == nil && now.Before(r.end)
	}
	due, ok = r.schedule.next(r.end)
	if !ok {
		return due, false
	}
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		r.giveUp(due)
		return due, false
	}
	return due, true
}

// giveUp counts what became due and was never sent, from the given request on,
// when a run ends before its schedule does.
func (r *run) giveUp(due time.Time) {
	now := time.Now()
	for ok := true; ok && !due.After(now); due, ok = r.schedule.next(r.end) {
		if !due.Before(r.measuredFrom) {
			r.recorder.notSent()
		}
	}
}

// reportProgress starts the goroutine that tells how far the run is; the
// function returned ends it and waits for it.
func (r *run) reportProgress() (stop func()) {
	if r.config.Progress == nil {
		return func() {}
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		var before uint64
		last := r.start
		for {
			select {
			case <-ended:
				return
			case now := <-ticker.C:
				acknowledged, failed := r.recorder.counts()
				r.config.Progress(Progress{
					Elapsed:      min(now.Sub(r.start), r.end.Sub(r.start)),
					Total:        r.end.Sub(r.start),
					Acknowledged: acknowledged,
					Failed:       failed,
					PerSecond:    float64(acknowledged-before) / now.Sub(last).Seconds(),
				})
				before, last = acknowledged, now
			}
		}
	}()
	return func() {
		close(ended)
		<-stopped
	}
}
