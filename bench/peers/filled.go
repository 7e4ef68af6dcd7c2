package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	filledGroups   = 200_000
	filledCounters = 20
	filledEntries  = 100_000 // log entries behind the data for the start of a node

	groupsPerBatch = 50
	fillers        = 8
	redisPipeline  = 100 // a divisor of filledGroups

	settle = 10 * time.Second // until a filled system is looked at

	memoryFactor   = 1.5 // of Redis
	startTarget    = 3 * time.Second
	snapshotFactor = 2.0
)

// filled measures systems that hold 200,000 groups of 20 counters: memory, the
// start of a node, and writes while snapshots are taken.
func filled(ctx context.Context, o options, dir string) error {
	plain := newTally(o.tallyd, dir+"/plain", "boltdb")
	defer plain.stop()
	if err := fillTally(ctx, plain); err != nil {
		return err
	}
	if err := memory(ctx, plain, dir); err != nil {
		return err
	}
	if err := starts(ctx, plain, o); err != nil {
		return err
	}
	busy := newTally(o.tallyd, dir+"/busy", "boltdb", "--snapshot-interval", "200ms", "--snapshot-threshold", "1000")
	defer busy.stop()
	if err := fillTally(ctx, busy); err != nil {
		return err
	}
	return snapshots(ctx, plain, busy, o)
}

