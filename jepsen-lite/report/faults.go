package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tally/jepsen-lite/history"
)

// fault is one fault from its begin to its end.
type fault struct {
	Kind       string
	Targets    []string
	Begin, End time.Duration
	Detail     string
	Proof      string
	Trouble    string // why there is no proof
}

// Duration is how long the fault lasted, with its healing.
func (f fault) Duration() time.Duration { return f.End - f.Begin }

// faultsOf puts begins and ends together, in the order of the begins. A fault
// without an end lasts until the history ends, and has no proof.
func faultsOf(h *history.History) []fault {
	var list []fault
	open := map[string]int{} // by kind: one kind is not made twice at once
	for _, f := range h.Faults {
		if f.What.Phase == history.Begin {
			open[f.What.Kind] = len(list)
			list = append(list, fault{Kind: f.What.Kind, Targets: f.What.Targets, Begin: f.At, End: h.Duration, Detail: f.What.Detail, Trouble: "it has no end"})
			continue
		}
		if at, found := open[f.What.Kind]; found {
			list[at].End, list[at].Proof, list[at].Trouble = f.At, f.What.Proof, f.What.Detail
			delete(open, f.What.Kind)
		}
	}
	return list
}

// faultKind is all faults of one kind.
type faultKind struct {
	Kind           string
	Begun, Proved  int
	Total, Longest time.Duration
	Faults         []fault
}

func faultKinds(faults []fault) []faultKind {
	byKind := map[string]*faultKind{}
	var kinds []*faultKind
	for _, f := range faults {
		k := byKind[f.Kind]
		if k == nil {
			k = &faultKind{Kind: f.Kind}
			byKind[f.Kind] = k
			kinds = append(kinds, k)
		}
		k.Begun++
		if f.Proof != "" {
			k.Proved++
		}
		k.Total += f.Duration()
		k.Longest = max(k.Longest, f.Duration())
		k.Faults = append(k.Faults, f)
	}
	slices.SortFunc(kinds, func(a, b *faultKind) int { return cmp.Compare(a.Kind, b.Kind) })
	list := make([]faultKind, len(kinds))
	for i, k := range kinds {
		list[i] = *k
	}
	return list
}

// family is what a fault is made on, for its colour.
func (f fault) family() string {
	for _, family := range []struct{ name, prefixes string }{
		{"process", "kill- pause- rolling-"},
		{"disk", "power- disk-"},
		{"clock", "clock-"},
		{"members", "member- snapshot- hand-"},
	} {
		for prefix := range strings.FieldsSeq(family.prefixes) {
			if strings.HasPrefix(f.Kind, prefix) {
				return family.name
			}
		}
	}
	return "network"
}
