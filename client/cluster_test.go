package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
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
		seen := make(map[string]*watched)
		for _, group := range []string{"plain", "coalesced"} {
			one := &watched{final: workers * additions}
			seen[group] = one
			watches.Go(func() { one.err = one.follow(watching, watcher, group) })
		}

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

		for group := range seen {
			if value, err := plain.Counter(group, "n").Get(t.Context()); err != nil || value != workers*additions {
				t.Errorf("%s is %d after %d additions: %v", group, value, workers*additions, err)
			}
		}
		// The watches end when they have seen the last; a gap would keep them until this.
		giveUp := time.AfterFunc(time.Minute, stop)
		watches.Wait()
		giveUp.Stop()
		stop()
		for group, one := range seen {
			if one.err != nil {
				t.Errorf("the watch of %s: %v", group, one.err)
			}
		}
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

// watched holds what a watch tells of group/n against what must have happened:
// each change begins where the one before ended.
type watched struct {
	final int64
	value int64
	begun bool
	err   error
}

func (w *watched) follow(ctx context.Context, c *client.Client, group string) error {
	for e, err := range c.Watch(ctx, group) {
		switch {
		case err != nil:
			return fmt.Errorf("at %d: %w", w.value, err)
		case e.Reset != nil && w.begun:
			return fmt.Errorf("a reset at %d, though nodes keep far more", w.value)
		case e.Reset != nil:
			w.begun = true
			for _, one := range e.Reset.Counters {
				w.value = one.Value
			}
		case e.Value != w.value+e.Delta:
			return fmt.Errorf("%d follows %d by %d", e.Value, w.value, e.Delta)
		default:
			w.value = e.Value
		}
		if w.value == w.final {
			return nil
		}
	}
	return fmt.Errorf("the watch has ended at %d", w.value)
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
