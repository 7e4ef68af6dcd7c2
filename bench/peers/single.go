package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/raft"

	"tally/storage"
)

const (
	// appendBytes is about what a command of one increase has.
	appendBytes = 100
	// singleAllowance is what a lone write may take besides the two appends,
	// before the factor.
	singleAllowance = 150 * time.Microsecond
	singleFactor    = 1.3
)

// single is one connection with one write at a time, against what the log
// stores of leader and follower take for one entry, one after the other.
func (s *systems) single(dir string) work {
	load := Load{Connections: 1, Request: tallyIncrease(groups)}
	w := work{name: "single", what: "one connection, one write at a time, and one entry appended to the log store alone"}
	for _, t := range []*tallyCluster{s.bolt, s.wal} {
		w.contenders = append(w.contenders,
			contender{"append to " + t.logStore, func(ctx context.Context) (Sample, error) { return appends(ctx, dir, t.logStore) }},
			contender{"tally with " + t.logStore, func(ctx context.Context) (Sample, error) { return t.load(ctx, false, load) }})
	}
	return w
}

// appends appends one entry after the other to a log store of its own.
func appends(ctx context.Context, dir, kind string) (s Sample, err error) {
	data, err := os.MkdirTemp(dir, "append")
	if err != nil {
		return s, err
	}
	defer func() { _ = os.RemoveAll(data) }()
	failed := make(chan error, 1)
	store, err := storage.Open(storage.Config{Dir: data, NodeID: "n1", LogStore: storage.LogStore(kind), Fatal: func(err error) {
		select {
		case failed <- err:
		default:
		}
	}})
	if err != nil {
		return s, err
	}
	defer func() { _ = store.Close() }()
	c := count{latencies: newHistogram()}
	began := time.Now()
	for index := uint64(1); ctx.Err() == nil; index++ {
		sent := time.Now()
		if err := store.Log.StoreLog(&raft.Log{Index: index, Term: 1, Data: make([]byte, appendBytes)}); err != nil {
			return s, err
		}
		if err := c.latencies.RecordValue(max(1, time.Since(sent).Microseconds())); err != nil {
			return s, err
		}
	}
	return summarize([]count{c}, 1, time.Since(began))
}

// singleVerdict compares the medians.
func (r *result) singleVerdict(kind string) string {
	store, write := median(r.Samples["append to "+kind]).P50, median(r.Samples["tally with "+kind]).P50
	budget := 2*store + singleAllowance
	ratio := float64(write) / float64(budget)
	verdict := "reached"
	if ratio > singleFactor {
		verdict = "SHORT"
	}
	return fmt.Sprintf("p50 with %s: %v is %.2f of two appends and %v (%v); target at most %.2f: %s", kind, write, ratio, singleAllowance, budget, singleFactor, verdict)
}
