package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// redisServer is one Redis that syncs each change, without replication.
type redisServer struct {
	*processes
	port int
}

func newRedis(dir string) *redisServer {
	return &redisServer{processes: newProcesses(filepath.Join(dir, "redis"))}
}

func (r *redisServer) start(ctx context.Context) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	r.port = ports[0]
	if err := r.processes.start("redis", "redis-server", "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1",
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", r.dir); err != nil {
		return err
	}
	return await(ctx, "redis", func() error { return exec.Command("redis-cli", "-p", strconv.Itoa(r.port), "ping").Run() })
}

// increase runs Redis's own benchmark, whose unit is a number of requests. A
// first short run tells how many last about as long as the others' runs.
func (r *redisServer) increase(ctx context.Context, connections int, duration time.Duration) (Sample, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*answerTimeout)
	defer cancel()
	probe, err := r.benchmark(ctx, connections, 20_000)
	if err != nil {
		return Sample{}, err
	}
	return r.benchmark(ctx, connections, max(20_000, int(probe.PerSecond*duration.Seconds())))
}

func (r *redisServer) benchmark(ctx context.Context, connections, requests int) (Sample, error) {
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-p", strconv.Itoa(r.port), "-c", strconv.Itoa(connections),
		"-n", strconv.Itoa(requests), "-r", strconv.Itoa(groups), "--csv", "HINCRBY", "group:__rand_int__", "likes", "1").Output()
	if err != nil {
		return Sample{}, err
	}
	return parseRedis(string(out))
}

// parseRedis reads the last line of the benchmark's CSV:
// test, rps, avg, min, p50, p95, p99, max latency in milliseconds.
func parseRedis(out string) (Sample, error) {
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		return Sample{}, err
	}
	if len(rows) == 0 || len(rows[len(rows)-1]) < 8 {
		return Sample{}, errors.New("redis-benchmark printed no row of eight fields")
	}
	var values [8]float64
	for i, field := range rows[len(rows)-1][1:8] {
		if values[i+1], err = strconv.ParseFloat(field, 64); err != nil {
			return Sample{}, fmt.Errorf("redis-benchmark: %w", err)
		}
	}
	return Sample{PerSecond: values[1], P50: milliseconds(values[4]), P99: milliseconds(values[6]), Max: milliseconds(values[7])}, nil
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
