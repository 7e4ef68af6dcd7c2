package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
	"tally/fsm"
	"tally/peer"
	"tally/storage"
)

// Member is one of the founding members.
type Member struct {
	ID       string
	PeerAddr string
}

// Config is what a Node needs. Every field is required unless its comment says otherwise.
type Config struct {
	NodeID  string
	Storage *storage.Store // closed by the owner, after the node
	Machine *fsm.Machine
	// Observe, if not nil, returns what Raft drives instead of Machine: something
	// that passes everything on to it and takes note.
	Observe func(*fsm.Machine) raft.FSM
	Network peer.Network

	// PeerAddr is listened on; AdvertisePeerAddr is what others dial, by default
	// the address that is really listened on.
	PeerAddr          string
	AdvertisePeerAddr string
	// HTTPURL is where clients reach this node.
	HTTPURL string
	// InitialCluster are the founders, this node among them; Join are peer
	// addresses to ask for admission. Exactly one is given; both are ignored
	// once this node is a member.
	InitialCluster []Member
	Join           []string
	NonVoter       bool // it asks to be admitted without a vote

	HeartbeatTimeout   time.Duration
	ElectionTimeout    time.Duration
	LeaderLeaseTimeout time.Duration
	CommitTimeout      time.Duration
	RequestTimeout     time.Duration // of requests that have no deadline of their own
	SnapshotInterval   time.Duration
	SnapshotThreshold  uint64
	TrailingLogs       uint64
	LogBytesMax        uint64 // 0: the log is bounded by its entries only
	DiskReserveBytes   uint64 // 0: the free space is not watched
	ProposalsMax       int
	AppendEntriesMax   int // 0: the best for throughput
	Limits             Limits

	// Clock is this node's wall clock; commands are stamped with the median of the voters'.
	Clock func() time.Time
	// Fatal is told why the node must not live on. In production it does not return.
	Fatal      func(error)
	Logger     hclog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// appendEntriesMax is how many log entries the leader writes, sends and applies
// together at most: the library's largest value. Smaller ones cost throughput
// with many clients; what bounds the bytes is proposalBytesMax.
const appendEntriesMax = 1024

func (c *Config) appendEntriesMax() int { return cmp.Or(c.AppendEntriesMax, appendEntriesMax) }

// Node is one member of a cluster. Its methods may be called from any goroutine.
type Node struct {
	config    Config
	logger    hclog.Logger
	machine   *fsm.Machine
	raft      *raft.Raft // set by Open; Raft's own goroutines wait for opened before they use it
	opened    chan struct{}
	port      *peer.Port
	identity  *identity
	founding  founding
	metrics   *metrics
	freeBytes atomic.Uint64
	caughtUp  atomic.Bool

	clock         *clock
	leadership    *leadership
	proposer      *proposer
	exchange      *exchange
	confirmations *rounds       // of read indexes, while this node leads
	questions     *rounds       // to the leader, while it does not
	membersTurn   chan struct{} // holds an element while a membership change is under way

	life    context.Context // ends when Close stops the goroutines
	end     context.CancelFunc
	stopped chan struct{} // closed when Raft has ended: what it has not answered by then it never will

	spawnMu sync.Mutex
	closed  bool // no goroutine is started any more
	tasks   sync.WaitGroup
}

// Open starts the node. It returns before the node has found its cluster: Ready
// tells when it has, and what it waits for until then.
func Open(config Config) (*Node, error) {
	n := &Node{
		config:      config,
		logger:      config.Logger.Named("cluster"),
		machine:     config.Machine,
		metrics:     newMetrics(),
		clock:       newClock(config.NodeID, config.Clock),
		leadership:  newLeadership(),
		exchange:    newExchange(),
		membersTurn: make(chan struct{}, 1),
		opened:      make(chan struct{}),
		stopped:     make(chan struct{}),
	}
	n.life, n.end = context.WithCancel(context.Background())
	n.proposer = newProposer(n)
	n.confirmations = &rounds{ask: n.confirmFor, life: n.life, timeout: config.ElectionTimeout, spawn: n.spawn}
	n.questions = &rounds{ask: n.askLeader, life: n.life, timeout: 2 * config.ElectionTimeout, spawn: n.spawn}

	var err error
	if n.identity, err = loadIdentity(config.Storage.Identity, config.Machine, n.logger); err != nil {
		return nil, err
	}
	if err := n.openPort(); err != nil {
		return nil, err
	}
	if err := n.openRaft(); err != nil {
		return nil, errors.Join(err, n.port.Close())
	}
	if config.Registerer != nil {
		if err := n.metrics.register(n, config.Registerer); err != nil {
			return nil, errors.Join(err, n.Close(context.Background()))
		}
	}
	n.start()
	return n, nil
}

func (n *Node) openPort() (err error) {
	n.port, err = peer.Open(peer.Config{
		Network:    n.config.Network,
		ListenAddr: n.config.PeerAddr,
		Self:       n.hello,
		Admit:      n.identity.admit,
		Refused:    n.founding.noteRefusal,
		Resolve:    n.resolve,
		Logger:     n.config.Logger.Named("peer"),
		Registerer: n.config.Registerer,
	})
	return err
}

// hello is how this node introduces itself on every peer connection.
func (n *Node) hello() peer.Hello {
	return peer.Hello{
		NodeID:         n.config.NodeID,
		Incarnation:    n.identity.incarnation(),
		ClusterID:      n.identity.clusterID(),
		PeerAddr:       n.peerAddr(),
		HTTPURL:        n.config.HTTPURL,
		CommandVersion: fsm.CommandVersion,
	}
}

func (n *Node) peerAddr() string {
	if n.config.AdvertisePeerAddr != "" {
		return n.config.AdvertisePeerAddr
	}
	return n.port.Addr().String()
}

func (n *Node) openRaft() (err error) {
	defer close(n.opened)
	store := n.config.Storage
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(n.config.NodeID)
	config.Logger = n.config.Logger.Named("raft")
	config.HeartbeatTimeout = n.config.HeartbeatTimeout
	config.ElectionTimeout = n.config.ElectionTimeout
	config.LeaderLeaseTimeout = n.config.LeaderLeaseTimeout
	config.CommitTimeout = n.config.CommitTimeout
	config.SnapshotInterval = n.config.SnapshotInterval
	config.SnapshotThreshold = n.config.SnapshotThreshold
	config.TrailingLogs = n.config.TrailingLogs
	config.MaxAppendEntries = n.config.appendEntriesMax()
	config.BatchApplyCh = true // the queue of proposals has room for as many
	config.NoLegacyTelemetry = true
	config.ShutdownOnRemove = false // a removed node goes on saying that it was removed

	var driven raft.FSM = n.machine
	if n.config.Observe != nil {
		driven = n.config.Observe(n.machine)
	}
	defer recoverDamage(&err)
	n.raft, err = raft.NewRaft(config, driven, store.Log, store.Stable, store.Snapshots, n.port.Transport())
	if err != nil {
		return fmt.Errorf("cannot start Raft: %w", err)
	}
	n.port.PatientWhile(n.sendsTo)
	return nil
}

// sendsTo says that this node, as the leader of a term, sends entries to a member.
func (n *Node) sendsTo(id string, term uint64) bool {
	if !n.leads() || n.raft.CurrentTerm() != term {
		return false
	}
	return slices.ContainsFunc(n.raft.GetConfiguration().Configuration().Servers, func(s raft.Server) bool { return string(s.ID) == id })
}

// recoverDamage turns a panic of raft.NewRaft into an error that says what to do.
// It panics when an entry is missing that the state needs: the newest snapshot
// cannot be read, and the log does not follow the one before.
func recoverDamage(err *error) {
	if reason := recover(); reason != nil {
		*err = fmt.Errorf("cannot start Raft: %w: the log does not follow the newest snapshot that can be read (%v); the node must not vote again under this ID: remove it from the cluster, then join it under a new ID with an empty data directory", storage.ErrDamaged, reason)
	}
}

func (n *Node) start() {
	n.port.Handle(methodPropose, n.handlePropose)
	n.port.Handle(methodReadIndex, n.handleReadIndex)
	n.port.Handle(methodConfirm, n.handleConfirm)
	n.port.Handle(methodInfo, n.handleInfo)
	n.port.Handle(methodMembers, n.handleMembers)
	n.port.Serve()

	n.spawn(func() { n.proposer.run(n.life) })
	n.spawn(func() { n.proposer.answer(n.stopped) })
	n.spawn(n.lead)
	n.spawn(n.exchangeInfo)
	n.spawn(n.watchDisk)
	n.spawn(n.boundLog)
	n.spawn(n.catchUp)
	// A join or a founding that was cut short goes on where it stopped.
	switch {
	case len(n.config.Join) > 0 && !n.admitted():
		n.spawn(n.join)
	case len(n.config.Join) == 0 && len(n.servers()) == 0:
		n.spawn(n.found)
	}
}

// spawn starts a goroutine that Close waits for, and reports false after Close.
func (n *Node) spawn(task func()) bool {
	n.spawnMu.Lock()
	defer n.spawnMu.Unlock()
	if n.closed {
		return false
	}
	n.tasks.Go(task)
	return true
}

// catchUp waits until this node can serve a linearizable read: then it knows the
// leader and has applied what was committed when it started.
func (n *Node) catchUp() {
	for {
		ctx, cancel := context.WithTimeout(n.life, n.config.RequestTimeout)
		_, err := n.waitLinearizable(ctx, counter.Caller{})
		cancel()
		if err == nil {
			n.caughtUp.Store(true)
			n.logger.Info("caught up", "node", n.config.NodeID, "index", n.machine.AppliedIndex())
			return
		}
		if !pause(n.life, foundingRetry) {
			return
		}
	}
}

// Close stops the node cleanly: it takes no more proposals, waits for those
// under way, hands over leadership, and ends Raft. When ctx ends it goes on
// without waiting; everything it started has ended when it returns, except for
// a library call that hangs in a hung disk.
func (n *Node) Close(ctx context.Context) error {
	n.proposer.closing.Store(true)
	if err := n.proposer.drain(ctx); err != nil {
		n.logger.Warn("stopping with proposals under way", "waiting", n.proposer.waiting.Load())
	}
	n.handOver(ctx)

	n.end()
	err := n.stopRaft()

	n.spawnMu.Lock()
	n.closed = true
	n.spawnMu.Unlock()
	n.tasks.Wait()
	return err
}

// handOver gives leadership away, if this node has it and somebody can take it.
func (n *Node) handOver(ctx context.Context) {
	const attemptsMax = 3 // a target that dies meanwhile fails one attempt
	// By then the others have elected a leader by themselves, if they can.
	ctx, cancel := context.WithTimeout(ctx, 4*n.config.ElectionTimeout)
	defer cancel()
	for range attemptsMax {
		if !n.leads() || len(n.voters()) < 2 || ctx.Err() != nil {
			return
		}
		if err := n.transfer(ctx, ""); err != nil {
			n.logger.Warn("cannot hand over leadership", "error", err)
			continue
		}
		n.logger.Info("leadership handed over")
		pause(ctx, lingering)
		return
	}
}

// lingering is how long a leader that has handed over still answers. Until the
// others have heard of its successor they forward changes to it: what it refuses
// they take to the successor, but of what is cut off nobody knows the outcome.
const lingering = 100 * time.Millisecond

// How long Raft may take to end: with its connections, and when they are gone.
// An exchange with a node that does not answer would take up to the peer port's
// time-out, and those with it come one after the other.
const (
	partingTimeout = 100 * time.Millisecond
	stopTimeout    = 2 * time.Second
)

// stopRaft ends Raft, and then the connections, or both together when Raft waits
// for somebody at the other end of one. A storage call in a hung disk can keep
// the library from ending, so the wait is bounded.
func (n *Node) stopRaft() error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = n.raft.Shutdown().Error() // always nil in v1.7.3
	}()
	if closedWithin(ended, partingTimeout) {
		close(n.stopped)
		return n.port.Close()
	}
	portClosed := make(chan error, 1)
	go func() { portClosed <- n.port.Close() }()
	var err error
	if !closedWithin(ended, stopTimeout) {
		err = errors.New("Raft did not end in time")
	}
	close(n.stopped)
	return errors.Join(err, <-portClosed)
}

// closedWithin waits until the channel is closed, and reports false if it is not in time.
func closedWithin(c <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}
