//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"tally/jepsen-lite/proc"
)

// How long a fault lasts once it has bitten, and how long evidence is waited
// for. A leader's lease is 300 ms: what is shorter changes little.
const (
	shortestHold  = 400 * time.Millisecond
	longestHold   = 2200 * time.Millisecond
	evidenceLimit = 20 * time.Second
)

// Injection is one fault while it is played. It has one owner, the goroutine
// that plays it.
type Injection struct {
	Cluster *proc.Cluster
	// Rand decides whom to hit and how hard; it follows from the seed.
	Rand *rand.Rand
	// Context ends when the run is told to stop: then the fault must return.
	Context context.Context

	alone   bool // no other fault is made at the same time
	begin   func(targets []string, detail string)
	targets []string
	detail  string
	begun   bool
	proofs  []string
	heals   []func() error
}

// Begin writes down who is hit, and how, before it is done.
func (i *Injection) Begin(targets []*proc.Machine, format string, args ...any) {
	i.begun = true
	i.detail = fmt.Sprintf(format, args...)
	for _, m := range targets {
		i.targets = append(i.targets, m.Node()+"@"+m.Name)
	}
	i.begin(i.targets, i.detail)
}

// Heal registers what undoes the fault. It runs when the kind returns, whatever
// the reason, the last first.
func (i *Injection) Heal(f func() error) { i.heals = append(i.heals, f) }

// Prove adds to the evidence.
func (i *Injection) Prove(format string, args ...any) {
	i.proofs = append(i.proofs, fmt.Sprintf(format, args...))
}

// owed says that an error is a promise that a node has broken: unless another
// fault may be the reason, or the run was told to stop.
func (i *Injection) owed(err error) error {
	if err == nil || !i.alone || i.Context.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrPromise, err)
}

func (i *Injection) proof() string { return strings.Join(i.proofs, "; ") }

// heal undoes everything, also what follows something that could not be undone.
func (i *Injection) heal() error {
	var errs []error
	for len(i.heals) > 0 {
		last := len(i.heals) - 1
		f := i.heals[last]
		i.heals = i.heals[:last]
		errs = append(errs, attempt(f))
	}
	return errors.Join(errs...)
}

// Hold lets the fault last for a time that the seed decides.
func (i *Injection) Hold() error {
	return i.Sleep(shortestHold + time.Duration(i.Rand.Int64N(int64(longestHold-shortestHold))))
}

// Sleep waits, unless the run is told to stop.
func (i *Injection) Sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-i.Context.Done():
		return context.Cause(i.Context)
	}
}

// Await waits until there is evidence. What names it in the error.
func (i *Injection) Await(what string, found func() (bool, error)) error {
	return i.AwaitFor(evidenceLimit, what, found)
}

// AwaitFor is Await with a limit of its own.
func (i *Injection) AwaitFor(limit time.Duration, what string, found func() (bool, error)) error {
	const often = 20 * time.Millisecond
	deadline := time.Now().Add(limit)
	for {
		ok, err := found()
		if ok {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("no evidence within %v: %s", limit, what), err)
		}
		if err := i.Sleep(often); err != nil {
			return err
		}
	}
}

// Some returns n machines, chosen at random.
func (i *Injection) Some(n int) []*proc.Machine {
	all := append([]*proc.Machine(nil), i.Cluster.Machines()...)
	i.Rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	return all[:n]
}

// Minority and majority are the largest and the smallest number of machines of
// their sort.
func (i *Injection) minority() int { return (len(i.Cluster.Machines()) - 1) / 2 }
func (i *Injection) majority() int { return len(i.Cluster.Machines())/2 + 1 }

// leader waits until somebody leads.
func (i *Injection) leader() (proc.Leader, error) { return i.awaitLeader(nil) }

func (i *Injection) awaitLeader(ok func(proc.Leader) bool) (proc.Leader, error) {
	ctx, cancel := context.WithTimeout(i.Context, evidenceLimit)
	defer cancel()
	return i.Cluster.AwaitLeader(ctx, ok)
}

// proveNewLeader waits until another machine than old leads in a newer term.
func (i *Injection) proveNewLeader(old proc.Leader) error {
	start := time.Now()
	leader, err := i.awaitLeader(func(l proc.Leader) bool { return l.Machine != old.Machine && l.Term > old.Term })
	if err != nil {
		return fmt.Errorf("nobody took over from %s in term %d: %w", old.Machine.Name, old.Term, err)
	}
	i.Prove("leader %s in term %d became %s in term %d after %d ms",
		old.Machine.Name, old.Term, leader.Machine.Name, leader.Term, time.Since(start).Milliseconds())
	return nil
}

// others returns all machines but these.
func (i *Injection) others(these []*proc.Machine) []*proc.Machine {
	var rest []*proc.Machine
	for _, m := range i.Cluster.Machines() {
		if !contains(these, m) {
			rest = append(rest, m)
		}
	}
	return rest
}

func contains(list []*proc.Machine, m *proc.Machine) bool {
	for _, other := range list {
		if other == m {
			return true
		}
	}
	return false
}
