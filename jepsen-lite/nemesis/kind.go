//go:build linux

package nemesis

import (
	"slices"

	"tally/jepsen-lite/proc"
)

// Kind is one way to break something.
type Kind struct {
	Name string
	// Does says it in a line, for people.
	Does string
	// Touches is what the kind has for itself: two kinds are combined only if
	// they touch different things.
	Touches Touch
	// Needs is what the system must allow.
	Needs []proc.Capability
	// Smallest is the number of machines under which it makes no sense, if any.
	Smallest int
	// Inject breaks, proves and returns; what it has registered heals then. An
	// error says why it could not be done or did not bite.
	Inject func(*Injection) error
}

// Touch is a set of things that are broken.
type Touch int

// What can be broken.
const (
	Processes Touch = 1 // and their disks
	Network   Touch = 2
	Clocks    Touch = 4
	Members   Touch = 8  // and that there is a majority of them to let others in
	Leader    Touch = 16 // who leads is asked for, and not only changed in passing
)

// Kinds returns every kind there is, in the order in which they are described.
func Kinds() []Kind {
	return slices.Concat(processKinds(), networkKinds(), diskKinds(), clockKinds(), memberKinds())
}

// Possible returns the kinds that can be played on so many machines with what
// the system allows, and for the others why they cannot.
func Possible(kinds []Kind, machines int, can proc.Capabilities) (possible []Kind, skipped []Skip) {
	for _, k := range kinds {
		if reason := k.impossible(machines, can); reason != "" {
			skipped = append(skipped, Skip{k.Name, reason})
			continue
		}
		possible = append(possible, k)
	}
	return possible, skipped
}

// Skip is a kind that is not played, and why.
type Skip struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
}

func (k Kind) impossible(machines int, can proc.Capabilities) string {
	for _, need := range k.Needs {
		if !can.Has(need) {
			return string(need) + ": " + can.Missing[need]
		}
	}
	if k.Smallest > machines {
		return "too few nodes for it"
	}
	return ""
}
