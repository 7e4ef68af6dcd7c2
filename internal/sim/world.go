package sim

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/fsm"
	"tally/internal/clustertest"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
	"tally/jepsen-lite/workload"
	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

// clientHost is where all clients are on the network.
const clientHost = "clients"

// world is one simulated cluster with its clients.
type world struct {
	plan     Plan
	planted  Planted
	lying    bool // disks say that they have synced their logs, and have not
	cluster  *clustertest.Cluster
	recorder *history.Recorder

	mu         sync.Mutex
	clocks     map[string]*clock
	journals   map[string]*journal.Memory
	members    []string       // who clients talk to
	mayEnd     map[string]int // faults under way after which a node may end itself
	targets    map[string]int // faults under way on a node
	violations []string
	made       int // nodes so far, for their IDs
	processes  int // so far, for theirs
}

// newWorld makes the cluster, whose nodes begin at once. It must be called in a bubble.
func newWorld(t *testing.T, plan Plan, planted Planted) *world {
	w := &world{
		plan:     plan,
		planted:  planted,
		recorder: history.OpenMemory(newOrderedClock()),
		clocks:   map[string]*clock{},
		journals: map[string]*journal.Memory{},
		mayEnd:   map[string]int{},
		targets:  map[string]int{},
		made:     plan.Nodes,
	}
	for i := range plan.Nodes {
		w.members = append(w.members, fmt.Sprintf("n%d", i+1))
	}
	w.cluster = clustertest.New(t, clustertest.Options{
		Nodes:         plan.Nodes,
		MonotonicLogs: plan.MonotonicLogs,
		Stopped:       true,
		Configure:     w.configure,
		Observe:       w.observe,
		Ended:         w.ended,
	})
	for _, n := range w.cluster.Nodes() {
		w.lay(n)
		w.mustStart(n)
	}
	return w
}

// newOrderedClock returns the virtual time since now, a nanosecond more each time
// it is asked: much happens at one moment of virtual time, and one after the other.
func newOrderedClock() history.Clock {
	start := time.Now()
	var last time.Duration
	return func() time.Duration { // called under the recorder's lock
		last = max(last+1, time.Since(start))
		return last
	}
}

func (w *world) configure(config *node.Config) {
	w.plan.configure(config)
	config.Clock = w.clock(config.NodeID).now
	if w.planted.Configure != nil {
		w.planted.Configure(config)
	}
}

func (w *world) clock(id string) *clock {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clocks[id] == nil {
		w.clocks[id] = &clock{}
	}
	return w.clocks[id]
}

// observe is called when a process starts.
func (w *world) observe(id string, machine *fsm.Machine, alive func() bool) raft.FSM {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.processes++
	if w.journals[id] == nil {
		w.journals[id] = &journal.Memory{}
	}
	stand := journal.Machine(machine)
	if w.planted.Machine != nil {
		stand = w.planted.Machine(id, machine)
	}
	return w.journals[id].Observe(stand, w.processes, alive)
}

// ended is told that a node has ended itself.
func (w *world) ended(id string, failure error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mayEnd[id] == 0 {
		w.violations = append(w.violations, fmt.Sprintf("nobody had asked for it, but %s ended itself: %v", id, failure))
	}
}

// expectEnd says that a node may end itself from now on, until done is called.
func (w *world) expectEnd(id string) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mayEnd[id]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mayEnd[id]--
	}
}

// target says that a fault is made on a node, until done is called.
func (w *world) target(id string) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[id]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.targets[id]--
	}
}

// targeted is how many faults are made on a node.
func (w *world) targeted(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.targets[id]
}

func (w *world) violation(format string, arguments ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, fmt.Sprintf(format, arguments...))
}

// lay connects a machine that is new.
func (w *world) lay(n *clustertest.Node) {
	hosts := []string{clientHost}
	for _, other := range w.cluster.Nodes() {
		hosts = append(hosts, other.ID)
	}
	for _, host := range hosts {
		if host != n.ID {
			w.cluster.Network().Delay(host, n.ID, w.plan.Latency)
			w.cluster.Network().Delay(n.ID, host, w.plan.Latency)
		}
	}
	w.healDisk(n)
}

// healDisk ends all faults of a disk but its time to write.
func (w *world) healDisk(n *clustertest.Node) {
	n.Disk().Heal()
	fault := memdisk.Fault{Delay: w.plan.SyncTime, Unsynced: w.lying}
	if fault.Delay > 0 || fault.Unsynced {
		n.Disk().Inject(storage.OpStoreLogs, fault)
	}
}

// mustStart starts a node that nothing keeps from starting.
func (w *world) mustStart(n *clustertest.Node) {
	if n.Running() {
		return
	}
	if err := n.TryStart(); err != nil {
		w.violation("%s does not start: %v", n.ID, err)
	}
}

// present returns the members as clients reach them.
func (w *world) present() []workload.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	var nodes []workload.Node
	for _, id := range w.members {
		nodes = append(nodes, workload.Node{ID: id, URL: "http://" + id + ":8101"})
	}
	return nodes
}

// nodes returns the members, running or not.
func (w *world) nodes() []*clustertest.Node {
	w.mu.Lock()
	ids := slices.Clone(w.members)
	w.mu.Unlock()
	var nodes []*clustertest.Node
	for _, id := range ids {
		nodes = append(nodes, w.cluster.Node(id))
	}
	return nodes
}

// peers returns where all members but one listen for each other.
func (w *world) peers(but string) (addresses []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.members {
		if id != but {
			addresses = append(addresses, id+":9101")
		}
	}
	return addresses
}

// replaceMember makes a machine that takes the place of another.
func (w *world) replaceMember(old string) *clustertest.Node {
	join := w.peers(old)
	w.mu.Lock()
	w.made++
	id := fmt.Sprintf("n%d", w.made)
	w.members[slices.Index(w.members, old)] = id
	w.mu.Unlock()
	n := w.cluster.Add(id)
	n.Configure(func(config *node.Config) { config.Join = join })
	w.lay(n)
	return n
}

// leader returns who leads, or nil.
func (w *world) leader() *clustertest.Node {
	return w.cluster.Leader(slices.DeleteFunc(w.nodes(), func(n *clustertest.Node) bool { return !n.Running() })...)
}

// readyLimit is how long a healed cluster may take until all nodes are ready.
const readyLimit = 30 * time.Second

// awaitReady waits until all members are.
func (w *world) awaitReady() error {
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		why := w.unready()
		if why == "" {
			return nil
		}
		if time.Since(start) > readyLimit {
			return fmt.Errorf("%v after all faults were healed, %s", readyLimit, why)
		}
	}
}

// unready says which node is not ready, "" if all are. A clock is looked at once
// a second only, and disturbs nobody.
func (w *world) unready() string {
	for _, n := range w.nodes() {
		process := n.Process()
		if process == nil {
			return fmt.Sprintf("%s does not run: %v", n.ID, n.Failure())
		}
		for _, check := range process.Cluster().Ready(context.Background()) {
			if !check.OK && check.Name != "clock" {
				return fmt.Sprintf("%s is not ready: %s: %s", n.ID, check.Name, check.Detail)
			}
		}
	}
	return ""
}

// dial is how clients reach nodes.
func (w *world) dial(ctx context.Context, _, address string) (net.Conn, error) {
	return w.cluster.Network().Host(clientHost).Dial(ctx, address)
}
