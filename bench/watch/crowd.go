package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// crowd is a measurement of many watchers that are told of changes made at a
// given rate.
type crowd struct {
	connections int
	groupsEach  int // groups of one connection; groups is a multiple of it
	groups      int
	rate        int // changes a second
	poll        bool

	limit      time.Duration // for the 99th percentile from sending; 0: none
	bytesLimit float64       // for a connection; 0: none
}

// crowdResult is what one has measured.
type crowdResult struct {
	Connections       int         `json:"connections"`
	GroupsEach        int         `json:"groupsEach"`
	Groups            int         `json:"groups"`
	Changes           int         `json:"changes"`
	ChangesPerSecond  float64     `json:"changesPerSecond"`
	Failed            int         `json:"failed"`    // writes, for which there is no latency
	Elections         uint64      `json:"elections"` // since before the measurement
	Delivered         int64       `json:"delivered"`
	FromSending       percentiles `json:"fromSending"`
	FromReply         percentiles `json:"fromReply"`
	Writing           percentiles `json:"writing"`
	BytesPerWatcher   float64     `json:"residentBytesPerConnection"`
	ResidentBefore    float64     `json:"residentBytesBefore"`
	NodeCores         float64     `json:"nodeCores"`
	Faults            faults      `json:"faults"`
	shape             crowd
	whyConnectionEnds error
}

// warmTime is how long the node is written to before its memory is looked at.
const warmTime = 2 * time.Second

func (shape crowd) run(ctx context.Context, o options, c *cluster) (result, error) {
	if o.connections > 0 {
		shape.connections = o.connections
	}
	run := runName()
	begin := time.Now()
	warm := crowd{groups: shape.groups, rate: max(shape.rate, 100)}
	if _, err := makeChanges(ctx, c.leader, run+"w", warm, warmTime, func() time.Duration { return time.Since(begin) }); err != nil {
		return nil, err
	}
	before, err := c.usage(ctx)
	if err != nil {
		return nil, err
	}

	w, err := openWatchers(ctx, c.node, run, shape)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := &crowdResult{Connections: shape.connections, GroupsEach: shape.groupsEach, Groups: shape.groups, ResidentBefore: before.residentBytes, shape: shape}
	opened, err := c.usage(ctx)
	if err != nil {
		return nil, err
	}
	started := w.now()
	made, err := makeChanges(ctx, c.leader, run, shape, o.duration, w.now)
	if err != nil {
		return nil, err
	}
	took := w.now() - started
	after, err := c.usage(ctx)
	if err != nil {
		return nil, err
	}
	newest, err := made.newest(ctx, c.leader, run)
	if err != nil {
		return nil, err
	}
	w.settle(ctx, newest)
	w.close()

	r.BytesPerWatcher = (max(opened.residentBytes, after.residentBytes) - before.residentBytes) / float64(shape.connections)
	r.NodeCores = (after.cpuSeconds - opened.cpuSeconds) / took.Seconds()
	r.Delivered = w.delivered.Load()
	r.Faults, r.whyConnectionEnds = w.verdict(newest)
	r.measure(w, made)
	r.ChangesPerSecond = float64(r.Changes) / took.Seconds()
	r.Elections, err = c.elections(ctx)
	return r, err
}

// runName sets the groups of this run apart from those of others.
func runName() string { return fmt.Sprintf("w%x", time.Now().UnixMilli()) }

// measure joins what the watchers have seen with what was written.
func (r *crowdResult) measure(w *watchers, made *changes) {
	var fromSending, fromReply, writing []time.Duration
	for _, watcher := range w.all {
		for _, a := range watcher.arrivals {
			of, known := made.of(a.group, a.value)
			if !known {
				continue
			}
			fromSending = append(fromSending, a.at-of.sent)
			fromReply = append(fromReply, a.at-of.replied)
		}
	}
	for _, group := range made.byGroup {
		for _, of := range group {
			if of != (change{}) {
				writing = append(writing, of.replied-of.sent)
			}
		}
	}
	r.Changes, r.Failed = len(writing), made.failed
	r.FromSending, r.FromReply, r.Writing = percentilesOf(fromSending), percentilesOf(fromReply), percentilesOf(writing)
}

func (r *crowdResult) err() error { return errors.Join(r.Faults.err(), r.whyConnectionEnds) }

func (r *crowdResult) String() string {
	way := "event streams"
	if r.shape.poll {
		way = "long polls"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %d %s of %d of %d groups, %d changes, %.0f a second, %d deliveries\n",
		r.Connections, way, r.GroupsEach, r.Groups, r.Changes, r.ChangesPerSecond, r.Delivered)
	fmt.Fprintf(&b, "  from sending   %s%s\n", r.FromSending, verdict(r.shape.limit > 0, r.FromSending.P99 < r.shape.limit, "p99 under %v", r.shape.limit))
	fmt.Fprintf(&b, "  from reply     %s\n", r.FromReply)
	fmt.Fprintf(&b, "  writing        %s\n", r.Writing)
	fmt.Fprintf(&b, "  memory         %.1f KB a connection, beside %.0f MB without any%s\n", r.BytesPerWatcher/1000, r.ResidentBefore/1e6,
		verdict(r.shape.bytesLimit > 0, r.BytesPerWatcher <= r.shape.bytesLimit, "at most %.0f KB", r.shape.bytesLimit/1000))
	fmt.Fprintf(&b, "  processor      %.2f cores for this node\n", r.NodeCores)
	fmt.Fprintf(&b, "  disturbances   %d elections, %d failed writes\n", r.Elections, r.Failed)
	fmt.Fprintf(&b, "  faults         %d missing, %d misplaced, %d resets, %d connections ended\n",
		r.Faults.Missing, r.Faults.Misplaced, r.Faults.Resets, r.Faults.Ended)
	return b.String()
}

// verdict says whether a limit was held, if there is one.
func verdict(limited, held bool, limit string, value any) string {
	switch {
	case !limited:
		return ""
	case held:
		return fmt.Sprintf("   (held: "+limit+")", value)
	}
	return fmt.Sprintf("   (MISSED: "+limit+")", value)
}

// percentiles are of all deliveries.
type percentiles struct {
	P50 time.Duration `json:"p50Ns"`
	P99 time.Duration `json:"p99Ns"`
	Max time.Duration `json:"maxNs"`
}

func percentilesOf(all []time.Duration) percentiles {
	if len(all) == 0 {
		return percentiles{}
	}
	slices.Sort(all)
	return percentiles{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

func (p percentiles) String() string {
	return fmt.Sprintf("p50 %7.2f ms   p99 %7.2f ms   max %7.2f ms", milliseconds(p.P50), milliseconds(p.P99), milliseconds(p.Max))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
