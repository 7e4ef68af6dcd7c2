package sim_test

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
	"tally/httpapi"
	"tally/internal/sim"
	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/journal"
	"tally/node"
)

// A simulation that finds nothing is worth something only if it finds what is
// there: each of these mistakes must make a run invalid.
func TestSimulationNotices(t *testing.T) {
	for _, tt := range []struct {
		name      string
		planted   sim.Planted
		workloads []string
		check     string // that must find it, among others
	}{
		{"disks that lie about what they have synced", sim.Planted{UnsyncedLogs: true, Only: []string{"power-cut-all"}}, []string{"counter"}, "replay"},
		{"reads that ask no leader", sim.Planted{Configure: readLocally, Only: []string{"isolate-leader", "delay"}}, []string{"register"}, "real time"},
		{"a node that leaves out a change", sim.Planted{Machine: leaveOut, Only: []string{"hand-over"}}, []string{"several"}, "hashes"},
		{"idempotency keys that nobody looks at", sim.Planted{Machine: ignoreKeys, Only: []string{"reset", "kill-leader"}}, []string{"retry"}, "once"},
		{"events that are not told", sim.Planted{Configure: dropEvents, Only: []string{"hand-over"}}, []string{"watch"}, "watch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const seeds = 5
			for seed := range uint64(seeds) {
				plan := sim.NewPlan(seed)
				plan.Nodes, plan.Duration, plan.Rate, plan.Workloads = 3, 20*time.Second, 40, tt.workloads
				report := sim.Run(t, plan, tt.planted)
				for _, result := range report.Verdict.Results {
					if result.Name == tt.check && result.Outcome == checker.Invalid {
						return
					}
				}
			}
			t.Errorf("%d runs went by, and %s found nothing", seeds, tt.check)
		})
	}
}

// localReader answers from what its node has applied.
type localReader struct{ httpapi.Backend }

func (b localReader) Read(ctx context.Context, caller counter.Caller, group string, keys []string, _ bool) (counter.Reading, error) {
	return b.Backend.Read(ctx, caller, group, keys, true)
}

func readLocally(config *node.Config) {
	config.Between.Backend = func(b httpapi.Backend) httpapi.Backend { return localReader{b} }
}

// forgetfulPublisher does not tell of every twentieth change.
type forgetfulPublisher struct {
	fsm.Publisher
	changes int
}

func (p *forgetfulPublisher) Publish(revision uint64, events []counter.Event) {
	if p.changes++; p.changes%20 != 0 {
		p.Publisher.Publish(revision, events)
	}
}

func dropEvents(config *node.Config) {
	config.Between.Publisher = func(p fsm.Publisher) fsm.Publisher { return &forgetfulPublisher{Publisher: p} }
}

// changed is a machine that is given other commands than those of the log.
type changed struct {
	*fsm.Machine
	change func(*fsm.Command)
}

func (c changed) Apply(entry *raft.Log) any { return c.ApplyBatch([]*raft.Log{entry})[0] }

func (c changed) ApplyBatch(entries []*raft.Log) []any {
	given := make([]*raft.Log, len(entries))
	for i, entry := range entries {
		given[i] = entry
		command, err := fsm.DecodeCommand(entry.Data)
		if entry.Type != raft.LogCommand || err != nil || command.Type != fsm.TypeMutation {
			continue
		}
		c.change(&command)
		other := *entry
		other.Data = command.Append(nil)
		given[i] = &other
	}
	return c.Machine.ApplyBatch(given)
}

func ignoreKeys(_ string, machine *fsm.Machine) journal.Machine {
	return changed{machine, func(c *fsm.Command) { c.Mutation.IdempotencyKey = "" }}
}

// leaveOut makes n2 take an increase of one counter by something for one by nothing.
func leaveOut(id string, machine *fsm.Machine) journal.Machine {
	changes := 0
	return changed{machine, func(c *fsm.Command) {
		if changes++; id == "n2" && changes == 30 {
			c.Mutation.Operations[0].Counters[0].Value++
		}
	}}
}