// fillTally starts the cluster and sets the counters, values below 10,000.
func fillTally(ctx context.Context, t *tallyCluster) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	leader, _, err := t.leader()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for filler := range fillers {
		group.Go(func() error {
			for first := filler * groupsPerBatch; first < filledGroups && ctx.Err() == nil; first += fillers * groupsPerBatch {
				// To set again is harmless, so whatever went wrong is tried again.
				if err := await(ctx, "fill", func() error {
					return call(http.MethodPost, "http://"+leader+"/v1/batch", fillBatch(first), nil)
				}); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

func fillBatch(first int) string {
	operations := make([]string, groupsPerBatch)
	for i := range operations {
		counters := make([]string, filledCounters)
		for j := range counters {
			counters[j] = fmt.Sprintf(`"counter%02d":%d`, j+1, filledValue(first+i, j))
		}
		operations[i] = fmt.Sprintf(`{"op":"set","group":"%s","counters":{%s}}`, groupName(first+i), strings.Join(counters, ","))
	}
	return `{"operations":[` + strings.Join(operations, ",") + `]}`
}

// increaseFilled increases a counter that the groups have: they take no further one.
func increaseFilled() func(worker, i int) []byte {
	return prepared(groups, func(i int) []byte {
		return post("/v1/groups/"+groupName(i)+"/counters/counter01/increase", "")
	})
}

func filledValue(group, counter int) int { return (group*filledCounters + counter) * 7919 % 10_000 }

// fillRedis makes the same hashes in Redis.
func fillRedis(r *redisServer) error {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	out, answers := bufio.NewWriter(conn), bufio.NewReader(conn)
	for group := range filledGroups {
		_, _ = fmt.Fprintf(out, "HSET %s", groupName(group))
		for counter := range filledCounters {
			_, _ = fmt.Fprintf(out, " counter%02d %d", counter+1, filledValue(group, counter))
		}
		_, _ = out.WriteString("\r\n")
		if group%redisPipeline == redisPipeline-1 {
			if err := confirm(out, answers, redisPipeline); err != nil {
				return err
			}
		}
	}
	return nil
}

// confirm sends n commands that wait in out, and reads that each was carried out.
func confirm(out *bufio.Writer, answers *bufio.Reader, n int) error {
	if err := out.Flush(); err != nil {
		return err
	}
	for range n {
		answer, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(answer, ":") {
			return fmt.Errorf("HSET: %q", answer)
		}
	}
	return nil
}

// memory compares what the processes have resident, settled and after a restart.
func memory(ctx context.Context, t *tallyCluster, dir string) error {
	fmt.Printf("\nmemory: %d groups of %d counters\n", filledGroups, filledCounters)
	time.Sleep(settle)
	if err := printResident("right after they were set", t); err != nil {
		return err
	}
	for number := range 3 {
		t.kill(nodeName(number))
	}
	for number := range 3 {
		if err := t.startNode(number); err != nil {
			return err
		}
	}
	if err := t.awaitReady(ctx, 0, 1, 2); err != nil {
		return err
	}
	time.Sleep(settle)
	if err := printResident("after a restart", t); err != nil {
		return err
	}
	if missing("redis-server") {
		return nil
	}
	redis := newRedis(dir + "/filled")
	defer redis.stop()
	if err := redis.start(ctx); err != nil {
		return err
	}
	if err := fillRedis(redis); err != nil {
		return err
	}
	bytes, err := redis.residentBytes("redis")
	if err != nil {
		return err
	}
	fmt.Printf("  Redis: %.0f MB; target for a node: at most %.1f times that, %.0f MB\n", float64(bytes)/1e6, memoryFactor, memoryFactor*float64(bytes)/1e6)
	return nil
}

func printResident(when string, t *tallyCluster) error {
	for number := range 3 {
		bytes, err := t.residentBytes(nodeName(number))
		if err != nil {
			return err
		}
		fmt.Printf("  %s, %s: %.0f MB\n", nodeName(number), when, float64(bytes)/1e6)
	}
	return nil
}

// awaitReady waits until nodes have caught up.
func (t *tallyCluster) awaitReady(ctx context.Context, numbers ...int) error {
	for _, number := range numbers {
		if err := await(ctx, nodeName(number), func() error {
			return call(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", t.httpPorts[number]), "", nil)
		}); err != nil {
			return err
		}
	}
	return nil
}

// starts measures how long a node takes from its start until it is ready, with
// the data in its log and its snapshots.
func starts(ctx context.Context, t *tallyCluster, o options) error {
	if err := t.append(ctx, filledEntries); err != nil {
		return err
	}
	var took []time.Duration
	for range max(o.rounds, 3) {
		t.kill(nodeName(2))
		began := time.Now()
		if err := t.startNode(2); err != nil {
			return err
		}
		if err := t.awaitReady(ctx, 2); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	fmt.Printf("\nstart: a killed node with that data and %d further log entries is ready after %v (%v to %v); target at most %v\n",
		filledEntries, took[len(took)/2].Round(10*time.Millisecond), took[0].Round(10*time.Millisecond), took[len(took)-1].Round(10*time.Millisecond), startTarget)
	return nil
}

// append makes at least n log entries.
func (t *tallyCluster) append(ctx context.Context, n int) error {
	const runFor = 2 * time.Second
	for done := 0.0; done < float64(n); {
		limited, cancel := context.WithTimeout(ctx, runFor)
		sample, err := t.load(limited, false, Load{Connections: 256, Request: increaseFilled()})
		cancel()
		if err != nil {
			return err
		}
		if sample.PerSecond == 0 {
			return errors.New("no write succeeds")
		}
		done += sample.PerSecond * runFor.Seconds()
	}
	return ctx.Err()
}

// snapshots compares the latency of writes on a cluster that takes no snapshot
// meanwhile with that on one that takes them all the time.
func snapshots(ctx context.Context, plain, busy *tallyCluster, o options) error {
	load := Load{Connections: 64, Request: increaseFilled()}
	write := func(t *tallyCluster) func(context.Context) (Sample, error) {
		return func(ctx context.Context) (Sample, error) { return t.load(ctx, false, load) }
	}
	w := work{
		name: "snapshots", what: fmt.Sprintf("writes while snapshots of %d groups are taken one after the other, 64 connections", filledGroups),
		contenders: []contender{{"without", write(plain)}, {"with", write(busy)}},
		targets:    []target{{of: "with", against: "without", measure: p99, atMost: snapshotFactor}},
	}
	r, err := w.run(ctx, o)
	if err != nil {
		return err
	}
	return r.report(o.json)
}
