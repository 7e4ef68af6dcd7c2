package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	tallyd   string
	works    []string
	rounds   int
	duration time.Duration
	json     bool
	curve    string // where the plot goes
	filled   bool
	trials   int
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve-ceiling" {
		exit(serveCeiling(os.Args[2]))
	}
	var o options
	works := flag.String("work", "", "only these works, comma-separated (the first words of the tables)")
	flag.StringVar(&o.tallyd, "tallyd", "", "the tallyd to measure (required)")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each contender runs")
	flag.DurationVar(&o.duration, "time", 5*time.Second, "how long one run takes")
	flag.BoolVar(&o.json, "json", false, "print one JSON object for each work")
	flag.StringVar(&o.curve, "curve", "", "measure p99 at rising fixed rates too, and write the plot to this SVG file")
	flag.BoolVar(&o.filled, "filled", false, "measure systems that hold 200,000 groups of 20 counters instead: memory, start, writes during snapshots")
	flag.IntVar(&o.trials, "failover", 0, "kill the leaders of Tally and etcd that often instead, and measure the gap in the writes")
	flag.Parse()
	if *works != "" {
		o.works = strings.Split(*works, ",")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, o)
	cancel()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o options) error {
	if o.tallyd == "" {
		return errors.New("--tallyd is missing; scripts/bench.sh peers builds one")
	}
	if o.rounds < 1 || o.duration <= 0 {
		return errors.New("--rounds and --time must be more than 0")
	}
	dir, err := os.MkdirTemp("", "tally-peers")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	switch {
	case o.filled:
		return filled(ctx, o, dir)
	case o.trials > 0:
		return failover(ctx, o, dir, o.trials)
	}
	s := &systems{}
	defer s.stop()
	if err := s.start(ctx, o.tallyd, dir); err != nil {
		return err
	}
	for _, w := range append(s.works(o.duration), s.single(dir)) {
		if len(o.works) > 0 && !slices.Contains(o.works, w.name) {
			continue
		}
		r, err := w.run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if err := r.report(o.json); err != nil {
			return err
		}
	}
	if o.curve != "" {
		return s.curve(ctx, o)
	}
	return nil
}

// start starts what is installed, and says what is not.
func (s *systems) start(ctx context.Context, tallyd, dir string) error {
	s.bolt, s.wal, s.echo = newTally(tallyd, dir, "boltdb"), newTally(tallyd, dir, "wal"), newCeiling(dir)
	if err := errors.Join(s.bolt.start(ctx), s.wal.start(ctx), s.echo.start(ctx)); err != nil {
		return err
	}
	if missing("etcd") {
		fmt.Fprintln(os.Stderr, "etcd is not installed and left out (Debian: etcd-server)")
	} else {
		s.etcd = newEtcd(dir)
		if err := s.etcd.start(ctx); err != nil {
			return err
		}
	}
	if missing("redis-server") || missing("redis-benchmark") {
		fmt.Fprintln(os.Stderr, "Redis is not installed and left out (Debian: redis-server)")
		return nil
	}
	s.redis = newRedis(dir)
	return s.redis.start(ctx)
}

func missing(program string) bool {
	_, err := exec.LookPath(program)
	return err != nil
}

func (s *systems) stop() {
	if s.bolt != nil {
		s.bolt.stop()
	}
	if s.wal != nil {
		s.wal.stop()
	}
	if s.etcd != nil {
		s.etcd.stop()
	}
	if s.redis != nil {
		s.redis.stop()
	}
	if s.echo != nil {
		s.echo.stop()
	}
}

// run runs all contenders of a work, in turn.
func (w work) run(ctx context.Context, o options) (*result, error) {
	r := &result{Work: w.name, What: w.what, Samples: map[string][]Sample{}}
	for range o.rounds {
		for _, c := range w.contenders {
			if c.run == nil {
				continue
			}
			if !slices.Contains(r.Order, c.name) {
				r.Order = append(r.Order, c.name)
			}
			limited, cancel := context.WithTimeout(ctx, o.duration)
			sample, err := c.run(limited)
			cancel()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			r.Samples[c.name] = append(r.Samples[c.name], sample)
		}
	}
	r.compare(w.targets)
	return r, nil
}

func (r *result) report(asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	if err := r.print(os.Stdout); err != nil {
		return err
	}
	if r.Work == "single" {
		for _, kind := range []string{"boltdb", "wal"} {
			fmt.Println(" ", r.singleVerdict(kind))
		}
	}
	return nil
}
