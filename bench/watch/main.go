// Command watch measures what watches of a cluster cost and how soon they tell,
// with up to 10,000 connections, and checks that every watcher is told of every
// change once and in order.
//
//	go run ./bench/watch                 # everything, about five minutes
//	go run ./bench/watch --time 30s crowd groups
//
// The measurements are:
//
//	crowd       10,000 event streams on one group, 5 changes a second
//	crowd-poll  the same with long polls
//	groups      1,000 event streams of 10 groups each over 1,000 groups, 850 changes a second
//	spread      10,000 event streams over 1,000 groups, 500 changes a second
//	idle        writes a second without and with 10,000 event streams on which nothing happens
//	replay      100,000 events out of the ring to a watcher that comes back
//
// Each has a cluster of its own, started by scripts/cluster.sh in a temporary
// directory and removed at the end, unless --endpoints names one. TALLY_...
// variables reach its nodes. Nothing but loopback addresses is talked to.
//
// # What a latency is
//
// When an entry was committed is known to the leader alone, so two times are
// given that it lies between: "from sending" begins when the writer sends the
// change, which is before it is committed, and "from reply" when the writer has
// the reply, which is after that. From reply can be negative: the watcher then
// heard of the change before the writer did. All three, the writers, the watchers
// and the clock, are in this process. Limits are held against "from sending".
//
// # What it needs
//
// One file descriptor for each connection here and in the node, and as many
// ephemeral ports of 127.0.0.1, of which Linux has 28,000. Connections are closed
// with a reset, so that none of them stays behind in TIME_WAIT.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	endpoints   []string // empty: a cluster of its own
	script      string
	node        string
	duration    time.Duration
	connections int // 0: what the measurement says
	json        bool
}

// timeMax bounds one measurement with everything around it.
const timeMax = 10 * time.Minute

func main() {
	var o options
	endpoints := flag.String("endpoints", "", "nodes of a running cluster, comma-separated, instead of one of its own")
	flag.StringVar(&o.script, "script", "scripts/cluster.sh", "what starts and removes a cluster")
	flag.StringVar(&o.node, "node", "leader", "which node the watchers are connected to: leader or follower")
	flag.DurationVar(&o.duration, "time", 20*time.Second, "how long changes are made, and each part of idle")
	flag.IntVar(&o.connections, "connections", 0, "connections, instead of what the measurement says")
	flag.BoolVar(&o.json, "json", false, "print one JSON object for each measurement")
	flag.Parse()
	if *endpoints != "" {
		o.endpoints = strings.Split(*endpoints, ",")
	}

	// A broken pipe too: the default would end the program before it has cleaned up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	// The collector would take from the two cores that the nodes need as well.
	debug.SetGCPercent(400)
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		os.Exit(1)
	}
}

// result is what a measurement prints. Its err is what must not happen: a lost,
// repeated or misplaced event. A missed limit is printed, and no error.
type result interface {
	fmt.Stringer
	err() error
}

type measurement struct {
	name string
	run  func(context.Context, options, *cluster) (result, error)
}

func measurements() []measurement {
	return []measurement{
		{"crowd", crowd{connections: 10_000, groupsEach: 1, groups: 1, rate: 5, limit: 140 * time.Millisecond, bytesLimit: 40_000}.run},
		{"crowd-poll", crowd{connections: 10_000, groupsEach: 1, groups: 1, rate: 5, poll: true}.run},
		{"groups", crowd{connections: 1_000, groupsEach: 10, groups: 1_000, rate: 850, limit: 5 * time.Millisecond}.run},
		{"spread", crowd{connections: 10_000, groupsEach: 1, groups: 1_000, rate: 500, limit: 20 * time.Millisecond}.run},
		{"idle", runIdle},
		{"replay", runReplay},
	}
}

func run(ctx context.Context, o options, names []string) error {
	if o.node != "leader" && o.node != "follower" {
		return fmt.Errorf("--node %s: want leader or follower", o.node)
	}
	if o.duration < time.Second || o.duration > 5*time.Minute || o.connections < 0 || o.connections > 20_000 {
		return errors.New("--time must be from 1s to 5m, --connections at most 20000")
	}
	all := measurements()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(m measurement) bool { return m.name == name }) {
			return fmt.Errorf("there is no measurement %q", name)
		}
	}
	var failures []error
	for _, m := range all {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		if err := one(ctx, o, m); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", m.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failures...)
}

// one runs a measurement on a cluster that nothing else was measured on: memory
// that a node has once had does not come back.
func one(ctx context.Context, o options, m measurement) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeMax)
	defer cancel()
	c, err := openCluster(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()

	r, err := m.run(ctx, o, c)
	if err != nil {
		return err
	}
	if o.json {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{m.name: r})
	} else {
		_, err = fmt.Printf("%s (watching the %s)\n%s\n", m.name, o.node, r)
	}
	return errors.Join(err, r.err())
}
