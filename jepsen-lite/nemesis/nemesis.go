//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"tally/jepsen-lite/history"
	"tally/jepsen-lite/proc"
)

// Config is what a nemesis needs.
type Config struct {
	Cluster  *proc.Cluster
	Kinds    []Kind
	Recorder *history.Recorder
	Clock    history.Clock
	Seed     uint64
	// Interval is how long the cluster is left alone between two faults.
	Interval time.Duration
	// Together is the share of turns in which two kinds are played at once, 0 to 1.
	Together float64
	// Say is told of each fault as it ends, for people who watch; nil is silence.
	Say func(Fault)
}

// Fault is one that was played.
type Fault struct {
	Kind    string        `json:"kind"`
	Targets []string      `json:"targets"`
	Detail  string        `json:"detail"`
	Proof   string        `json:"proof"`
	With    string        `json:"with,omitempty"` // the kind that was played at the same time
	Begin   time.Duration `json:"begin"`          // on the clock of the run
	End     time.Duration `json:"end"`
	// Trouble is why the fault could not be made, did not bite, or could not be healed.
	Trouble string `json:"trouble,omitempty"`
	// Broken says that the trouble is a promise that a node has broken.
	Broken bool `json:"broken,omitempty"`
	// Unhealed says that what was broken could not be mended.
	Unhealed bool `json:"unhealed,omitempty"`
	// CutShort says that the run was told to stop while the fault was played.
	CutShort bool `json:"cutShort,omitempty"`
}

// ErrPromise means that a fault has made a node do what it must never do. It is
// wrapped by what a kind returns.
var ErrPromise = errors.New("a node has broken a promise")

// Proven says that the fault has bitten and was healed.
func (f Fault) Proven() bool { return f.Proof != "" && f.Trouble == "" && !f.CutShort }

// recoveryLimit is how long a healed cluster may take until all nodes are ready.
const recoveryLimit = 30 * time.Second

// ErrNotRecovered is why a run ends early: a healed cluster does not serve.
var ErrNotRecovered = errors.New("the cluster has not recovered from a fault that was healed")

// Run plays faults until the time is over, and returns all of them. The last one
// begins before and is played to its end. When ctx ends, faults under way are
// healed at once.
func Run(ctx context.Context, config Config, until time.Duration) ([]Fault, error) {
	n := &nemesis{Config: config, order: newOrder(config.Kinds, config.Seed, config.Together)}
	for config.Clock() < until {
		n.play(ctx, n.order.next())
		if ctx.Err() != nil {
			break
		}
		if slices.ContainsFunc(n.faults, func(f Fault) bool { return f.Unhealed }) {
			return n.faults, errors.New("a fault could not be healed: what comes now would say nothing of the cluster")
		}
		if err := awaitAll(ctx, config.Cluster, recoveryLimit); err != nil && ctx.Err() == nil {
			return n.faults, fmt.Errorf("%w within %v: %w", ErrNotRecovered, recoveryLimit, err)
		}
		sleep(ctx, config.Interval)
	}
	return n.faults, nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

type nemesis struct {
	Config
	order *order

	mu     sync.Mutex
	faults []Fault
}

// play plays the kinds of one turn, the second a little after the first.
func (n *nemesis) play(ctx context.Context, turn turn) {
	var group sync.WaitGroup
	for k, kind := range turn.kinds {
		with := ""
		if len(turn.kinds) == 2 {
			with = turn.kinds[1-k].Name
		}
		random := rand.New(rand.NewPCG(n.Seed, turn.seeds[k]))
		group.Go(func() {
			if k > 0 {
				sleep(ctx, time.Duration(random.Int64N(int64(300*time.Millisecond))))
			}
			n.note(n.playOne(ctx, kind, with, random))
		})
	}
	group.Wait()
}

// playOne plays one fault from its begin to its healing.
func (n *nemesis) playOne(ctx context.Context, kind Kind, with string, random *rand.Rand) Fault {
	fault := Fault{Kind: kind.Name, With: with, Begin: n.Clock()}
	i := &Injection{Cluster: n.Cluster, Rand: random, Context: ctx, alone: with == ""}
	i.begin = func(targets []string, detail string) {
		fault.Begin = n.Clock()
		n.Recorder.Fault(history.Fault{Kind: kind.Name, Phase: history.Begin, Targets: targets, Detail: detail})
	}
	err := attempt(func() error { return kind.Inject(i) })
	healErr := i.heal()
	err = errors.Join(err, healErr)

	fault.Unhealed, fault.Broken = healErr != nil, errors.Is(err, ErrPromise)
	fault.Targets, fault.Detail, fault.Proof, fault.End = i.targets, i.detail, i.proof(), n.Clock()
	if ctx.Err() != nil {
		fault.CutShort = true
	} else if err != nil {
		fault.Trouble = err.Error()
	} else if fault.Proof == "" {
		fault.Trouble = "there is no evidence that it has bitten"
	}
	if i.begun {
		// A fault with trouble has no proof in the history, whatever it had seen.
		proof := fault.Proof
		if !fault.Proven() {
			proof = ""
		}
		n.Recorder.Fault(history.Fault{Kind: kind.Name, Phase: history.End, Targets: i.targets, Detail: fault.Trouble, Proof: proof})
	}
	return fault
}

// attempt turns a panic into an error: what was broken must be healed.
func attempt(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

func (n *nemesis) note(fault Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, fault)
	if n.Say != nil {
		n.Say(fault)
	}
}
