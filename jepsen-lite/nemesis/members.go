//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"tally/counter"
	"tally/jepsen-lite/proc"
)

// memberKinds change who is in the cluster, and let nodes come back with less
// than they had.
func memberKinds() []Kind {
	return []Kind{
		{Name: "member-replace", Does: "a healthy node is removed, and another one joins in its place", Smallest: 3,
			Touches: Members | Processes | Leader, Inject: replaceMember},
		{Name: "member-lost-disk", Does: "a node comes back without its disk under its old ID, is refused, and is replaced", Smallest: 3,
			Touches: Members | Processes | Leader, Inject: loseMember},
		// The others must be able to go on meanwhile: a partition that waits for a new
		// leader while this keeps one of three away would wait for ever.
		{Name: "snapshot-install", Does: "a node is away until the others have compacted what it lacks", Smallest: 3,
			Touches: Processes | Network | Leader, Inject: installSnapshot},
	}
}

func replaceMember(i *Injection) error {
	m := i.Some(1)[0]
	old := m.Node()
	i.Begin([]*proc.Machine{m}, "removed while it runs, then replaced by a node with an empty disk")
	i.Heal(m.Start)
	m.ExpectEnd(true)
	if err := removeMember(i, m, old); err != nil {
		return err
	}
	if m.Running() {
		if _, err := m.Kill(); err != nil && m.Running() {
			return err
		}
	}
	return joinInstead(i, m, old)
}

// removeMember asks until the node is out: a refusal, for an election under way
// for instance, has changed nothing.
func removeMember(i *Injection, m *proc.Machine, id string) error {
	rest := i.others([]*proc.Machine{m})
	return i.awaitMembers(id+" is removed", func(view counter.Cluster) (bool, error) {
		if _, present := member(view, id); !present && len(view.Members) > 0 {
			return true, nil
		}
		return false, rest[i.Rand.IntN(len(rest))].RemoveNode(i.Context, id)
	})
}

// awaitMembers waits until the members are as ok wants them, and will stay so:
// the change is committed. The view is the leader's, and empty while nobody leads.
func (i *Injection) awaitMembers(what string, ok func(view counter.Cluster) (bool, error)) error {
	var s settling
	return i.Await(what, func() (bool, error) {
		var view counter.Cluster
		var viewErr error
		if leader, found := i.Cluster.FindLeader(i.Context); found {
			view, viewErr = leader.Machine.View(i.Context)
		}
		shown, err := ok(view)
		return s.settled(view, shown), errors.Join(err, viewErr, fmt.Errorf("members: %v", view.Members))
	})
}

// settling finds out whether what a leader shows is committed. A node shows a
// change of the members as soon as it has it in its log, from which another
// leader may take it away again. What a leader has in its log stays there while
// it leads: when the log is committed up to where it ended after the change was
// shown, the change is.
type settling struct {
	leader string
	term   uint64
	end    uint64 // of the leader's log, in a view after the first that showed the change
}

// settled takes the next view, and whether it shows the change.
func (s *settling) settled(view counter.Cluster, shown bool) bool {
	own, present := member(view, view.Node)
	if !shown || !present || view.Leader == nil || view.Leader.ID != view.Node {
		*s = settling{}
		return false
	}
	if s.leader != view.Node || s.term != view.Term {
		*s = settling{leader: view.Node, term: view.Term}
		return false
	}
	if s.end == 0 {
		s.end = own.LastIndex
	}
	return own.CommitIndex >= s.end
}

func member(view counter.Cluster, id string) (counter.Member, bool) {
	for _, m := range view.Members {
		if m.ID == id {
			return m, true
		}
	}
	return counter.Member{}, false
}

// joinInstead starts a new node on the machine and waits until it has a vote.
func joinInstead(i *Injection, m *proc.Machine, old string) error {
	if err := m.Replace(); err != nil {
		return err
	}
	id := m.Node()
	if err := m.Start(); err != nil {
		return err
	}
	err := i.awaitMembers(id+" is a voter", func(view counter.Cluster) (bool, error) {
		entry, present := member(view, id)
		return present && entry.Voter, nil
	})
	if err != nil {
		return err
	}
	i.Prove("%s is out, %s has joined and votes", old, id)
	return nil
}

