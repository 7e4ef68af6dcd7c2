//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tally/jepsen-lite/history"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// What a fault comes to, and whether it is healed, whatever its kind does.
func TestFaultsAreHealedAndJudged(t *testing.T) {
	broken := errors.New("broken")
	stopped, stop := context.WithCancel(context.Background())
	stop()
	for _, test := range []struct {
		name    string
		ctx     context.Context
		inject  func(*Injection) error
		proven  bool
		trouble string
	}{
		{"proved", context.Background(), func(i *Injection) error { i.Prove("it bit"); return nil }, true, ""},
		{"no proof", context.Background(), func(*Injection) error { return nil }, false, "no evidence"},
		{"an error after the proof", context.Background(), func(i *Injection) error { i.Prove("it bit"); return broken }, false, "broken"},
		{"a panic", context.Background(), func(*Injection) error { panic("oh") }, false, "panic: oh"},
		{"a heal that fails", context.Background(), func(i *Injection) error {
			i.Prove("it bit")
			i.Heal(func() error { return broken })
			return nil
		}, false, "broken"},
		{"a heal that panics", context.Background(), func(i *Injection) error {
			i.Prove("it bit")
			i.Heal(func() error { panic("oh") })
			return nil
		}, false, "panic: oh"},
		{"a promise is broken", context.Background(), func(i *Injection) error { return fmt.Errorf("%w: it serves", ErrPromise) }, false, "it serves"},
		{"told to stop", stopped, func(i *Injection) error { i.Prove("it bit"); return i.Hold() }, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			healed := false
			kind := Kind{Name: "test", Inject: func(i *Injection) error {
				i.Begin(nil, "a test")
				i.Heal(func() error { healed = true; return nil })
				return test.inject(i)
			}}
			fault, recorded := playOnce(t, test.ctx, kind)
			if !healed {
				t.Error("it was not healed")
			}
			if fault.Proven() != test.proven || !strings.Contains(fault.Trouble, test.trouble) {
				t.Errorf("fault %+v, want proven %v and trouble %q", fault, test.proven, test.trouble)
			}
			if fault.Broken != (test.name == "a promise is broken") {
				t.Errorf("a promise was broken: %v", fault.Broken)
			}
			if len(recorded) != 2 || recorded[0].What.Phase != history.Begin || (recorded[1].What.Proof != "") != test.proven {
				t.Errorf("recorded %+v", recorded)
			}
		})
	}
}

// What a node owes is not excused, unless another fault at the same time, or the
// end of the run, may be the reason.
func TestPromisesAreKeptByWhoIsLeftAlone(t *testing.T) {
	late := errors.New("it lives on")
	stopped, stop := context.WithCancel(context.Background())
	stop()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		with   string
		err    error
		broken bool
	}{
		{"alone", context.Background(), "", late, true},
		{"with another fault", context.Background(), "delay", late, false},
		{"told to stop", stopped, "", late, false},
		{"kept", context.Background(), "", nil, false},
	} {
		kind := Kind{Name: "test", Inject: func(i *Injection) error {
			i.Begin(nil, "a test")
			i.Prove("it bit")
			return i.owed(test.err)
		}}
		n := &nemesis{Config: Config{Recorder: history.OpenMemory(history.NewClock()), Clock: history.NewClock()}}
		if fault := n.playOne(test.ctx, kind, test.with, random(1)); fault.Broken != test.broken || fault.Proven() != (test.err == nil) {
			t.Errorf("%s: fault %+v, want broken %t", test.name, fault, test.broken)
		}
	}
}

func TestHealsComeInReverse(t *testing.T) {
	var order []int
	i := &Injection{}
	for n := range 3 {
		i.Heal(func() error { order = append(order, n); return nil })
	}
	if err := i.heal(); err != nil || !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("healed %v, %v", order, err)
	}
}

// playOnce plays a kind that needs no cluster, and returns what the history has of it.
func playOnce(t *testing.T, ctx context.Context, kind Kind) (Fault, []history.Timed[history.Fault]) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	clock := history.NewClock()
	recorder, err := history.Open(path, clock)
	if err != nil {
		t.Fatal(err)
	}
	recorder.Begin(history.Run{})
	n := &nemesis{Config: Config{Recorder: recorder, Clock: clock}}
	fault := n.playOne(ctx, kind, "", random(1))
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := history.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return fault, h.Faults
}
