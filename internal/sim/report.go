package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
)

// Report is what came of a run.
type Report struct {
	Plan    Plan
	Virtual time.Duration // the whole run, from the first start to the last reading
	Made    []Made
	Verdict checker.Verdict
	// Violations are what nodes did that they must never do, and Troubles what
	// keeps the run from having shown anything.
	Violations, Troubles []string

	entries  []history.Entry
	journals map[string][]journal.Line
	log      string // of the nodes, the end of it
}

// Outcome is that of the checkers, and worse if the nodes did wrong.
func (r *Report) Outcome() checker.Outcome {
	switch {
	case len(r.Violations) > 0 || r.Verdict.Outcome == checker.Invalid:
		return checker.Invalid
	case len(r.Troubles) > 0 || r.Verdict.Outcome != checker.Valid:
		return checker.Unknown
	}
	return checker.Valid
}

// String tells all that is wrong.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d is %s\n", r.Plan.Seed, r.Outcome())
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "  violation: %s\n", v)
	}
	for _, t := range r.Troubles {
		fmt.Fprintf(&b, "  trouble: %s\n", t)
	}
	for _, result := range r.Verdict.Results {
		if result.Outcome != checker.Valid {
			fmt.Fprintf(&b, "  %s is %s: %d violations\n", result.Name, result.Outcome, result.Violations)
			for _, finding := range result.Findings {
				fmt.Fprintf(&b, "    %s\n", finding)
			}
		}
	}
	return b.String()
}

// Save writes the run to a folder, as jepsen-lite does: history, journals, and
// what the nodes logged.
func (r *Report) Save(dir string) error {
	journals := filepath.Join(dir, checker.JournalsDir)
	if err := os.MkdirAll(journals, 0o755); err != nil {
		return err
	}
	plan, err := json.MarshalIndent(r.Plan, "", "  ")
	err = errors.Join(err,
		history.Save(filepath.Join(dir, checker.HistoryFile), r.entries),
		os.WriteFile(filepath.Join(dir, "plan.json"), append(plan, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "nodes.log"), []byte(r.log), 0o644),
		os.WriteFile(filepath.Join(dir, "verdict.txt"), []byte(r.String()), 0o644))
	for id, lines := range r.journals {
		err = errors.Join(err, journal.Save(filepath.Join(journals, id+".jsonl"), lines))
	}
	return err
}

// Total is what came of many runs.
type Total struct {
	Seeds, Valid, Unknown, Invalid int
	Virtual                        time.Duration
	Operations, Events             int
	Faults, Together               int
	ByKind                         map[string]int
}

// Add adds a run.
func (t *Total) Add(r *Report) {
	t.Seeds++
	switch r.Outcome() {
	case checker.Valid:
		t.Valid++
	case checker.Unknown:
		t.Unknown++
	case checker.Invalid:
		t.Invalid++
	}
	t.Virtual += r.Virtual
	t.Operations += r.Verdict.Stats.Operations
	t.Events += r.Verdict.Stats.Events
	t.Faults += len(r.Made)
	if t.ByKind == nil {
		t.ByKind = map[string]int{}
	}
	for _, made := range r.Made {
		t.ByKind[made.Kind]++
		if made.With != "" {
			t.Together++
		}
	}
}

// Summary tells the total of runs that took so much time of the wall and of the processor.
func (t *Total) Summary(wall, processor time.Duration) string {
	var b strings.Builder
	line := func(format string, arguments ...any) { fmt.Fprintf(&b, format+"\n", arguments...) }
	line("seeds          %d: %d valid, %d unknown, %d invalid", t.Seeds, t.Valid, t.Unknown, t.Invalid)
	line("simulated      %.2f cluster-hours in %v of wall time and %v of processor time", t.Virtual.Hours(), wall.Round(time.Second), processor.Round(time.Second))
	line("speed          %.0f cluster-hours an hour of wall time, %.0f an hour of processor time", t.Virtual.Hours()/wall.Hours(), t.Virtual.Hours()/processor.Hours())
	line("operations     %d, %.1f a simulated second; watchers were told of %d events", t.Operations, float64(t.Operations)/t.Virtual.Seconds(), t.Events)
	line("faults         %d, %.2f a simulated second; %d of them two at a time", t.Faults, float64(t.Faults)/t.Virtual.Seconds(), t.Together)
	var kinds []string
	for kind := range t.ByKind {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		line("  %-18s %d", kind, t.ByKind[kind])
	}
	return b.String()
}
