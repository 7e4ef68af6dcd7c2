// Command failover measures how long nobody can write after the leader was
// killed with SIGKILL. scripts/failover.sh starts a cluster for it; by hand:
//
//	scripts/cluster.sh up
//	go run ./bench/failover --trials 20
//
// Clients write without a break to all nodes, each going on with the next node
// when one fails. The gap of a trial is the longest time around the kill in
// which no write of any client was acknowledged. At the end the counter is held
// against what was acknowledged.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	endpoints []string
	script    string
	trials    int
	clients   int
	pause     time.Duration
	json      bool
}

func main() {
	var o options
	endpoints := flag.String("endpoints", "http://127.0.0.1:8101,http://127.0.0.1:8102,http://127.0.0.1:8103", "all nodes of the cluster, comma-separated")
	flag.StringVar(&o.script, "script", "scripts/cluster.sh", "what kills and starts nodes")
	flag.IntVar(&o.trials, "trials", 20, "how often the leader is killed")
	flag.IntVar(&o.clients, "clients", 12, "clients that write at once")
	flag.DurationVar(&o.pause, "pause", 2*time.Millisecond, "what a client waits between two writes")
	flag.BoolVar(&o.json, "json", false, "print one JSON object")
	flag.Parse()
	o.endpoints = strings.Split(*endpoints, ",")
	if o.trials < 1 || o.clients < 1 {
		fmt.Fprintln(os.Stderr, "failover: --trials and --clients must be at least 1")
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

// trial is what one killed leader has cost.
type trial struct {
	Killed string `json:"killed"`
	Leader string `json:"leader"` // who leads afterwards
	// GapSeconds is the longest time in which no write at all was acknowledged.
	GapSeconds float64 `json:"gapSeconds"`
	// SlowestSeconds is the longest time in which one of the clients had no write acknowledged.
	SlowestSeconds float64 `json:"slowestSeconds"`
}

// report is the outcome of all trials.
type report struct {
	Trials       []trial      `json:"trials"`
	Gap          distribution `json:"gap"`
	Slowest      distribution `json:"slowest"`
	Acknowledged int64        `json:"acknowledged"`
	Unknown      int64        `json:"unknown"` // attempts that may have counted
	Counter      int64        `json:"counter"`
}

// distribution is in seconds.
type distribution struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Worst  float64 `json:"worst"`
}

func run(ctx context.Context, o options) error {
	// A group of this run alone, so that the counter begins at 0.
	group := fmt.Sprintf("failover-%d", time.Now().UnixNano())
	writers := startWriters(ctx, o, group)
	defer writers.stop()

	var r report
	for i := range o.trials {
		t, err := oneTrial(ctx, o, writers)
		if err != nil {
			return fmt.Errorf("trial %d: %w", i+1, err)
		}
		r.Trials = append(r.Trials, t)
		if !o.json {
			fmt.Printf("trial %2d: %s killed, %s leads: nobody could write for %.3f s, the slowest client for %.3f s\n",
				i+1, t.Killed, t.Leader, t.GapSeconds, t.SlowestSeconds)
		}
	}
	r.Acknowledged, r.Unknown = writers.stop()
	if err := r.complete(ctx, o, group); err != nil {
		return err
	}
	return r.print(o.json)
}

// oneTrial kills the leader at a random moment and starts it again when all
// clients write once more.
func oneTrial(ctx context.Context, o options, writers *writers) (t trial, err error) {
	if t.Killed, err = leaderOf(ctx, o.endpoints); err != nil {
		return t, err
	}
	// The moment must not keep step with the heartbeats.
	if err := sleep(ctx, 500*time.Millisecond+rand.N(time.Second)); err != nil {
		return t, err
	}
	before := time.Now()
	if err := cluster(ctx, o.script, "kill", t.Killed); err != nil {
		return t, err
	}
	killed := time.Now()
	if err := writers.awaitAll(ctx, killed); err != nil {
		return t, err
	}
	// A second election right after the first one would belong to this trial too.
	if err := sleep(ctx, time.Second); err != nil {
		return t, err
	}
	gap, slowest := writers.gaps(before, time.Now())
	t.GapSeconds, t.SlowestSeconds = gap.Seconds(), slowest.Seconds()
	if t.Leader, err = leaderOf(ctx, o.endpoints); err != nil {
		return t, err
	}
	return t, cluster(ctx, o.script, "start", t.Killed)
}

// complete adds the distributions and the verdict on what was acknowledged.
func (r *report) complete(ctx context.Context, o options, group string) error {
	var gaps, slowest []float64
	for _, t := range r.Trials {
		gaps = append(gaps, t.GapSeconds)
		slowest = append(slowest, t.SlowestSeconds)
	}
	r.Gap, r.Slowest = distributionOf(gaps), distributionOf(slowest)

	var read struct{ Value int64 }
	if err := getAny(ctx, o.endpoints, "/v1/groups/"+group+"/counters/"+counterKey, &read); err != nil {
		return err
	}
	r.Counter = read.Value
	if r.Counter < r.Acknowledged || r.Counter > r.Acknowledged+r.Unknown {
		return fmt.Errorf("the counter is %d, but %d increments were acknowledged and %d are unknown", r.Counter, r.Acknowledged, r.Unknown)
	}
	return nil
}

func (r *report) print(asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("\nover %d trials     median    p90       worst\n", len(r.Trials))
	fmt.Printf("write gap          %s\nslowest client     %s\n", r.Gap, r.Slowest)
	fmt.Printf("\n%d writes acknowledged, %d unknown, the counter is %d: none was lost\n", r.Acknowledged, r.Unknown, r.Counter)
	return nil
}

func (d distribution) String() string {
	return fmt.Sprintf("%.3f s   %.3f s   %.3f s", d.Median, d.P90, d.Worst)
}

// distributionOf takes the nearest rank: each figure is one that was measured.
func distributionOf(seconds []float64) distribution {
	sorted := slices.Sorted(slices.Values(seconds))
	rank := func(percent int) float64 { return sorted[(len(sorted)*percent+99)/100-1] }
	return distribution{Median: rank(50), P90: rank(90), Worst: rank(100)}
}

func cluster(ctx context.Context, script string, args ...string) error {
	if out, err := exec.CommandContext(ctx, script, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", script, strings.Join(args, " "), err, out)
	}
	return nil
}

// leaderOf waits for a leader that at least one node knows.
func leaderOf(ctx context.Context, endpoints []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var view struct{ Leader *struct{ ID string } }
		err := getAny(ctx, endpoints, "/v1/cluster", &view)
		if err == nil && view.Leader != nil {
			return view.Leader.ID, nil
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return "", errors.Join(errors.New("no leader within 10 s"), err)
		}
	}
}

// getAny reads JSON from the first node that answers with 200.
func getAny(ctx context.Context, endpoints []string, path string, into any) error {
	var failures []error
	for _, endpoint := range endpoints {
		err := get(ctx, endpoint+path, into)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func get(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d: %s", url, response.StatusCode, body)
	}
	return json.Unmarshal(body, into)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
