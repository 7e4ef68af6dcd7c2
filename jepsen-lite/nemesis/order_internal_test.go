//go:build linux

package nemesis

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tally/jepsen-lite/proc"
)

func TestOrderFollowsFromTheSeed(t *testing.T) {
	a, b, other := newOrder(Kinds(), 7, 0.3), newOrder(Kinds(), 7, 0.3), newOrder(Kinds(), 8, 0.3)
	differs := false
	for range 200 {
		x, y := describeTurn(a.next()), describeTurn(b.next())
		if x != y {
			t.Fatalf("the same seed gives %s and %s", x, y)
		}
		differs = differs || x != describeTurn(other.next())
	}
	if !differs {
		t.Error("another seed gives the same order")
	}
}

func describeTurn(turn turn) string {
	text := ""
	for n, kind := range turn.kinds {
		text += fmt.Sprint(kind.Name, " ", turn.seeds[n], " ")
	}
	return text
}

func TestEveryKindComesOnceInARound(t *testing.T) {
	o := newOrder(Kinds(), 1, 0.5)
	for round := range 3 {
		seen := map[string]int{}
		for range Kinds() {
			seen[o.next().kinds[0].Name]++
		}
		for _, kind := range Kinds() {
			if seen[kind.Name] != 1 {
				t.Errorf("round %d: %s came %d times", round, kind.Name, seen[kind.Name])
			}
		}
	}
}

func TestTogetherOnlyWhatTouchesDifferentThings(t *testing.T) {
	o := newOrder(Kinds(), 1, 1)
	pairs := 0
	for range 500 {
		turn := o.next()
		if len(turn.kinds) == 2 {
			pairs++
			if turn.kinds[0].Touches&turn.kinds[1].Touches != 0 {
				t.Errorf("%s and %s touch the same", turn.kinds[0].Name, turn.kinds[1].Name)
			}
		}
	}
	if pairs < 450 {
		t.Errorf("%d of 500 turns were pairs", pairs)
	}
}

// Each would wait for what the other one keeps from happening.
func TestNeverTogether(t *testing.T) {
	for _, pair := range [][2]string{
		{"partition-halves", "member-replace"}, {"partition-halves", "member-lost-disk"}, {"partition-majorities-ring", "member-replace"},
		{"partition-leader", "kill-leader"}, {"partition-leader", "snapshot-install"},
	} {
		first, second := kindOf(t, pair[0]), kindOf(t, pair[1])
		o := newOrder([]Kind{first, second}, 1, 1)
		if len(o.partners(first)) > 0 || len(o.partners(second)) > 0 {
			t.Errorf("%s and %s may come together", first.Name, second.Name)
		}
	}
}

func kindOf(t *testing.T, name string) Kind {
	t.Helper()
	kinds := Kinds()
	at := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if at < 0 {
		t.Fatalf("there is no kind %s", name)
	}
	return kinds[at]
}

func TestKindsSayWhatTheyAre(t *testing.T) {
	var names []string
	for _, k := range Kinds() {
		if k.Name == "" || k.Does == "" || k.Touches == 0 || k.Inject == nil || slices.Contains(names, k.Name) {
			t.Errorf("kind %q is not complete, or there twice", k.Name)
		}
		names = append(names, k.Name)
	}
	if len(names) < 24 {
		t.Errorf("%d kinds, want at least 24", len(names))
	}
}

func TestPossible(t *testing.T) {
	everything := proc.Capabilities{}
	nothing := proc.Capabilities{Missing: map[proc.Capability]string{proc.Namespaces: "no root", proc.Disks: "no root"}}
	for _, test := range []struct {
		name     string
		machines int
		can      proc.Capabilities
		kind     string
		possible bool
	}{
		{"all there", 5, everything, "partition-majorities-ring", true},
		{"too few machines", 3, everything, "partition-majorities-ring", false},
		{"no disks", 5, nothing, "power-cut-all", false},
		{"no packet filter", 5, nothing, "loss", false},
		{"proxies need no rights", 5, nothing, "delay", true},
		{"partitions neither", 5, nothing, "partition-halves", true},
	} {
		possible, skipped := Possible(Kinds(), test.machines, test.can)
		got := slices.ContainsFunc(possible, func(k Kind) bool { return k.Name == test.kind })
		said := slices.ContainsFunc(skipped, func(s Skip) bool { return s.Kind == test.kind && s.Reason != "" })
		if got != test.possible || said == test.possible {
			t.Errorf("%s: %s possible %v, want %v; skipped with a reason: %v", test.name, test.kind, got, test.possible, said)
		}
	}
}

// Only a node that has noticed this skew proves it: not one whose clock is right,
// nor one that has not asked the others again since an earlier fault.
func TestSkewIsProvedByItself(t *testing.T) {
	i := &Injection{Rand: random(1)}
	for range 1000 {
		s := someSkew(i)
		if s < 2*skewSlack || s > 6*time.Hour {
			t.Fatalf("skew %v", s)
		}
		if seen := s.Seconds(); !showsSkew(seen-1, s) || !showsSkew(1-seen, -s) || showsSkew(0, s) || showsSkew(-seen, s) || showsSkew(seen+20, s) {
			t.Fatalf("a skew of %v is not proved by itself alone", s)
		}
	}
}

// A disk must not thaw by itself while it is still to be shown what its node does.
func TestDisksStayFrozenUntilTheyAreFelt(t *testing.T) {
	if hangLimit >= proc.FreezeLimit {
		t.Errorf("a disk thaws after %v, and its node has %v to end itself", proc.FreezeLimit, hangLimit)
	}
}
