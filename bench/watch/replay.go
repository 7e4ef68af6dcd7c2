package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	replayEvents      = 100_000
	replayTimes       = 5
	replayLimit       = 200_000   // events a second
	replayBufferBytes = 256 << 10 // one connection can have a large one
	replayMax         = 30 * time.Second
)

// replayResult has the events a second of each time.
type replayResult struct {
	Stream []float64 `json:"stream"`
	Poll   []float64 `json:"poll"`
	Faults faults    `json:"faults"`
}

// runReplay makes the events one by one, so that each has a revision and thus a
// message of its own, and then has them sent to one watcher after the other.
func runReplay(ctx context.Context, _ options, c *cluster) (result, error) {
	run := runName()
	w, err := openWriter(ctx, c.leader)
	if err != nil {
		return nil, err
	}
	defer w.conn.close()
	_, position, err := w.increase(groupName(run, 0))
	if err != nil {
		return nil, err
	}
	if err := makeEvents(ctx, c.leader, groupName(run, 0)); err != nil {
		return nil, err
	}
	r := &replayResult{}
	for range replayTimes {
		for _, way := range []struct {
			poll bool
			to   *[]float64
		}{{false, &r.Stream}, {true, &r.Poll}} {
			perSecond, err := r.replay(ctx, c.node, groupName(run, 0), position, way.poll)
			if err != nil {
				return nil, err
			}
			*way.to = append(*way.to, perSecond)
		}
	}
	return r, nil
}

// makeEvents increases a counter that is 1 until it has had all events.
func makeEvents(ctx context.Context, leader, group string) error {
	var next atomic.Int64
	return inParallel(idleWriters, func() error {
		w, err := openWriter(ctx, leader)
		if err != nil {
			return err
		}
		defer w.conn.close()
		for next.Add(1) <= replayEvents {
			if _, _, err := w.increase(group); err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
		}
		return nil
	})
}

// replay returns the events a second that one watcher gets from the position on,
// counted from its request to the last event.
func (r *replayResult) replay(ctx context.Context, node, group string, position int64, byPoll bool) (float64, error) {
	c, err := dial(ctx, node, replayBufferBytes)
	if err != nil {
		return 0, err
	}
	defer c.close()
	if err := c.net.SetDeadline(time.Now().Add(replayMax)); err != nil {
		return 0, err
	}
	w := &watcher{socket: c.net, values: []int64{1}, arrivals: make([]arrival, 0, replayEvents)}
	c.decoder.message = w.message
	first := streamFrom(group, position)
	if byPoll {
		w.poll, first = group, pollFrom(group, position)
	}
	start := time.Now()
	if _, err := c.net.Write(first); err != nil {
		return 0, err
	}
	for len(w.arrivals) < replayEvents && w.faults == (faults{}) {
		if err := c.read(); err != nil {
			return 0, fmt.Errorf("after %d events: %w", len(w.arrivals), err)
		}
	}
	r.Faults.add(w.faults)
	return float64(len(w.arrivals)) / time.Since(start).Seconds(), nil
}

func (r *replayResult) err() error { return r.Faults.err() }

func (r *replayResult) String() string {
	return fmt.Sprintf("  %d events, each a revision of its own\n  event stream  %.0f events a second, median %.0f%s\n  long polls    %.0f events a second, median %.0f\n",
		replayEvents, r.Stream, median(r.Stream), verdict(true, median(r.Stream) >= replayLimit, "at least %d", replayLimit), r.Poll, median(r.Poll))
}
