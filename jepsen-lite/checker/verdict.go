package checker

import (
	"fmt"
	"slices"
)

// Outcome is what a check has come to.
type Outcome string

// The outcomes. Only Valid is a pass.
const (
	Valid   Outcome = "valid"
	Unknown Outcome = "unknown"
	Invalid Outcome = "invalid"
)

// worse returns the worse of two outcomes: one violation is not made good by
// anything, and what nobody knows is not known.
func worse(a, b Outcome) Outcome {
	order := []Outcome{Valid, Unknown, Invalid}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// Verdict is what a run has come to.
type Verdict struct {
	Outcome Outcome  `json:"outcome"`
	Results []Result `json:"results"`
	Stats   Stats    `json:"stats"`
	// Failed are the groups, as porcupine parts them, that are not linearizable
	// or not known to be: with their operations for its visualisation.
	Failed []Partition `json:"-"`
}

// Add adds a check that somebody else has made.
func (v *Verdict) Add(result Result) {
	v.Results = append(v.Results, result)
	v.Outcome = worse(v.Outcome, result.Outcome)
}

// Result is what one check has come to.
type Result struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Checked is how many things were looked at: operations, events, entries.
	Checked int `json:"checked"`
	// Summary is one sentence about what was looked at.
	Summary string `json:"summary"`
	// Violations is how many were found; Findings tell of the first of them.
	Violations int      `json:"violations"`
	Findings   []string `json:"findings,omitempty"`
}

// findingsMax is how many violations of one check are told of.
const findingsMax = 20

// newResult returns a result that has found nothing.
func newResult(name string) *Result { return &Result{Name: name, Outcome: Valid} }

// violation takes note of something that must not be.
func (r *Result) violation(format string, arguments ...any) {
	r.Outcome = Invalid
	r.Violations++
	r.tell(format, arguments...)
}

// unknown takes note of something that keeps the check from a decision.
func (r *Result) unknown(format string, arguments ...any) {
	r.Outcome = worse(r.Outcome, Unknown)
	r.tell(format, arguments...)
}

func (r *Result) tell(format string, arguments ...any) {
	if len(r.Findings) < findingsMax {
		r.Findings = append(r.Findings, fmt.Sprintf(format, arguments...))
	}
}

// summarize says what was looked at.
func (r *Result) summarize(format string, arguments ...any) {
	r.Summary = fmt.Sprintf(format, arguments...)
}
