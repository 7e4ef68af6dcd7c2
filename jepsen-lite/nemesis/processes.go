//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"tally/jepsen-lite/proc"
)

// processKinds end, pause and restart processes.
func processKinds() []Kind {
	var kinds []Kind
	for _, who := range victims {
		kinds = append(kinds,
			Kind{Name: "kill-" + who.name, Does: "SIGKILL " + who.does, Touches: who.touches(), Inject: func(i *Injection) error { return kill(i, who) }},
			Kind{Name: "pause-" + who.name, Does: "SIGSTOP " + who.does + ", longer than a lease", Touches: who.touches(), Inject: func(i *Injection) error { return pause(i, who) }},
		)
	}
	return append(kinds,
		Kind{Name: "rolling-restart", Does: "SIGTERM and start every node, one after the other", Touches: Processes, Inject: rollingRestart},
		Kind{Name: "hand-over", Does: "leadership goes to another node on request", Touches: Leader, Inject: handOver},
	)
}

// victim is a way to choose whom to hit.
type victim struct {
	name, does string
	leader     bool // the one who leads now
	count      func(*Injection) int
}

// touches adds the leader where another one is waited for: of three nodes, two
// such faults at once could hit one each, and nobody would be left to lead.
func (v victim) touches() Touch {
	if v.leader {
		return Processes | Leader
	}
	return Processes
}

var victims = []victim{
	{name: "one", does: "any node", count: func(*Injection) int { return 1 }},
	{name: "minority", does: "as many nodes as may fail", count: (*Injection).minority},
	{name: "majority", does: "the fewest nodes without which nothing goes", count: (*Injection).majority},
	{name: "leader", does: "the node that leads", leader: true},
	{name: "all", does: "all nodes", count: func(i *Injection) int { return len(i.Cluster.Machines()) }},
}

// choose returns whom to hit, and who led then.
func (v victim) choose(i *Injection) ([]*proc.Machine, proc.Leader, error) {
	if !v.leader {
		return i.Some(v.count(i)), proc.Leader{}, nil
	}
	leader, err := i.leader()
	return []*proc.Machine{leader.Machine}, leader, err
}

func kill(i *Injection, who victim) error {
	machines, leader, err := who.choose(i)
	if err != nil {
		return err
	}
	i.Begin(machines, "SIGKILL")
	for _, m := range machines {
		i.Heal(m.Start)
		exit, err := m.Kill()
		if err != nil {
			return err
		}
		i.Prove("%v", exit)
	}
	if who.leader {
		if err := i.proveNewLeader(leader); err != nil {
			return err
		}
	}
	return i.Hold()
}

func pause(i *Injection, who victim) error {
	machines, leader, err := who.choose(i)
	if err != nil {
		return err
	}
	i.Begin(machines, "SIGSTOP")
	for _, m := range machines {
		i.Heal(m.Resume)
		if err := m.Pause(); err != nil {
			return err
		}
	}
	if who.leader {
		if err := i.proveNewLeader(leader); err != nil {
			return err
		}
	}
	if err := i.Hold(); err != nil {
		return err
	}
	for _, m := range machines {
		if s := m.State(); s != 'T' {
			return fmt.Errorf("%s is in state %q at the end of its pause, not T", m.Name, s)
		}
		i.Prove("pid %d of %s is in state T", m.PID(), m.Name)
	}
	return nil
}

func rollingRestart(i *Injection) error {
	machines := i.Some(len(i.Cluster.Machines()))
	i.Begin(machines, "SIGTERM and start, one after the other")
	for _, m := range machines {
		i.Heal(m.Start)
		exit, err := m.Stop()
		if err != nil {
			return i.owed(err)
		}
		if exit.Code != 0 || exit.Signal != syscall.Signal(0) {
			return fmt.Errorf("%w: asked to stop, %v: %s", ErrPromise, exit, exit.Words)
		}
		if err := m.Start(); err != nil {
			return err
		}
		i.Prove("%v, and runs as pid %d", exit, m.PID())
		if err := awaitReady(i, m); err != nil {
			return err
		}
	}
	return nil
}

// awaitReady waits for a node that was started, but not for ever: one that never
// comes back must not keep the run from its verdict.
func awaitReady(i *Injection, m *proc.Machine) error {
	ctx, cancel := context.WithTimeout(i.Context, recoveryLimit)
	defer cancel()
	return m.AwaitReady(ctx)
}

// handOver asks until it is done: what is refused, for an election that is under
// way for instance, has changed nothing.
func handOver(i *Injection) error {
	old, err := i.leader()
	if err != nil {
		return err
	}
	candidates := i.others([]*proc.Machine{old.Machine})
	target := candidates[i.Rand.IntN(len(candidates))]
	through := i.Some(1)[0]
	i.Begin([]*proc.Machine{target}, "leadership goes from %s to it, asked of %s", old.Machine.Name, through.Name)
	return i.Await("leadership handed over", func() (bool, error) {
		askErr := through.HandOver(i.Context, target.Node())
		now, found := i.Cluster.FindLeader(i.Context)
		if !found || now.Machine != target || now.Term <= old.Term {
			return false, errors.Join(askErr, fmt.Errorf("now %v leads", now))
		}
		i.Prove("leader %s in term %d became %s in term %d", old.Machine.Name, old.Term, now.Machine.Name, now.Term)
		return true, nil
	})
}
