package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

const (
	idlePairs   = 3  // parts without and with watchers, by turns
	idleWriters = 64 // connections that write as fast as they get replies
	idleLimit   = 0.95
	idleGroups  = 1000
	idleSettle  = time.Second // for a node to be done with what opening or closing has left
)

// idleResult has the writes a second of each part.
type idleResult struct {
	Connections int       `json:"connections"`
	Without     []float64 `json:"without"`
	With        []float64 `json:"with"`
	Ratio       float64   `json:"ratio"`
	Faults      faults    `json:"faults"`
}

// runIdle writes to other groups than those that are watched.
func runIdle(ctx context.Context, o options, c *cluster) (result, error) {
	shape := crowd{connections: 10_000, groupsEach: 1, groups: idleGroups}
	if o.connections > 0 {
		shape.connections = o.connections
	}
	run := runName()
	r := &idleResult{Connections: shape.connections}
	if _, err := writesPerSecond(ctx, c.leader, run, warmTime); err != nil {
		return nil, err
	}
	for range idlePairs {
		without, err := writesPerSecond(ctx, c.leader, run, o.duration/2)
		if err != nil {
			return nil, err
		}
		r.Without = append(r.Without, without)
		with, err := r.withWatchers(ctx, o, c, run, shape)
		if err != nil {
			return nil, err
		}
		r.With = append(r.With, with)
	}
	r.Ratio = median(r.With) / median(r.Without)
	return r, nil
}

func (r *idleResult) withWatchers(ctx context.Context, o options, c *cluster, run string, shape crowd) (float64, error) {
	w, err := openWatchers(ctx, c.node, run+"i", shape)
	if err != nil {
		return 0, err
	}
	defer func() {
		w.close()
		time.Sleep(idleSettle)
	}()
	time.Sleep(idleSettle)
	perSecond, err := writesPerSecond(ctx, c.leader, run, o.duration/2)
	if err != nil {
		return 0, err
	}
	w.close()
	ended, err := w.verdict(make([]int64, shape.groups))
	r.Faults.add(ended)
	return perSecond, err
}

// writesPerSecond writes as fast as replies come.
func writesPerSecond(ctx context.Context, leader, run string, duration time.Duration) (float64, error) {
	var done atomic.Int64
	start := time.Now()
	err := inParallel(idleWriters, func() error {
		w, err := openWriter(ctx, leader)
		if err != nil {
			return err
		}
		defer w.conn.close()
		for time.Since(start) < duration && ctx.Err() == nil {
			group := int(done.Add(1)) % idleGroups
			if _, _, err := w.increase(groupName(run, group)); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return float64(done.Load()) / time.Since(start).Seconds(), err
}

func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}

func (r *idleResult) err() error { return r.Faults.err() }

func (r *idleResult) String() string {
	return fmt.Sprintf("  without watchers      %.0f writes a second, median %.0f\n  with %d idle ones  %.0f writes a second, median %.0f\n  ratio %.3f%s\n",
		r.Without, median(r.Without), r.Connections, r.With, median(r.With), r.Ratio, verdict(true, r.Ratio >= idleLimit, "at least %.2f", idleLimit))
}
