package main

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// contender is one system at one work.
type contender struct {
	name string
	run  func(ctx context.Context) (Sample, error)
}

// work is something that several contenders do in turn.
type work struct {
	name       string
	what       string
	contenders []contender
	targets    []target
}

// target is a ratio that is aimed at.
type target struct {
	of, against string
	measure     measure
	atLeast     float64 // or, if 0,
	atMost      float64
}

// measure is which figure of two samples a target compares.
type measure string

const (
	rate measure = "rate"
	p99  measure = "p99"
)

func (m measure) of(s Sample) float64 {
	if m == p99 {
		return float64(s.P99)
	}
	return s.PerSecond
}

// systems are all that is measured. Those that are not installed are nil.
type systems struct {
	bolt, wal *tallyCluster
	etcd      *etcdCluster
	redis     *redisServer
	echo      *ceiling
}

// works are the closed loops. A contender whose system is missing is left out.
func (s *systems) works(duration time.Duration) []work {
	tally := func(t *tallyCluster, follower bool, load Load) func(context.Context) (Sample, error) {
		return s.present(t != nil, func(ctx context.Context) (Sample, error) { return t.load(ctx, follower, load) })
	}
	etcd := func(load Load) func(context.Context) (Sample, error) {
		return s.present(s.etcd != nil, func(ctx context.Context) (Sample, error) { return s.etcd.load(ctx, load) })
	}
	grpc := func(workers int, do func(context.Context, *clientv3.Client, int, int) error) func(context.Context) (Sample, error) {
		return s.present(s.etcd != nil, func(ctx context.Context) (Sample, error) { return s.etcd.grpc(ctx, workers, do) })
	}
	redis := func(connections int) func(context.Context) (Sample, error) {
		return s.present(s.redis != nil, func(ctx context.Context) (Sample, error) { return s.redis.increase(ctx, connections, duration) })
	}
	echo := func(connections int) func(context.Context) (Sample, error) {
		return func(ctx context.Context) (Sample, error) { return s.echo.load(ctx, Load{Connections: connections}) }
	}

	increases := func(connections int, targets ...target) work {
		load := Load{Connections: connections, Request: tallyIncrease(groups)}
		return work{
			name: fmt.Sprintf("increase-%d", connections),
			what: fmt.Sprintf("one durable, replicated change a request, %d connections, at the leader", connections),
			contenders: []contender{
				{"tally", tally(s.bolt, false, load)},
				{"tally-wal", tally(s.wal, false, load)},
				{"etcd-http put", etcd(Load{Connections: connections, Request: etcdPut()})},
				{"etcd-grpc put", grpc(connections, grpcPut)},
				{"redis (one node)", redis(connections)},
				{"echo (does nothing)", echo(connections)},
			},
			targets: targets,
		}
	}
	spread := Load{Connections: 64, Request: tallyIncrease(groups)}
	hot := Load{Connections: 64, Request: tallyIncrease(1)}
	return []work{
		increases(64,
			target{of: "tally", against: "etcd-http put", measure: rate, atLeast: 2.5},
			target{of: "tally", against: "etcd-grpc put", measure: rate, atLeast: 1.5},
			target{of: "tally", against: "etcd-http put", measure: p99, atMost: 0.5},
			target{of: "tally-wal", against: "etcd-http put", measure: rate, atLeast: 3.5},
			target{of: "tally-wal", against: "etcd-grpc put", measure: rate, atLeast: 2.2}),
		increases(256,
			target{of: "tally", against: "etcd-http put", measure: rate, atLeast: 3},
			target{of: "tally-wal", against: "etcd-http put", measure: rate, atLeast: 4.5},
			target{of: "tally-wal", against: "echo (does nothing)", measure: rate, atLeast: 0.45}),
		{
			name: "follower-64", what: "the same through a follower, 64 connections",
			contenders: []contender{
				{"tally at the leader", tally(s.bolt, false, spread)},
				{"tally at a follower", tally(s.bolt, true, spread)},
				{"tally-wal at the leader", tally(s.wal, false, spread)},
				{"tally-wal at a follower", tally(s.wal, true, spread)},
			},
			targets: []target{
				{of: "tally at a follower", against: "tally at the leader", measure: rate, atLeast: 0.9},
				{of: "tally-wal at a follower", against: "tally-wal at the leader", measure: rate, atLeast: 0.9},
			},
		},
		{
			name: "hot-64", what: "one hot counter against 1,000 counters, 64 connections; etcd counts by compare-and-swap",
			contenders: []contender{
				{"tally, 1,000 counters", tally(s.bolt, false, spread)},
				{"tally, one counter", tally(s.bolt, false, hot)},
				{"etcd, 1,000 counters", grpc(64, grpcIncrease(groups))},
				{"etcd, one counter", grpc(64, grpcIncrease(1))},
			},
			targets: []target{
				{of: "tally, one counter", against: "tally, 1,000 counters", measure: rate, atLeast: 0.95},
				{of: "etcd, one counter", against: "etcd, 1,000 counters", measure: rate},
			},
		},
		{
			name: "batch-64", what: "changes in batches of 100, 64 connections (target: 600,000 changes a second)",
			contenders: []contender{
				{"tally", tally(s.bolt, false, Load{Connections: 64, Request: tallyBatch(), Each: batchOperations})},
				{"tally-wal", tally(s.wal, false, Load{Connections: 64, Request: tallyBatch(), Each: batchOperations})},
			},
		},
		{
			name: "read-64", what: "linearizable reads, 64 connections, at the leader",
			contenders: []contender{
				{"tally", tally(s.bolt, false, Load{Connections: 64, Request: tallyRead("")})},
				{"etcd-http range", etcd(Load{Connections: 64, Request: etcdRange()})},
			},
			targets: []target{{of: "tally", against: "etcd-http range", measure: rate, atLeast: 2}},
		},
		{
			name: "stale-64", what: "stale reads, 64 connections, at a follower",
			contenders: []contender{
				{"tally", tally(s.bolt, true, Load{Connections: 64, Request: tallyRead("?consistency=stale")})},
				{"echo (does nothing)", echo(64)},
			},
			targets: []target{{of: "tally", against: "echo (does nothing)", measure: rate, atLeast: 0.7}},
		},
	}
}

// present is run, or nil where its system is missing.
func (s *systems) present(there bool, run func(context.Context) (Sample, error)) func(context.Context) (Sample, error) {
	if !there {
		return nil
	}
	return run
}
