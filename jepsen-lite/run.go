//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tally/jepsen-lite/history"
	"tally/jepsen-lite/nemesis"
	"tally/jepsen-lite/proc"
	"tally/jepsen-lite/report"
	"tally/jepsen-lite/workload"
)

// How long the parts of a run may take that depend on the cluster.
const (
	startLimit = 30 * time.Second
	finalLimit = 2 * time.Minute
	quietTime  = 2 * time.Second // without faults, at the begin
)

// record is what is known of a run besides its history: run.json in its folder.
type record struct {
	Command []string          `json:"command"`
	Seed    uint64            `json:"seed"`
	Version string            `json:"version"`
	Started time.Time         `json:"started"`
	Began   time.Time         `json:"began"` // when the history's clock did
	Nodes   int               `json:"nodes"`
	Can     proc.Capabilities `json:"capabilities"`
	// Skipped are the kinds of fault that were asked for and cannot be made here.
	Skipped []nemesis.Skip  `json:"skipped"`
	Faults  []nemesis.Fault `json:"faults"`
	// NeverProved are the kinds that can be made here and were not, or did not bite.
	NeverProved []string `json:"neverProved"`
	// Violations are what nodes did that they must never do, and Troubles what
	// keeps the run from having shown anything.
	Violations []string `json:"violations"`
	Troubles   []string `json:"troubles"`
	// BrokenOff says that somebody ended the run before its time: it is not checked.
	BrokenOff bool    `json:"brokenOff,omitempty"`
	Seconds   float64 `json:"seconds"`
}

// run makes one run in a folder that has the program under test, and returns its
// exit code. Whatever happens, nothing of it is left running, mounted or connected.
func run(s settings, folder, shared string) (code int, err error) {
	ctx, release := stopOnSignal()
	defer release()
	lock, err := proc.Lock(folder)
	if err != nil {
		return exitUnknown, err
	}
	defer lock.Close()

	r := &record{Command: os.Args, Seed: s.Seed, Version: versionOf(folder), Started: time.Now(), Nodes: s.Nodes, Can: proc.Probe(folder)}
	kinds, skipped := nemesis.Possible(s.kinds(), s.Nodes, r.Can)
	r.Skipped = skipped
	introduce(r, s, folder, shared, kinds)

	if err := play(ctx, s, r, folder, kinds); err != nil {
		r.Troubles = append(r.Troubles, err.Error())
	}
	r.BrokenOff = ctx.Err() != nil
	r.Seconds = time.Since(r.Started).Seconds()
	verdict, err := judge(r, s, folder)
	if err := errors.Join(err, writeJSON(filepath.Join(folder, "run.json"), r), writeReport(r, verdict, folder)); err != nil {
		return exitUnknown, err
	}
	code = conclude(r, verdict)
	fmt.Println("report:", filepath.Join(folder, report.PageFile))
	return code, nil
}

// introduce says what will be done, and what cannot be.
func introduce(r *record, s settings, folder, shared string, kinds []nemesis.Kind) {
	fmt.Printf("jepsen-lite: %s, seed %d, %d nodes, %v, %d kinds of fault\nfolder: %s\n", r.Version, r.Seed, s.Nodes, s.Time, len(kinds), folder)
	if shared != "" {
		fmt.Println("not isolated:", strings.ReplaceAll(shared, "\n", ": "))
	}
	for what, why := range r.Can.Missing {
		fmt.Printf("not possible here: %s (%s)\n", what, strings.ReplaceAll(why, "\n", "; "))
	}
	for _, skip := range r.Skipped {
		fmt.Printf("skipped: %s (%s)\n", skip.Kind, strings.ReplaceAll(skip.Reason, "\n", "; "))
	}
}

// play is the run itself, from the first node to the last. An error says why it
// has shown nothing; what nodes did wrong is in the record.
func play(ctx context.Context, s settings, r *record, folder string, kinds []nemesis.Kind) (err error) {
	cluster, err := proc.Open(proc.Config{
		Dir: folder, Binary: proc.BinaryPath(folder), Flags: s.nodeFlags(),
		Machines: s.Nodes, DiskBytes: s.DiskMiB << 20, Can: r.Can,
	})
	if err != nil {
		return fmt.Errorf("make the machines: %w", err)
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if err := within(ctx, startLimit, cluster.Start); err != nil {
		r.Violations = append(r.Violations, misdeeds(cluster, folder)...)
		return fmt.Errorf("start the cluster: %w", err)
	}

	r.Began = time.Now()
	clock := history.NewClock()
	recorder, err := history.Open(filepath.Join(folder, "history.jsonl"), clock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, recorder.Abandon()) }()
	recorder.Begin(history.Run{Seed: s.Seed, Command: r.Command, Nodes: nodeIDs(cluster), Version: r.Version, Started: r.Started.Format(time.RFC3339)})
	err = exercise(ctx, s, r, cluster, recorder, clock, kinds)
	r.Violations = append(r.Violations, misdeeds(cluster, folder)...)
	if err != nil {
		return err // the history keeps no last line, so that it is known to be unfinished
	}
	if err := cluster.Stop(); err != nil {
		r.Violations = append(r.Violations, err.Error())
	}
	return recorder.Close()
}

