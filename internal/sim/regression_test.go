package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tally/internal/sim"
	"tally/jepsen-lite/checker"
	"tally/node"
	"tally/storage"
)

// Seeds that have found something, with the faults that did. What a seed decides
// changes with the kinds of fault there are; so each is narrowed down to those
// that matter, but where nobody knows which of them do: then only is nil, and the
// whole run is made.
func TestSeedsThatFoundSomething(t *testing.T) {
	for _, tt := range []struct {
		seed  uint64
		only  []string
		found string
	}{
		{102, []string{"damaged-log"}, "a node believed a damaged entry that held the cluster's configuration"},
		{3, []string{"damaged-covered"}, "a leader sent a damaged entry to a node whose disk was whole"},
		{3, []string{"damaged-snapshot"}, "a node with a damaged snapshot panicked at every start"},
		{7000056, nil, "a follower applied an entry of a deposed leader that was never committed"},
	} {
		t.Run(strings.TrimSpace(fmt.Sprintf("%d %s", tt.seed, strings.Join(tt.only, " "))), func(t *testing.T) {
			plan := shortLogs(tt.seed)
			if tt.only == nil {
				plan = sim.NewPlan(tt.seed)
			}
			report := sim.Run(t, plan, sim.Planted{Only: tt.only})
			if report.Outcome() != checker.Valid {
				t.Errorf("it has found again that %s, or something else:\n%s%s", tt.found, report, save(t, report))
			}
		})
	}
}

// shortLogs is a short plan with snapshots all the time.
func shortLogs(seed uint64) sim.Plan {
	plan := sim.NewPlan(seed)
	plan.Nodes, plan.Duration, plan.ShortLogs = 3, 40*time.Second, true
	return plan
}

// ... and one of them finds it again when the remedy is taken away.
func TestSeedFindsDamageThatIsSentOn(t *testing.T) {
	unverified := func(config *node.Config) {
		open := config.OpenStorage
		config.OpenStorage = func(c storage.Config) (*storage.Store, error) {
			c.Verify = nil
			return open(c)
		}
	}
	for seed := range uint64(10) {
		report := sim.Run(t, shortLogs(seed), sim.Planted{Configure: unverified, Only: []string{"damaged-covered"}})
		for _, violation := range report.Violations {
			if strings.Contains(violation, "CRC-32C") {
				return
			}
		}
	}
	t.Error("nobody was sent the damage")
}
