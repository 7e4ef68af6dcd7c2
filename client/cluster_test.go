package client_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"tally/client"
	"tally/internal/clustertest"
)

// dialCluster makes a client of a cluster in virtual time, which knows n1 only.
func dialCluster(t *testing.T, c *clustertest.Cluster, name string, options ...client.Option) *client.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return c.Network().Host(name).Dial(ctx, addr)
	}}
	made, err := client.New([]string{"n1:8101"}, append(options, client.WithHTTPClient(&http.Client{Transport: transport}), client.WithTimeout(30*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = made.Close()
		transport.CloseIdleConnections()
	})
	return made
}

// TestCountsOnceUnderFaults: clients add while leaders crash, are cut off, hand
// over and come back, and while connections break. Every addition is
// acknowledged in the end, and the counters hold exactly what was; a watch tells
// of every single change.
func TestCountsOnceUnderFaults(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		const workers, additions = 6, 300
		plain := dialCluster(t, c, "plain")
		coalesced := dialCluster(t, c, "coalesced", client.WithCoalescing(10*time.Millisecond))
		watcher := dialCluster(t, c, "watcher")

		watching, stop := context.WithCancel(t.Context())
		var watches sync.WaitGroup
		groups := []string{"plain", "coalesced"}
		follows := func(events iter.Seq2[client.Event, error], groups ...string) {
			watches.Go(func() {
				if err := follow(events, workers*additions, groups...); err != nil {
					t.Errorf("the watch of %v: %v", groups, err)
				}
			})
		}
		for _, group := range groups {
			follows(watcher.Watch(watching, group), group)
		}
		follows(watcher.WatchGroups(watching, []client.Selection{{Group: groups[0]}, {Group: groups[1]}}), groups...)

		var adding sync.WaitGroup
		for group, from := range map[string]*client.Client{"plain": plain, "coalesced": coalesced} {
			for range workers {
				adding.Go(func() {
					for range additions {
						if _, err := from.Counter(group, "n").Add(t.Context(), 1); err != nil {
							t.Errorf("%s: %v", group, err)
							return
						}
						time.Sleep(rand.N(40 * time.Millisecond)) // virtual: spreads the work over the faults
					}
				})
			}
		}
		over := make(chan struct{})
		go func() { adding.Wait(); close(over) }()
		go breakConnections(c, over, "plain", "coalesced", "watcher")
		faults := torment(t, c, over)
		adding.Wait()

		for _, group := range groups {
			if value, err := plain.Counter(group, "n").Get(t.Context()); err != nil || value != workers*additions {
				t.Errorf("%s is %d after %d additions: %v", group, value, workers*additions, err)
			}
		}
		// The watches end when they have seen the last; a gap would keep them until this.
		giveUp := time.AfterFunc(time.Minute, stop)
		watches.Wait()
		giveUp.Stop()
		stop()
		t.Logf("%d faults", faults)
	})
}

// torment makes one fault after the other until it is over, and heals them.
func torment(t *testing.T, c *clustertest.Cluster, over <-chan struct{}) (faults int) {
	for {
		select {
		case <-over:
			return faults
		case <-time.After(rand.N(400 * time.Millisecond)):
		}
		faults++
		leader := c.WaitLeader()
		switch rand.IntN(4) {
		case 0:
			leader.Crash()
			c.WaitLeader()
			leader.Start()
		case 1:
			c.Isolate(leader)
			c.WaitLeader(c.Others(leader)...)
			c.Heal()
		case 2:
			follower := c.Others(leader)[0]
			follower.Crash()
			time.Sleep(100 * time.Millisecond)
			follower.Start()
		case 3:
			if err := leader.Close(); err != nil {
				t.Logf("a clean stop: %v", err)
			}
			leader.Start()
		}
	}
}

// breakConnections makes requests and replies take a while, and breaks connections
// while they are on their way: then the change is made, or not, and nobody is told.
func breakConnections(c *clustertest.Cluster, over <-chan struct{}, clients ...string) {
	network, nodes := c.Network(), c.Nodes()
	for _, name := range clients {
		for _, n := range nodes {
			network.Delay(name, n.ID, 10*time.Millisecond)
			network.Delay(n.ID, name, 10*time.Millisecond)
		}
	}
	for {
		select {
		case <-over:
			return
		case <-time.After(rand.N(60 * time.Millisecond)):
			network.Reset(clients[rand.IntN(len(clients))], nodes[rand.IntN(len(nodes))].ID)
		}
	}
}

// follow holds what a watch tells of the counter n of groups against what must
// have happened: each change begins where the one before it ended. It returns
// when all are final.
func follow(events iter.Seq2[client.Event, error], final int64, groups ...string) error {
	values := make(map[string]int64)
	for e, err := range events {
		value, begun := values[e.Group]
		switch {
		case err != nil:
			return fmt.Errorf("at %v: %w", values, err)
		case e.Reset != nil && begun:
			return fmt.Errorf("a reset of %s at %d, though nodes keep far more", e.Group, value)
		case e.Reset != nil:
			values[e.Group] = 0
			for _, one := range e.Reset.Counters {
				values[e.Group] = one.Value
			}
		case !begun || e.Value != value+e.Delta:
			return fmt.Errorf("in %s %d follows %d by %d", e.Group, e.Value, value, e.Delta)
		default:
			values[e.Group] = e.Value
		}
		if !slices.ContainsFunc(groups, func(group string) bool { return values[group] != final }) {
			return nil
		}
	}
	return fmt.Errorf("the watch has ended at %v", values)
}

// TestClusterIsLearned: a client that was given one node goes on when that one is gone.
func TestClusterIsLearned(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		made := dialCluster(t, c, "one")
		if _, err := made.Cluster(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Node("n1").Crash()
		if value, err := made.Counter("g", "k").Add(t.Context(), 1); err != nil || value != 1 {
			t.Errorf("%d, %v", value, err)
		}
	})
}
