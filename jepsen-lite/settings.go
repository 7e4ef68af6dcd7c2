//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/nemesis"
	"tally/jepsen-lite/proc"
	"tally/jepsen-lite/workload"
)

// settings is everything that the command line decides.
type settings struct {
	Time      time.Duration
	FullRate  time.Duration
	Seed      uint64
	Out       string
	Nodes     int
	Nemeses   []string
	Workloads []string
	Rate      float64
	Clients   int
	Interval  time.Duration
	Together  float64
	EveryKind bool
	Binary    string
	NodeFlags []string
	DiskMiB   int64
	List      bool
	Check     string
	EDN       string
}

var errHelp = flag.ErrHelp

func parseSettings(args []string) (s settings, err error) {
	f := flag.NewFlagSet("jepsen-lite", flag.ContinueOnError)
	f.DurationVar(&s.Time, "time", time.Minute, "how long faults are made")
	f.DurationVar(&s.FullRate, "full-rate", 0, "for so long at the end of --time, clients send as much as is answered")
	f.Uint64Var(&s.Seed, "seed", 1, "decides the order of faults, whom they hit, and what clients send")
	f.StringVar(&s.Out, "out", "jepsen-runs", "`folder` in which the run makes one of its own")
	f.IntVar(&s.Nodes, "nodes", 3, "how many nodes, 1 to 9")
	nemeses := f.String("nemesis", "all", "kinds of fault, with commas between them; none for a quiet run")
	workloads := f.String("workload", "all", "workloads, with commas between them")
	f.Float64Var(&s.Rate, "rate", 200, "requests a second of all clients together; 0 is as many as are answered")
	f.IntVar(&s.Clients, "clients", 1, "clients of each workload at each node")
	f.DurationVar(&s.Interval, "interval", 500*time.Millisecond, "how long the cluster is left alone after a fault is healed")
	f.Float64Var(&s.Together, "together", 0.3, "share of the turns in which two faults are made at once")
	f.BoolVar(&s.EveryKind, "every-kind", false, "the run counts only if every possible kind of fault was proved at least once")
	f.StringVar(&s.Binary, "binary", "", "`file` of a test build of tallyd; the default is to build it")
	nodeFlags := f.String("node-flags", "", "more flags for every tallyd, with spaces between them, such as \"--log-store wal\"")
	f.Int64Var(&s.DiskMiB, "disk-mib", 128, "size of each node's disk, in MiB")
	f.BoolVar(&s.List, "list", false, "list the kinds of fault and the workloads, and end")
	f.StringVar(&s.Check, "check", "", "decide once more about the run in this `folder`, and end")
	f.StringVar(&s.EDN, "edn", "", "write the history of the run in this `folder` in the form of Jepsen, history.edn beside it, and end")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.NodeFlags = strings.Fields(*nodeFlags)
	if f.NArg() > 0 {
		return s, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if s.Nodes < 1 || s.Nodes > 9 {
		return s, errors.New("--nodes is 1 to 9")
	}
	if s.FullRate > s.Time || s.Time <= 0 {
		return s, errors.New("--time is more than 0, and --full-rate is a part of it")
	}
	if s.Workloads, err = choose(*workloads, workload.Names()); err != nil {
		return s, fmt.Errorf("--workload: %w", err)
	}
	if s.Nemeses, err = choose(*nemeses, kindNames()); err != nil {
		return s, fmt.Errorf("--nemesis: %w", err)
	}
	return s, nil
}

func kindNames() []string {
	var names []string
	for _, k := range nemesis.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// choose reads a list with commas of which every word must be known.
func choose(text string, known []string) ([]string, error) {
	switch text {
	case "all":
		return known, nil
	case "none":
		return nil, nil
	}
	chosen := strings.Split(text, ",")
	for _, name := range chosen {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// kinds returns the kinds of fault that were asked for.
func (s settings) kinds() []nemesis.Kind {
	var kinds []nemesis.Kind
	for _, k := range nemesis.Kinds() {
		if slices.Contains(s.Nemeses, k.Name) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func listKinds() {
	fmt.Println("faults:")
	for _, k := range nemesis.Kinds() {
		fmt.Printf("  %-25s %s\n", k.Name, k.Does)
	}
	fmt.Println("workloads:", strings.Join(workload.Names(), " "))
}

// floors is the least that a run must have done to have shown anything: far
// below what it does when all is well.
func floors(s settings) checker.Floors {
	f := checker.Floors{Workloads: s.Workloads, PerKind: 1, Served: 0.2, Operations: int(20 * s.Time.Seconds())}
	if s.Rate > 0 {
		f.Operations = int(min(s.Rate/4, 20) * s.Time.Seconds())
	}
	if len(s.Nemeses) > 0 {
		f.Faults = int(s.Time.Seconds()) / 20
	}
	if slices.Contains(s.Workloads, "watch") {
		f.Events = int(s.Time.Seconds())
		f.Forms = []history.Form{history.Poll, history.Stream, history.GroupPoll, history.GroupStream}
	}
	return f
}

// nodeFlags makes everything small, so that what happens once a day elsewhere
// happens all the time here: snapshots, logs that are cut, disks that fill up.
func (s settings) nodeFlags() []string {
	return append([]string{
		"--snapshot-threshold", "300", "--snapshot-interval", "500ms", "--trailing-logs", "100",
		"--watch-events-max", "100", "--disk-reserve-bytes", fmt.Sprint(8 << 20), "--log-level", "info", "--log-format", "text",
	}, s.NodeFlags...)
}

// putBinary puts the program under test into the folder of the run: the one that
// was given, or the test build of this source.
func putBinary(s settings, folder string) error {
	target := proc.BinaryPath(folder)
	if s.Binary != "" {
		return copyProgram(s.Binary, target)
	}
	fmt.Println("building tallyd with the tag jepsen")
	build := exec.Command("go", "build", "-buildvcs=auto", "-tags", "jepsen", "-o", target, "./cmd/node")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build tallyd (in the directory of its source): %w", err)
	}
	return nil
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