// loseMember starts a node with its old ID and an empty disk, which the others
// must refuse: it may have forgotten votes and changes.
func loseMember(i *Injection) error {
	m := i.Some(1)[0]
	old := m.Node()
	i.Begin([]*proc.Machine{m}, "comes back under its old ID with an empty disk")
	i.Heal(m.Start)
	if _, err := m.Kill(); err != nil {
		return err
	}
	if err := errors.Join(m.Disk.Wipe(), m.Start()); err != nil {
		return err
	}
	m.ExpectEnd(true)
	waiting, cancel := context.WithTimeout(i.Context, evidenceLimit)
	defer cancel()
	if m.AwaitReady(waiting) == nil {
		return fmt.Errorf("%w: %s serves under its old ID without what it had stored", ErrPromise, old)
	}
	exit, err := m.AwaitEnd(evidenceLimit)
	if err != nil {
		return i.owed(fmt.Errorf("a node without its disk was not refused: %w", err))
	}
	const remedy = "remove " // the words of the refusal that name what to do
	if exit.Code != 1 || !strings.Contains(exit.Words, remedy+old+" from the cluster") {
		return i.owed(fmt.Errorf("a node without its disk was not refused with the remedy: %v: %s", exit, exit.Words))
	}
	i.Prove("%v: %s", exit, lastLine(exit.Words))
	if err := removeMember(i, m, old); err != nil {
		return err
	}
	return joinInstead(i, m, old)
}

// installSnapshot keeps a node away until the leader has made a snapshot far
// beyond what the node has, and then waits until it was sent it.
func installSnapshot(i *Injection) error {
	leader, err := i.leader()
	if err != nil {
		return err
	}
	candidates := i.others([]*proc.Machine{leader.Machine})
	m := candidates[i.Rand.IntN(len(candidates))]
	before, err := installed(m)
	if err != nil {
		return err
	}
	i.Begin([]*proc.Machine{m}, "away until the others have compacted their logs past it")
	i.Heal(m.Start)
	if _, err := m.Kill(); err != nil {
		return err
	}
	if err := awaitCompaction(i, m); err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	return i.Await("a snapshot is installed", func() (bool, error) {
		now, err := installed(m)
		if now <= before {
			return false, errors.Join(errors.New("none was"), err)
		}
		i.Prove("%s has installed a snapshot of the leader", m.Node())
		return true, nil
	})
}

// awaitCompaction waits until whoever leads has made another two snapshots: the
// log before the first of them is gone by then.
func awaitCompaction(i *Injection, away *proc.Machine) error {
	const snapshots = "tally_fsm_snapshot_persist_seconds_count"
	begin := map[*proc.Machine]float64{}
	return i.Await("the log is compacted", func() (bool, error) {
		leader, found := i.Cluster.FindLeader(i.Context)
		if !found {
			return false, errors.New("nobody leads")
		}
		metrics, err := leader.Machine.Metrics(i.Context)
		if err != nil {
			return false, err
		}
		made := metrics[snapshots]
		if _, known := begin[leader.Machine]; !known || made < begin[leader.Machine] {
			begin[leader.Machine] = made
		}
		return made >= begin[leader.Machine]+2, fmt.Errorf("%s has made %v snapshots", leader.Machine.Name, made-begin[leader.Machine])
	})
}

// installed counts how often nodes on the machine have installed a snapshot.
func installed(m *proc.Machine) (int, error) {
	const words = "Installed remote snapshot" // of hashicorp/raft
	log, err := os.ReadFile(m.LogPath())
	return strings.Count(string(log), words), err
}

// awaitAll waits until every node is ready.
func awaitAll(ctx context.Context, c *proc.Cluster, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.AwaitReady(ctx)
}
