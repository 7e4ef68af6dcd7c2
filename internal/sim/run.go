package sim

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"tally/fsm"
	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
	"tally/jepsen-lite/workload"
	"tally/node"
)

// Planted is a mistake that a simulation must notice. The zero value is none.
type Planted struct {
	// Configure changes the configuration of every node.
	Configure func(*node.Config)
	// Machine stands for the state machine of a process that starts.
	Machine func(id string, machine *fsm.Machine) journal.Machine
	// UnsyncedLogs lets disks lie about what they have synced.
	UnsyncedLogs bool
	// Only are the kinds of fault that are made; nil: all.
	Only []string
}

const (
	// quietTime is without faults, at the begin.
	quietTime = time.Second
	// finalLimit is how long the final readings may take.
	finalLimit = 2 * time.Minute
)

// Run simulates what the plan says in a bubble of its own, and judges it.
func Run(t *testing.T, plan Plan, planted Planted) *Report {
	t.Helper()
	r := &Report{Plan: plan}
	synctest.Test(t, func(t *testing.T) { simulate(t, r, planted) })
	h, err := history.Collect(r.entries)
	if err != nil {
		r.Troubles = append(r.Troubles, err.Error())
		return r
	}
	r.Virtual = h.Duration
	r.Verdict = checker.Judge(h, r.journals, checker.Config{Floors: plan.floors()})
	return r
}

// floors is the least that a run must have done to have shown anything.
func (p Plan) floors() checker.Floors {
	seconds := p.Duration.Seconds()
	// Two faults at a time leave more outcomes unknown than one does now and then.
	return checker.Floors{PerKind: 1, Served: 0.2, UnknownMax: 0.12, Operations: int(p.Rate * seconds / 4), Faults: int(seconds / 10)}
}

// simulate is the run itself.
func simulate(t *testing.T, r *Report, planted Planted) {
	w := newWorld(t, r.Plan, planted)
	n := newNemesis(w)
	if err := exercise(w, n); err != nil {
		w.violation("%v", err)
	}
	_ = w.recorder.Close() // in memory nothing fails
	for _, node := range w.cluster.Nodes() {
		node.Crash()
	}
	r.Made, r.Troubles = n.made, n.troubles
	r.Violations = w.violations
	r.entries = w.recorder.Entries()
	r.log = w.cluster.Log()
	r.journals = map[string][]journal.Line{}
	for id, kept := range w.journals {
		r.journals[id] = kept.Lines()
	}
}

// exercise lets clients work while faults are made, heals, and reads everything.
// An error says that the cluster does not serve.
func exercise(w *world, n *nemesis) error {
	w.recorder.Begin(history.Run{Seed: w.plan.Seed, Nodes: ids(w.present())})
	suite, err := workload.New(workload.Config{
		Nodes: w.present, Recorder: w.recorder, Dial: w.dial,
		Seed: w.plan.Seed, Rate: w.plan.Rate, Names: w.plan.Workloads,
	})
	if err != nil {
		return err
	}
	if err := w.awaitReady(); err != nil {
		return err
	}
	if w.planted.UnsyncedLogs { // from here on: what founded the cluster stays
		w.lying = true
		for _, member := range w.nodes() {
			w.healDisk(member)
		}
	}
	working, dismiss := context.WithCancel(context.Background())
	worked := make(chan error, 1)
	go func() { worked <- suite.Run(working) }()
	time.Sleep(quietTime)
	err = n.run()
	dismiss()
	if workErr := <-worked; err == nil {
		err = workErr
	}
	if err != nil {
		return err
	}
	if err := w.awaitReady(); err != nil {
		return err
	}
	final, cancel := context.WithTimeout(context.Background(), finalLimit)
	defer cancel()
	return suite.FinalReads(final)
}

func ids(nodes []workload.Node) []string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.ID)
	}
	return list
}

// dialAs connects to an address from a host.
func (w *world) dialAs(host, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return w.cluster.Network().Host(host).Dial(ctx, address)
}