// exercise lets clients work while faults are made, heals, and reads everything.
func exercise(ctx context.Context, s settings, r *record, cluster *proc.Cluster, recorder *history.Recorder, clock history.Clock, kinds []nemesis.Kind) error {
	suite, err := workload.New(workload.Config{
		Nodes: func() []workload.Node { return present(cluster) }, Recorder: recorder,
		Seed: s.Seed, Rate: s.Rate, Clients: s.Clients, Names: s.Workloads,
	})
	if err != nil {
		return err
	}
	working, dismiss := context.WithCancel(ctx)
	defer dismiss()
	worked := make(chan error, 1)
	go func() { worked <- suite.Run(working) }()
	timer := time.AfterFunc(quietTime+s.Time-s.FullRate, func() {
		if s.FullRate > 0 {
			suite.SetRate(0)
			fmt.Printf("%6.1fs  clients send as much as is answered\n", clock().Seconds())
		}
	})
	defer timer.Stop()

	faultErr := makeFaults(ctx, s, r, cluster, recorder, clock, kinds)
	dismiss()
	if err := errors.Join(faultErr, <-worked, context.Cause(ctx)); err != nil {
		return err
	}
	fmt.Printf("%6.1fs  all faults are healed; every node is read\n", clock().Seconds())
	if err := within(ctx, startLimit, cluster.AwaitReady); err != nil {
		r.Violations = append(r.Violations, "the cluster is not ready after all faults were healed: "+err.Error())
		return err
	}
	return within(ctx, finalLimit, suite.FinalReads)
}

// makeFaults plays faults until the time is over.
func makeFaults(ctx context.Context, s settings, r *record, cluster *proc.Cluster, recorder *history.Recorder, clock history.Clock, kinds []nemesis.Kind) (err error) {
	sleep(ctx, quietTime)
	if len(kinds) == 0 {
		sleep(ctx, s.Time)
		return nil
	}
	r.Faults, err = nemesis.Run(ctx, nemesis.Config{
		Cluster: cluster, Kinds: kinds, Recorder: recorder, Clock: clock,
		Seed: s.Seed, Interval: s.Interval, Together: s.Together, Say: sayFault,
	}, quietTime+s.Time)
	if errors.Is(err, nemesis.ErrNotRecovered) {
		r.Violations = append(r.Violations, err.Error())
	}
	r.NeverProved = neverProved(kinds, r.Faults)
	for _, f := range r.Faults {
		said := fmt.Sprintf("%s at %.1fs: %s", f.Kind, f.Begin.Seconds(), f.Trouble)
		switch {
		case f.Broken:
			r.Violations = append(r.Violations, said)
		case !f.Proven() && !f.CutShort:
			r.Troubles = append(r.Troubles, said)
		}
	}
	if s.EveryKind && len(r.NeverProved) > 0 {
		r.Troubles = append(r.Troubles, "never proved: "+strings.Join(r.NeverProved, ", "))
	}
	return err
}

func sayFault(f nemesis.Fault) {
	kind := f.Kind
	if f.With != "" {
		kind += " (with " + f.With + ")"
	}
	said := f.Proof
	switch {
	case f.CutShort:
		said = "cut short; " + f.Trouble
	case f.Trouble != "":
		said = "NOT PROVED: " + f.Trouble
	}
	fmt.Printf("%6.1fs  %4.1fs  %s %s: %s\n", f.Begin.Seconds(), (f.End - f.Begin).Seconds(), kind, strings.Join(f.Targets, " "), shorten(said))
}

// shorten keeps a line of output a line; run.json has all of it.
func shorten(text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	const most = 220
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}

func neverProved(kinds []nemesis.Kind, faults []nemesis.Fault) []string {
	names := []string{}
	for _, k := range kinds {
		if !slices.ContainsFunc(faults, func(f nemesis.Fault) bool { return f.Kind == k.Name && f.Proven() }) {
			names = append(names, k.Name)
		}
	}
	return names
}

// present returns the nodes as clients reach them, dead or alive.
func present(cluster *proc.Cluster) []workload.Node {
	var nodes []workload.Node
	for _, m := range cluster.Machines() {
		nodes = append(nodes, workload.Node{ID: m.Node(), URL: m.URL()})
	}
	return nodes
}

func nodeIDs(cluster *proc.Cluster) []string {
	var ids []string
	for _, m := range cluster.Machines() {
		ids = append(ids, m.Node())
	}
	return ids
}

// misdeeds are what nodes must never do, whatever is done to them: end when
// nobody has asked for it, or panic.
func misdeeds(cluster *proc.Cluster, folder string) []string {
	found := []string{}
	for _, exit := range cluster.UnexpectedExits() {
		found = append(found, fmt.Sprintf("nobody had asked for it, but %v at %s: %s", exit, exit.At.Format(time.TimeOnly), exit.Words))
	}
	for _, m := range cluster.Machines() {
		log, err := os.ReadFile(m.LogPath())
		if err != nil {
			found = append(found, err.Error())
			continue
		}
		for line := range strings.Lines(string(log)) {
			if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.Contains(line, "DATA RACE") {
				found = append(found, fmt.Sprintf("in the log of %s: %s", m.Name, strings.TrimSpace(line)))
			}
		}
	}
	return found
}

// versionOf asks the program under test.
func versionOf(folder string) string {
	out, err := exec.Command(proc.BinaryPath(folder), "version").Output()
	if err != nil {
		return "version unknown: " + err.Error()
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func writeJSON(path string, what any) error {
	data, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
