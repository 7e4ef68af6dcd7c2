package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"tally/internal/sim"
	"tally/jepsen-lite/checker"
)

var (
	simTime  = flag.Duration("sim.time", 8*time.Second, "wall time for which seeds are run, one after the other")
	simSeed  = flag.Uint64("sim.seed", 1, "the first seed")
	simSeeds = flag.Int("sim.seeds", 0, "how many seeds are run; 0 is as many as the time allows")
	simOut   = flag.String("sim.out", "", "`folder` for runs that are not valid; the default is one for temporary files")
)

// memoryLimitBytes is where the collector begins whatever the percentage says.
const memoryLimitBytes = 1 << 30

// attemptsMore is how often a seed is run again of which nobody knows whether
// the cluster did right.
const attemptsMore = 2

// TestSimulation runs one seed after the other.
func TestSimulation(t *testing.T) {
	// A cluster is small, and makes much garbage. The limit is needed because of it:
	// pools of what has been closed outlive two collections and hold the cluster,
	// so that by the percentage alone each collection would begin later than the
	// one before, until no memory is left.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimitBytes))
	var total sim.Total
	start, busy := time.Now(), processorTime(t)
	for seed := *simSeed; !enough(total.Seeds, start); seed++ {
		fmt.Printf("seed %d\n", seed) // a panic must tell whose it is
		report := sim.Run(t, sim.NewPlan(seed), sim.Planted{})
		// The seed decides what is done, not when each goroutine runs: a fault that
		// was not felt may be felt the next time. A violation is one the first time.
		for again := 0; report.Outcome() == checker.Unknown && again < attemptsMore; again++ {
			fmt.Printf("%sonce more\n", report)
			report = sim.Run(t, sim.NewPlan(seed), sim.Planted{})
		}
		total.Add(report)
		if report.Outcome() != checker.Valid {
			t.Errorf("%s%s", report, save(t, report))
		}
	}
	fmt.Print(total.Summary(time.Since(start), processorTime(t)-busy))
}

func enough(seeds int, start time.Time) bool {
	if *simSeeds > 0 {
		return seeds >= *simSeeds
	}
	return seeds > 0 && time.Since(start) > *simTime
}

// save keeps a run that is not valid, and says where and how to make it again.
func save(t *testing.T, r *sim.Report) string {
	t.Helper()
	out := *simOut
	if out == "" {
		out = os.TempDir()
	}
	dir, err := os.MkdirTemp(out, fmt.Sprintf("tally-sim-%d-", r.Plan.Seed)) //nolint:usetesting // it must outlive the test
	if err == nil {
		err = r.Save(dir)
	}
	if err != nil {
		t.Errorf("the run of seed %d cannot be kept: %v", r.Plan.Seed, err)
	}
	return fmt.Sprintf("kept in %s\nagain: go test ./internal/sim -run TestSimulation -sim.seeds 1 -sim.seed %d\n", filepath.Clean(dir), r.Plan.Seed)
}

// processorTime is what this process has used of all processors.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
