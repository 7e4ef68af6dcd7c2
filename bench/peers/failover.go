package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	writersEach  = 4               // writers pinned to each node
	writeTimeout = 2 * time.Second // of one attempt
	warmUp       = time.Second     // of writing before the leader is killed
	watchGap     = 6 * time.Second // how long writing goes on after that

	gapMedianTarget = 800 * time.Millisecond
	gapWorstTarget  = 1500 * time.Millisecond
)

// voter is a cluster whose leader can be killed and started again.
type voter interface {
	// leads returns the number of the node that leads.
	leads() (int, error)
	// write makes one durable change through a node.
	write(ctx context.Context, number int) error
	killNode(number int)
	restart(ctx context.Context, number int) error
}

// failover kills the leaders of Tally and of etcd in turn and measures how long
// nobody's writes are acknowledged.
func failover(ctx context.Context, o options, dir string, trials int) error {
	tally := newTally(o.tallyd, dir+"/failover", "boltdb")
	defer tally.stop()
	if err := tally.start(ctx); err != nil {
		return err
	}
	names, clusters := []string{"tally"}, []voter{tally}
	if !missing("etcd") {
		etcd := newEtcd(dir + "/failover")
		defer etcd.stop()
		if err := etcd.start(ctx); err != nil {
			return err
		}
		names, clusters = append(names, "etcd"), append(clusters, etcd)
	}
	gaps := make([][]time.Duration, len(clusters))
	for range trials {
		for i, c := range clusters {
			gap, err := trial(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			gaps[i] = append(gaps[i], gap)
		}
	}
	fmt.Printf("\nfailover: %d times SIGKILL of the leader under %d writers; the longest time without an acknowledged write\n", trials, 3*writersEach)
	for i, name := range names {
		slices.Sort(gaps[i])
		fmt.Printf("  %s: median %v, worst %v\n", name, gaps[i][len(gaps[i])/2].Round(10*time.Millisecond), gaps[i][len(gaps[i])-1].Round(10*time.Millisecond))
	}
	fmt.Printf("  target for tally: median at most %v, worst at most %v\n", gapMedianTarget, gapWorstTarget)
	return nil
}

// trial kills the leader under load and returns the longest gap between two
// acknowledgements.
func trial(ctx context.Context, c voter) (time.Duration, error) {
	leader, err := c.leads()
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var acknowledged []time.Time
	writing, cancel := context.WithTimeout(ctx, warmUp+watchGap)
	defer cancel()
	var writers sync.WaitGroup
	for writer := range 3 * writersEach {
		writers.Go(func() {
			for writing.Err() == nil {
				attempt, cancel := context.WithTimeout(writing, writeTimeout)
				err := c.write(attempt, writer%3)
				cancel()
				if err != nil {
					time.Sleep(5 * time.Millisecond) // a dead node refuses at once
					continue
				}
				mu.Lock()
				acknowledged = append(acknowledged, time.Now())
				mu.Unlock()
			}
		})
	}
	time.Sleep(warmUp)
	c.killNode(leader)
	writers.Wait()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err := c.restart(ctx, leader); err != nil {
		return 0, err
	}
	return longestGap(acknowledged)
}

func longestGap(times []time.Time) (time.Duration, error) {
	if len(times) < 2 {
		return 0, fmt.Errorf("%d writes were acknowledged", len(times))
	}
	slices.SortFunc(times, time.Time.Compare)
	var longest time.Duration
	for i := 1; i < len(times); i++ {
		longest = max(longest, times[i].Sub(times[i-1]))
	}
	return longest, nil
}

// attempt sends a prepared request over a connection of its own pool.
func attempt(ctx context.Context, client *http.Client, request *http.Request) error {
	response, err := client.Do(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
