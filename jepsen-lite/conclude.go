//go:build linux

package main

import (
	"fmt"
	"path/filepath"

	"tally/jepsen-lite/checker"
)

// judge checks what was written down, and adds to it what the checkers cannot
// see there: nodes that did what they must not, and what went wrong with the run.
func judge(r *record, s settings, folder string) (checker.Verdict, error) {
	verdict := checker.Verdict{Outcome: checker.Unknown}
	if !r.BrokenOff {
		var err error
		if verdict, err = checker.Check(folder, checker.Config{Floors: floors(s)}); err != nil {
			r.Troubles = append(r.Troubles, "the run cannot be checked: "+err.Error())
		}
	}
	nodes := checker.Result{Name: "nodes", Outcome: checker.Valid, Checked: r.Nodes, Violations: len(r.Violations), Findings: r.Violations,
		Summary: "no node ended, panicked or failed to come back without a reason"}
	if len(r.Violations) > 0 {
		nodes.Outcome = checker.Invalid
		nodes.Summary = "nodes did what they must not do"
	}
	harness := checker.Result{Name: "harness", Outcome: checker.Valid, Checked: len(r.Faults), Findings: r.Troubles,
		Summary: "the run was made as it was meant to be"}
	if len(r.Troubles) > 0 {
		harness.Outcome = checker.Unknown
		harness.Summary = "the run was not made as it was meant to be"
	}
	for _, result := range []checker.Result{nodes, harness} {
		verdict.Add(result)
	}
	return verdict, writeJSON(filepath.Join(folder, "verdict.json"), verdict)
}

// conclude says what the run has come to and returns the exit code.
func conclude(r *record, verdict checker.Verdict) int {
	proven := 0
	for _, f := range r.Faults {
		if f.Proven() {
			proven++
		}
	}
	fmt.Printf("\n%d operations, %d events, %d log entries; %d faults, %d of them proved; %.0f s\n\n",
		verdict.Stats.Operations, verdict.Stats.Events, verdict.Stats.Entries, len(r.Faults), proven, r.Seconds)
	for _, result := range verdict.Results {
		fmt.Printf("%-10s %-8s %s\n", result.Name, result.Outcome, shorten(result.Summary))
		for _, finding := range result.Findings {
			fmt.Println("           -", shorten(finding))
		}
	}
	fmt.Printf("\nverdict: %s\n", verdict.Outcome)
	switch verdict.Outcome {
	case checker.Valid:
		return exitValid
	case checker.Invalid:
		return exitInvalid
	}
	return exitUnknown
}
