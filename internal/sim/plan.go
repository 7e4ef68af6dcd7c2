package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"tally/jepsen-lite/workload"
	"tally/node"
)

// Plan is what a seed decides of a run. What a fault does in particular it
// decides too, while the fault is made.
type Plan struct {
	Seed      uint64
	Nodes     int
	Duration  time.Duration // of faults, in virtual time
	Rate      float64       // requests a second of all clients together
	Workloads []string

	MonotonicLogs bool          // the disks' logs take consecutive indexes only
	ShortLogs     bool          // snapshots all the time, few entries behind them
	NoSnapshots   bool          // each start applies the whole log; else, without ShortLogs, a part of it
	Latency       time.Duration // of the network, one way
	SyncTime      time.Duration // of a write to the log
	CommitTimeout time.Duration // node.Config's; all other timeouts are the product's own
}

const (
	// durationDefault is long enough for some ninety faults.
	durationDefault = 3 * time.Minute
	// rateDefault is how many requests clients send in a second. With what they
	// send several times, and with the final readings, it is some ten.
	rateDefault = 8.5
	// rateLimited is the rate at which users reach the call limit.
	rateLimited = 20
)

// commitTimeouts are the product's own, one that is usual in tests, and that of
// the Raft library, each as often as it is here. The longer it is, the longer do
// followers not know what is committed, which is where mistakes hide; the shorter
// it is, the more of the processor goes into empty messages.
func commitTimeouts() []time.Duration {
	product, usual, library := node.Default().CommitTimeout, 20*time.Millisecond, 50*time.Millisecond
	return []time.Duration{product, usual, usual, library, library, library, library, library}
}

// NewPlan returns the plan of a seed. Each seed has a few of the workloads only:
// what many clients do to a few counters finds more than a little of everything.
func NewPlan(seed uint64) Plan {
	random := rand.New(rand.NewPCG(seed, 0x706c616e))
	p := Plan{
		Seed:          seed,
		Nodes:         3,
		Duration:      durationDefault,
		Rate:          rateDefault,
		MonotonicLogs: random.IntN(3) == 0,
		ShortLogs:     random.IntN(2) == 0,
		Latency:       []time.Duration{0, 200 * time.Microsecond, 2 * time.Millisecond}[random.IntN(3)],
		SyncTime:      []time.Duration{0, time.Millisecond, 8 * time.Millisecond}[random.IntN(3)],
		CommitTimeout: commitTimeouts()[random.IntN(len(commitTimeouts()))],
	}
	if random.IntN(8) == 0 {
		p.Nodes = 5
	}
	if random.IntN(12) == 0 {
		// The call limit is reached only if nothing else takes the turns.
		p.Workloads, p.Rate = []string{"limit"}, rateLimited
	} else {
		names := slices.DeleteFunc(workload.Names(), func(name string) bool { return name == "limit" })
		random.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
		p.Workloads = names[:3]
	}
	p.NoSnapshots = !p.ShortLogs && random.IntN(4) == 0
	return p
}

// configure makes everything small that takes long to fill.
func (p Plan) configure(config *node.Config) {
	config.CommitTimeout = p.CommitTimeout
	config.WatchEventsMax = 200
	config.ProposalsMax = 256
	config.AppendEntriesMax = 16 // so a node that was away takes several messages to catch up
	switch {
	case p.ShortLogs:
		config.SnapshotInterval = 2 * time.Second
		config.SnapshotThreshold = 30
		config.TrailingLogs = 10
	case !p.NoSnapshots:
		config.SnapshotThreshold = 200
	}
}
