// Command client measures what one process does with the Go client: increments
// by Counter.Add, coalesced, by many goroutines, each of which waits for its own
// answer before it makes the next. At the end it reads every counter and
// compares it with what was acknowledged: they must be equal.
//
//	scripts/cluster.sh up
//	go run ./bench/client --time 10s
//
// It calls loopback addresses only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tally/client"
)

type options struct {
	endpoints []string
	callers   int
	counters  int
	window    time.Duration
	duration  time.Duration
	runs      int
	profile   string
}

func main() {
	var o options
	endpoints := flag.String("endpoints", "http://127.0.0.1:8101,http://127.0.0.1:8102,http://127.0.0.1:8103", "nodes of the cluster, comma-separated")
	flag.IntVar(&o.callers, "callers", 10000, "goroutines that add, each one addition at a time")
	flag.IntVar(&o.counters, "counters", 100, "counters that the additions are spread over, 10 to a group")
	flag.DurationVar(&o.window, "coalescing", 10*time.Millisecond, "how long additions gather; 0 sends each alone")
	flag.DurationVar(&o.duration, "time", 10*time.Second, "how long")
	flag.IntVar(&o.runs, "runs", 1, "how often; with more than one the last line is the median and the spread")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a profile of this process to the file")
	flag.Parse()
	o.endpoints = strings.Split(*endpoints, ",")
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.callers < 1 || o.counters < 1 || o.runs < 1 {
		return errors.New("--callers, --counters and --runs must be at least 1")
	}
	for _, endpoint := range o.endpoints {
		if err := checkLoopback(endpoint); err != nil {
			return err
		}
	}
	stop, err := profile(o.profile)
	if err != nil {
		return err
	}
	defer stop()
	var rates []float64
	for range o.runs {
		r, err := once(o)
		if err != nil {
			return err
		}
		fmt.Println(r)
		rates = append(rates, r.perSecond())
	}
	if o.runs > 1 {
		slices.Sort(rates)
		fmt.Printf("median %.0f/s; %.0f to %.0f/s\n", rates[len(rates)/2], rates[0], rates[len(rates)-1])
	}
	return nil
}

// profile begins a profile, if one is wanted, and returns what ends it.
func profile(path string) (stop func(), _ error) {
	if path == "" {
		return func() {}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close() // a profile that was cut short is noticed by who reads it
	}, nil
}

// report is what one run has measured.
type report struct {
	options
	took      time.Duration
	added     int64 // acknowledged increments
	batches   uint64
	latencies *histogram
}

func (r report) perSecond() float64 { return float64(r.added) / r.took.Seconds() }

func (r report) String() string {
	return fmt.Sprintf("%d callers, %d counters, coalescing %v, %.1f s: %.0f acknowledged increments/s in %.0f log entries/s, p50 %v, p99 %v; the %d counters are the %d acknowledged",
		r.callers, r.counters, r.window, r.took.Seconds(), r.perSecond(), float64(r.batches)/r.took.Seconds(),
		r.latencies.quantile(0.5), r.latencies.quantile(0.99), r.counters, r.added)
}

func once(o options) (report, error) {
	ctx := context.Background()
	c, err := client.New(o.endpoints, client.WithCoalescing(o.window), client.WithTimeout(30*time.Second))
	if err != nil {
		return report{}, err
	}
	defer func() { _ = c.Close() }()
	names, err := clear(ctx, c, o.counters)
	if err != nil {
		return report{}, err
	}
	before, err := applied(ctx, c)
	if err != nil {
		return report{}, err
	}
	r := report{options: o, latencies: new(histogram)}
	tallies, err := r.load(ctx, c, names)
	if err != nil {
		return report{}, err
	}
	after, err := applied(ctx, c)
	if err != nil {
		return report{}, err
	}
	r.batches = after - before
	return r, check(ctx, c, names, tallies)
}

// name is one counter.
type name struct{ group, key string }

// clear names the counters and sets them to 0.
func clear(ctx context.Context, c *client.Client, count int) ([]name, error) {
	names := make([]name, count)
	for i := range names {
		names[i] = name{fmt.Sprintf("bench:%d", i/10), fmt.Sprintf("counter%d", i%10)}
		if err := c.Counter(names[i].group, names[i].key).Set(ctx, 0); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// applied returns how long the log is.
func applied(ctx context.Context, c *client.Client) (uint64, error) {
	reading, err := c.Get(ctx, "bench:0")
	return reading.Revision, err
}

// load adds until the time is over and returns what was acknowledged of each counter.
func (r *report) load(ctx context.Context, c *client.Client, names []name) ([]int64, error) {
	var (
		over     atomic.Bool
		callers  sync.WaitGroup
		mu       sync.Mutex
		failures []error
		tallies  = make([]int64, len(names))
		counters = make([]*client.Counter, len(names))
	)
	for i, n := range names {
		counters[i] = c.Counter(n.group, n.key)
	}
	started := time.Now()
	timer := time.AfterFunc(r.duration, func() { over.Store(true) })
	defer timer.Stop()
	for i := range r.callers {
		of := i % len(names)
		callers.Go(func() {
			added, err := addUntil(ctx, counters[of], &over, r.latencies)
			mu.Lock()
			defer mu.Unlock()
			tallies[of] += added
			r.added += added
			if err != nil {
				over.Store(true)
				failures = append(failures, err)
			}
		})
	}
	callers.Wait()
	r.took = time.Since(started)
	if len(failures) > 0 {
		return nil, fmt.Errorf("%d callers failed, one with: %w", len(failures), failures[0])
	}
	return tallies, nil
}

// timedEvery is how often a caller looks at the clock: every time would cost a
// tenth of what is measured.
const timedEvery = 8

// addUntil adds 1 until it is over, and checks that each answer is behind the last.
func addUntil(ctx context.Context, one *client.Counter, over *atomic.Bool, latencies *histogram) (added int64, _ error) {
	last := int64(0)
	for !over.Load() {
		var sent time.Time
		timed := added%timedEvery == 0
		if timed {
			sent = time.Now()
		}
		value, err := one.Add(ctx, 1)
		if err != nil {
			return added, err
		}
		if value <= last {
			return added, fmt.Errorf("an increment was answered with %d after %d", value, last)
		}
		last = value
		added++
		if timed {
			latencies.note(time.Since(sent))
		}
	}
	return added, nil
}

// check holds the counters against what was acknowledged.
func check(ctx context.Context, c *client.Client, names []name, tallies []int64) error {
	for i, n := range names {
		value, err := c.Counter(n.group, n.key).Get(ctx)
		if err != nil {
			return err
		}
		if value != tallies[i] {
			return fmt.Errorf("%s/%s is %d, and %d was acknowledged", n.group, n.key, value, tallies[i])
		}
	}
	return nil
}

// checkLoopback keeps a mistyped endpoint from being put under load.
func checkLoopback(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	if u.Hostname() == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err != nil || !addr.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address", endpoint)
	}
	return nil
}
