package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"tally/internal/clustertest"
	"tally/jepsen-lite/history"
)

// kind is one way to break something.
type kind struct {
	name    string
	touches touch
	// possible says that the plan's clusters can be broken so; nil: all can.
	possible func(Plan) bool
	// inject breaks, waits for proof and for as long as the fault lasts, and
	// returns; what it has registered heals then.
	inject func(*fault) error
}

// touch is a set of things that are broken. Two faults are made at the same time
// only if they touch different things.
type touch int

const (
	processes touch = 1 // and their disks
	network   touch = 2
	clocks    touch = 4
	members   touch = 8
	leaders   touch = 16 // who leads is asked for, and not only changed in passing
)

// fault is one fault while it is made. The goroutine that makes it owns it.
type fault struct {
	world  *world
	kind   kind
	random *rand.Rand

	begun   bool
	targets []string
	proof   string
	heals   []func()
}

// How long a fault lasts once it has bitten, and how long proof is waited for. A
// leader's lease is 300 ms: what is shorter changes little.
const (
	shortestHold = 300 * time.Millisecond
	longestHold  = 1800 * time.Millisecond
	proofLimit   = 20 * time.Second
	lookInterval = 20 * time.Millisecond
)

// begin writes down who is hit before it is done.
func (f *fault) begin(targets []*clustertest.Node, format string, arguments ...any) {
	for _, n := range targets {
		f.targets = append(f.targets, n.ID)
		f.heal(f.world.target(n.ID))
	}
	f.begun = true
	f.world.recorder.Fault(history.Fault{Kind: f.kind.name, Phase: history.Begin, Targets: f.targets, Detail: fmt.Sprintf(format, arguments...)})
}

// heal registers what undoes the fault.
func (f *fault) heal(undo func()) { f.heals = append(f.heals, undo) }

// prove says what shows that the fault was felt.
func (f *fault) prove(format string, arguments ...any) {
	if f.proof != "" {
		f.proof += "; "
	}
	f.proof += fmt.Sprintf(format, arguments...)
}

// hold lets the fault last.
func (f *fault) hold() { time.Sleep(between(f.random, shortestHold, longestHold)) }

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)))
}

// await waits for proof.
func (f *fault) await(what string, found func() bool) error {
	for start := time.Now(); !found(); time.Sleep(lookInterval) {
		if time.Since(start) > proofLimit {
			return fmt.Errorf("no proof within %v: %s", proofLimit, what)
		}
	}
	return nil
}

// some returns n members, chosen at random.
func (f *fault) some(n int) []*clustertest.Node {
	all := f.world.nodes()
	f.random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return all[:n]
}

// one returns a member, whatever else is done to it.
func (f *fault) one() *clustertest.Node { return f.some(1)[0] }

// apart returns n members that no other fault has been made on, if there are so
// many: where a node is removed, nothing is left to be felt by it.
func (f *fault) apart(n int) []*clustertest.Node {
	all := f.some(len(f.world.nodes()))
	slices.SortStableFunc(all, func(a, b *clustertest.Node) int {
		return f.world.targeted(a.ID) - f.world.targeted(b.ID)
	})
	return all[:n]
}

// others returns the members but these.
func (f *fault) others(these ...*clustertest.Node) []*clustertest.Node {
	return slices.DeleteFunc(f.world.nodes(), func(n *clustertest.Node) bool { return slices.Contains(these, n) })
}

// leader waits until somebody leads.
func (f *fault) leader() (*clustertest.Node, error) {
	var leader *clustertest.Node
	err := f.await("a leader", func() bool {
		leader = f.world.leader()
		return leader != nil
	})
	return leader, err
}

// proveNewLeader waits until the others follow another leader than old.
func (f *fault) proveNewLeader(old *clustertest.Node) error {
	start := time.Now()
	return f.await("another leader than "+old.ID, func() bool {
		for _, n := range f.others(old) {
			if n.LeaderID() == n.ID {
				f.prove("%s leads instead of %s after %v", n.ID, old.ID, time.Since(start))
				return true
			}
		}
		return false
	})
}

// Made is how often faults of a kind were made, and how long the run waited for
// nothing else.
type Made struct {
	Kind string
	With string // the kind that was made at the same time, or ""
}

// nemesis makes one fault after the other.
type nemesis struct {
	world  *world
	random *rand.Rand
	kinds  []kind
	round  []kind // what is left of this one

	mu       sync.Mutex
	made     []Made
	troubles []string // faults that could not be made, or were not felt
}

func newNemesis(w *world) *nemesis {
	kinds := slices.DeleteFunc(allKinds(), func(k kind) bool { return k.possible != nil && !k.possible(w.plan) })
	if w.planted.Only != nil {
		kinds = slices.DeleteFunc(kinds, func(k kind) bool { return !slices.Contains(w.planted.Only, k.name) })
	}
	return &nemesis{world: w, kinds: kinds, random: rand.New(rand.NewPCG(w.plan.Seed, 0x6e656d65736973))}
}

const (
	// together is the share of turns in which two faults are made at once.
	together = 0.4
	// longestRest is the longest time between two turns. With it a fault is made
	// every other second, and sometimes right after the one before.
	longestRest = 2 * time.Second
)

// run makes faults for the time of the plan. An error means that the cluster did
// not come back.
func (n *nemesis) run() error {
	for start := time.Now(); time.Since(start) < n.world.plan.Duration; {
		turn, seeds := n.next()
		var making sync.WaitGroup
		for i, k := range turn {
			with := ""
			if len(turn) == 2 {
				with = turn[1-i].name
			}
			making.Go(func() { n.make(k, with, rand.New(rand.NewPCG(n.world.plan.Seed, seeds[i]))) })
		}
		making.Wait()
		if err := n.world.awaitReady(); err != nil {
			return err
		}
		time.Sleep(between(n.random, 0, longestRest))
	}
	return nil
}

// next returns the kinds of a turn: rounds in which every kind comes once,
// shuffled, and some of them together with another one.
func (n *nemesis) next() (turn []kind, seeds []uint64) {
	if len(n.round) == 0 {
		n.round = slices.Clone(n.kinds)
		n.random.Shuffle(len(n.round), func(i, k int) { n.round[i], n.round[k] = n.round[k], n.round[i] })
	}
	first := n.round[0]
	n.round = n.round[1:]
	turn = []kind{first}
	partners := slices.DeleteFunc(slices.Clone(n.kinds), func(k kind) bool { return k.touches&first.touches != 0 })
	if n.random.Float64() < together && len(partners) > 0 {
		turn = append(turn, partners[n.random.IntN(len(partners))])
	}
	for range turn {
		seeds = append(seeds, n.random.Uint64())
	}
	return turn, seeds
}

// make makes one fault, from its begin to its healing.
func (n *nemesis) make(k kind, with string, random *rand.Rand) {
	f := &fault{world: n.world, kind: k, random: random}
	err := k.inject(f)
	for _, undo := range slices.Backward(f.heals) {
		undo()
	}
	if err == nil && f.proof == "" {
		err = errors.New("there is no proof that it was felt")
	}
	proof, detail := f.proof, ""
	if err != nil {
		proof, detail = "", err.Error()
	}
	if f.begun {
		n.world.recorder.Fault(history.Fault{Kind: k.name, Phase: history.End, Targets: f.targets, Detail: detail, Proof: proof})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made = append(n.made, Made{k.name, with})
	if err != nil {
		n.troubles = append(n.troubles, strings.TrimSpace(fmt.Sprintf("%s %v: %v", k.name, f.targets, err)))
	}
}
