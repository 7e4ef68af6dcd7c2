package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"tally/jepsen-lite/history"
)

// Stats is what was done in a run.
type Stats struct {
	Operations int         `json:"operations"`
	ByKind     []KindStats `json:"byKind"`
	Events     int         `json:"events"` // that watchers were told of
	// Told are the same events by how they were told.
	Told    map[history.Form]int `json:"told"`
	Entries int                  `json:"entries"`
	Faults  []FaultStats         `json:"faults"`
}

// KindStats is what came of the requests of one kind in one workload.
type KindStats struct {
	Workload string       `json:"workload"`
	Kind     history.Kind `json:"kind"`
	// OK, Decided, Fail and Info add up to all of them. Decided are refusals by
	// the state of a group or the call limit: the cluster served, and said no.
	OK      int `json:"ok"`
	Decided int `json:"decided"`
	Fail    int `json:"fail"`
	Info    int `json:"info"`
}

func (k KindStats) total() int { return k.OK + k.Decided + k.Fail + k.Info }

// FaultStats is how often a fault was made and proved.
type FaultStats struct {
	Kind   string `json:"kind"`
	Begun  int    `json:"begun"`
	Proved int    `json:"proved"`
}

func statsOf(h *history.History, l *committedLog) Stats {
	type id struct {
		workload string
		kind     history.Kind
	}
	kinds := map[id]*KindStats{}
	for i := range h.Operations {
		o := &h.Operations[i]
		k := kinds[id{o.Op.Workload, o.Op.Kind}]
		if k == nil {
			k = &KindStats{Workload: o.Op.Workload, Kind: o.Op.Kind}
			kinds[id{o.Op.Workload, o.Op.Kind}] = k
		}
		switch code := o.Reply.Code; {
		case o.OK():
			k.OK++
		case o.Unknown():
			k.Info++
		case decided(code) || code == "rate_limited" || code == keyExpired || code == keyReused:
			k.Decided++
		default:
			k.Fail++
		}
	}
	s := Stats{Operations: len(h.Operations), Told: map[history.Form]int{}, Entries: len(l.entries), Faults: faultsOf(h)}
	for _, k := range kinds {
		s.ByKind = append(s.ByKind, *k)
	}
	slices.SortFunc(s.ByKind, func(a, b KindStats) int {
		return cmp.Or(cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Kind, b.Kind))
	})
	for _, m := range h.Messages {
		s.Events += len(m.What.Events)
		s.Told[m.What.Form] += len(m.What.Events)
	}
	return s
}

func faultsOf(h *history.History) []FaultStats {
	kinds := map[string]FaultStats{}
	for _, f := range h.Faults {
		k := kinds[f.What.Kind]
		k.Kind = f.What.Kind
		switch {
		case f.What.Phase == history.Begin:
			k.Begun++
		case f.What.Proof != "":
			k.Proved++
		}
		kinds[f.What.Kind] = k
	}
	return slices.SortedFunc(maps.Values(kinds), func(a, b FaultStats) int { return cmp.Compare(a.Kind, b.Kind) })
}

// checkFaults sees that every fault ended, and was proved to have been felt. One
// that was not violates nothing: the run has not shown what it was meant to.
func checkFaults(s Stats, floors Floors) Result {
	result := newResult("faults")
	proved := 0
	for _, f := range s.Faults {
		result.Checked += f.Begun
		proved += f.Proved
		if f.Begun != f.Proved {
			result.unknown("%s was made %d times, and was proved to have been felt %d times", f.Kind, f.Begun, f.Proved)
		}
	}
	if proved < floors.Faults {
		result.unknown("%d faults were proved; the run asks for %d", proved, floors.Faults)
	}
	result.summarize("%d faults of %d kinds, %d of them proved", result.Checked, len(s.Faults), proved)
	return *result
}

// Floors are what a run must have done for its verdict to mean something. The
// zero value asks for nothing but the fixed ones.
type Floors struct {
	// Operations, Events and Faults are the least numbers of the whole run.
	Operations, Events, Faults int
	// Workloads must each have sent something, and in each of Forms watchers must
	// have been told something.
	Workloads []string
	Forms     []history.Form
	// PerKind is the least number of requests of each kind in each workload that
	// were served: ok or decided. At least one must be.
	PerKind int
	// Served is the least part of the requests of a kind that were served, 0 to 1.
	Served float64
	// UnknownMax is the greatest part of the changes that may be info; 0 means 0.05.
	UnknownMax float64
}

const unknownMaxDefault = 0.05

// checkFloors sees that enough was done. Too little makes a run unknown: it
// violates nothing, and shows nothing.
func checkFloors(s Stats, floors Floors) Result {
	result := newResult("floors")
	result.Checked = s.Operations
	if s.Operations < floors.Operations || s.Operations == 0 {
		result.unknown("%d requests; the run asks for %d", s.Operations, max(1, floors.Operations))
	}
	if s.Events < floors.Events {
		result.unknown("%d events; the run asks for %d", s.Events, floors.Events)
	}
	for _, name := range floors.Workloads {
		if !slices.ContainsFunc(s.ByKind, func(k KindStats) bool { return k.Workload == name }) {
			result.unknown("%s: nothing was sent", name)
		}
	}
	for _, form := range floors.Forms {
		if s.Told[form] == 0 {
			result.unknown("no watcher was told of anything as %s", form)
		}
	}
	var changes, unknown int
	for _, k := range s.ByKind {
		if !k.Kind.IsRead() {
			changes += k.total()
			unknown += k.Info
		}
		served := k.OK + k.Decided
		if served < max(1, floors.PerKind) || float64(served) < floors.Served*float64(k.total()) {
			result.unknown("%s %s: %d of %d were served", k.Workload, k.Kind, served, k.total())
		}
		if k.OK == 0 {
			result.unknown("%s %s: none was ok", k.Workload, k.Kind)
		}
	}
	unknownMax := cmp.Or(floors.UnknownMax, unknownMaxDefault)
	if float64(unknown) > unknownMax*float64(changes) {
		result.unknown("of %d changes nobody knows %d: more than %.0f %%", changes, unknown, unknownMax*100)
	}
	result.summarize("%d requests; of %d changes the outcome of %d is unknown (%s)", s.Operations, changes, unknown, percent(unknown, changes))
	return *result
}

func percent(part, whole int) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(part)/float64(whole))
}
