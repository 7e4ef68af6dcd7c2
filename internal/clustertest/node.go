package clustertest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"tally/fsm"
	"tally/node"
	"tally/storage/memdisk"
)

// Node is a machine with a disk, on which a node's process runs or does not. It
// outlives its processes.
type Node struct {
	ID      string
	cluster *Cluster

	mu        sync.Mutex
	disk      *memdisk.Disk
	configure []func(*node.Config)
	process   *process // nil while none runs
	failure   error    // why the last process that ended itself did
}

func newNode(c *Cluster, id string) *Node {
	return &Node{ID: id, cluster: c, disk: c.options.newDisk()}
}

// host is the node's name on the network.
func (n *Node) host() string { return n.ID }

// Configure changes the configuration of all starts to come.
func (n *Node) Configure(change func(*node.Config)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.configure = append(n.configure, change)
}

// Start starts the node and fails the test if it cannot.
func (n *Node) Start() {
	n.cluster.t.Helper()
	if err := n.TryStart(); err != nil {
		n.cluster.t.Fatalf("cannot start %s: %v", n.ID, err)
	}
}

// TryStart starts the node.
func (n *Node) TryStart() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		return fmt.Errorf("%s runs already", n.ID)
	}
	n.failure = nil
	p := newProcess(n)
	n.process = p
	config := n.configLocked(p)
	n.mu.Unlock() // a process that fails while it starts says so to the node
	err := p.open(config)
	n.mu.Lock()
	if err != nil && n.process == p {
		n.process = nil
	}
	return err
}

func (n *Node) configLocked(p *process) node.Config {
	config := node.Default()
	config.NodeID = n.ID
	config.DataDir = n.ID
	config.HTTPAddr = n.ID + ":8101"
	config.PeerAddr = n.ID + ":9101"
	config.Insecure = true
	config.CommitTimeout = 20 * time.Millisecond // fewer empty messages in minutes of virtual time
	config.Logger = n.cluster.journal.logger(n.ID)
	config.Clock = time.Now
	config.Fatal = p.fatal
	config.Network = p.network
	config.OpenStorage = p.openStorage
	if observe := n.cluster.options.Observe; observe != nil {
		config.Observe = func(m *fsm.Machine) raft.FSM { return observe(n.ID, m, p.alive) }
	}
	if n.cluster.options.Configure != nil {
		n.cluster.options.Configure(&config)
	}
	for _, change := range n.configure {
		change(&config)
	}
	return config
}

// Crash takes the power from the node: see the package comment. It does nothing
// to a node that does not run.
func (n *Node) Crash() {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p != nil {
		p.crash(nil)
	}
}

// Kill ends the node's process as SIGKILL does: what it wrote is on the disk,
// synced or not.
func (n *Node) Kill() {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

// Restart crashes the node, if it runs, and starts it.
func (n *Node) Restart() {
	n.cluster.t.Helper()
	n.Crash()
	n.Start()
}

// Close stops the node as SIGTERM does, within its shutdown timeout.
func (n *Node) Close() error {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.close()
	n.gone(p, nil)
	return err
}

// gone takes note of the end of a process.
func (n *Node) gone(p *process, failure error) {
	n.mu.Lock()
	mine := n.process == p
	if mine {
		n.process, n.failure = nil, failure
	}
	n.mu.Unlock()
	if ended := n.cluster.options.Ended; mine && failure != nil && ended != nil {
		ended(n.ID, failure)
	}
}

// Wipe crashes the node and gives it an empty disk.
func (n *Node) Wipe() {
	n.Crash()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disk = n.cluster.options.newDisk()
}

// Move makes the node's next start listen on another peer port.
func (n *Node) Move(port int) {
	n.Configure(func(config *node.Config) { config.PeerAddr = fmt.Sprintf("%s:%d", n.ID, port) })
}

// Disk is where faults are injected and what outlives a Crash.
func (n *Node) Disk() *memdisk.Disk {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.disk
}

// Running says that a process runs.
func (n *Node) Running() bool { return n.Process() != nil }

// Process returns the node that runs, or nil.
func (n *Node) Process() *node.Node {
	if p := n.current(); p != nil {
		return p.node
	}
	return nil
}

// current returns the process that runs and has finished its start, or nil.
func (n *Node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil || !n.process.opened() {
		return nil
	}
	return n.process
}

// Failure returns why the last process ended itself, nil if it did not.
func (n *Node) Failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failure
}

// WaitFailure waits until the node has ended itself and returns why.
func (n *Node) WaitFailure() error {
	n.cluster.t.Helper()
	n.cluster.WaitFor(n.ID+" to end itself", func() bool { return n.Failure() != nil })
	return n.Failure()
}

// Machine is the state machine of a node that runs.
func (n *Node) Machine() *fsm.Machine {
	p := n.Process()
	if p == nil {
		n.cluster.t.Helper()
		n.cluster.t.Fatalf("%s does not run; it ended itself because of: %v", n.ID, n.Failure())
	}
	return p.Machine()
}

// LeaderID returns who leads as this node sees it, "" if it knows none or does not run.
func (n *Node) LeaderID() string {
	p := n.Process()
	if p == nil {
		return ""
	}
	leader := p.Cluster().Leader()
	if leader == nil {
		return ""
	}
	return leader.ID
}

// Ready returns what the named condition of readiness says.
func (n *Node) Ready(name string) (ok bool, detail string) {
	p := n.Process()
	if p == nil {
		return false, "it does not run"
	}
	for _, check := range p.Cluster().Ready(context.Background()) {
		if check.Name == name {
			return check.OK, check.Detail
		}
	}
	return false, "there is no such condition"
}
