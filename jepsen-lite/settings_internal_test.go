//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/nemesis"
)

func TestSettings(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // in the error; "" is none
	}{
		{"", ""},
		{"--time 5m --seed 7 --nodes 5 --full-rate 30s", ""},
		{"--nemesis kill-one,loss --workload register", ""},
		{"--nemesis none", ""},
		{"--nemesis kill-everything", "there is no"},
		{"--workload kill-one", "there is no"},
		{"--nodes 10", "1 to 9"},
		{"--time 0s", "--time"},
		{"--time 10s --full-rate 11s", "--full-rate"},
		{"now", "no flag"},
	} {
		_, err := parseSettings(strings.Fields(test.args))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.args, err, test.want)
		}
	}
}

// What nodes or the run itself did wrong decides, however good the history looks.
func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		name   string
		record record
		code   int
	}{
		{"broken off", record{BrokenOff: true}, exitUnknown},
		{"a trouble", record{BrokenOff: true, Troubles: []string{"a fault without proof"}}, exitUnknown},
		{"a violation", record{BrokenOff: true, Violations: []string{"a node ended"}}, exitInvalid},
	} {
		r := test.record
		verdict, err := judge(&r, settings{Time: time.Minute}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if code := conclude(&r, verdict); code != test.code {
			t.Errorf("%s: exit code %d, want %d", test.name, code, test.code)
		}
	}
	if code := conclude(&record{}, checker.Verdict{Outcome: checker.Valid}); code != exitValid {
		t.Errorf("a valid run: exit code %d, want %d", code, exitValid)
	}
}

func TestNeverProved(t *testing.T) {
	kinds := []nemesis.Kind{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}
	faults := []nemesis.Fault{
		{Kind: "a", Proof: "it bit"},
		{Kind: "b", Proof: "it bit", Trouble: "not healed"},
		{Kind: "c", Proof: "it bit", CutShort: true},
	}
	if got, want := neverProved(kinds, faults), []string{"b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("never proved: %v, want %v", got, want)
	}
}
