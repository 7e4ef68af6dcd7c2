package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"tally/cluster"
	"tally/counter"
	"tally/fsm"
	"tally/httpapi"
	"tally/peer"
	"tally/storage"
	"tally/watch"
)

// ErrNotAdmitted is what Config.Fatal is told, wrapped, when the other nodes
// refuse this one: unlike a failing disk, nothing heals that by itself.
var ErrNotAdmitted = cluster.ErrNotAdmitted

// Node is one running node. Open makes it, Close ends it.
type Node struct {
	config  Config
	logger  hclog.Logger
	storage *storage.Store
	hub     *watch.Hub
	limits  limits
	machine *fsm.Machine
	cluster *cluster.Node
	handler http.Handler
	server  *httpapi.Server
	httpURL string

	serving sync.WaitGroup // the goroutine that waits for the end of serving
}

// Open starts a node. It returns when clients are served, which is before the
// node has found its cluster; GET /readyz tells when it has.
func Open(config Config) (*Node, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDependencies()
	n := &Node{config: config, logger: config.Logger}
	if err := n.open(); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Node) open() (err error) {
	var undo []func() error // what to close if a later step fails, last first
	defer func() {
		for i := len(undo) - 1; i >= 0 && err != nil; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()

	// The HTTP port first: it is cheap to find busy, and its address is what the
	// other nodes are told.
	listener, err := n.config.Network.Listen(n.config.HTTPAddr)
	if err != nil {
		return fmt.Errorf("cannot serve clients on %s: %w", n.config.HTTPAddr, err)
	}
	undo = append(undo, listener.Close)
	n.httpURL = n.config.AdvertiseHTTPURL
	if n.httpURL == "" {
		n.httpURL = "http://" + listener.Addr().String()
	}

	// Storage next: it makes the node's identity, without which nothing of Raft may start.
	n.storage, err = n.config.OpenStorage(storage.Config{
		Dir:        n.config.DataDir,
		NodeID:     n.config.NodeID,
		LogStore:   n.config.LogStore,
		Timeout:    n.config.StorageTimeout,
		Fatal:      n.config.Fatal,
		Verify:     fsm.VerifyEntry,
		Logger:     n.config.Logger.Named("storage"),
		Registerer: n.config.Metrics,
	})
	if err != nil {
		return err
	}
	undo = append(undo, n.storage.Close)

	// The hub before the machine: events are published from the first entry on
	// that is applied, and those of a snapshot are not, which the machine says.
	n.hub = watch.Open(n.watchConfig())
	undo = append(undo, func() error { n.hub.Close(); return nil })
	// The limits too: who leads must know the calls of the log.
	if err := n.openLimits(); err != nil {
		return err
	}
	n.machine = fsm.NewMachine(n.machineConfig())
	if n.cluster, err = cluster.Open(n.clusterConfig()); err != nil {
		return err
	}
	undo = append(undo, func() error { return n.cluster.Close(context.Background()) })

	// Clients last, when there is something that can answer them.
	return n.serve(listener)
}

func (n *Node) watchConfig() watch.Config {
	return watch.Config{
		EventsMax:   n.config.WatchEventsMax,
		BytesMax:    n.config.WatchBytesMax,
		WatchersMax: n.config.MaxWatchers,
		State:       func(group string, keys []string) counter.Reading { return n.machine.Read(group, keys) },
		Encode:      httpapi.EncodeEvents,
		Registerer:  n.config.Metrics,
	}
}

func (n *Node) machineConfig() fsm.Config {
	config := fsm.Config{
		Logger:     n.config.Logger.Named("fsm"),
		Publisher:  between(n.config.Between.Publisher, fsm.Publisher(n.hub)),
		Fatal:      n.config.Fatal,
		Registerer: n.config.Metrics,
	}
	if n.limits.mutations != nil {
		config.Meter = between(n.config.Between.Meter, fsm.Meter(n.limits.mutations))
	}
	return config
}

func (n *Node) clusterConfig() cluster.Config {
	founders := n.config.InitialCluster
	if len(founders) == 0 && len(n.config.Join) == 0 {
		founders = []Member{{ID: n.config.NodeID, PeerAddr: n.config.ownPeerAddr()}}
	}
	return cluster.Config{
		NodeID:             n.config.NodeID,
		Storage:            n.storage,
		Machine:            n.machine,
		Observe:            n.config.Observe,
		Network:            n.config.Network,
		PeerAddr:           n.config.PeerAddr,
		AdvertisePeerAddr:  n.config.AdvertisePeerAddr,
		HTTPURL:            n.httpURL,
		InitialCluster:     founders,
		Join:               n.config.Join,
		NonVoter:           n.config.NonVoter,
		HeartbeatTimeout:   n.config.HeartbeatTimeout,
		ElectionTimeout:    n.config.ElectionTimeout,
		LeaderLeaseTimeout: n.config.LeaderLeaseTimeout,
		CommitTimeout:      n.config.CommitTimeout,
		RequestTimeout:     n.config.RequestTimeout,
		SnapshotInterval:   n.config.SnapshotInterval,
		SnapshotThreshold:  n.config.SnapshotThreshold,
		TrailingLogs:       n.config.TrailingLogs,
		LogBytesMax:        n.config.LogBytesMax,
		DiskReserveBytes:   n.config.DiskReserveBytes,
		ProposalsMax:       n.config.ProposalsMax,
		AppendEntriesMax:   n.config.AppendEntriesMax,
		Limits:             n.limits.ofCluster(),
		Clock:              n.config.Clock,
		Fatal:              n.config.Fatal,
		Logger:             n.config.Logger,
		Registerer:         n.config.Metrics,
	}
}

func (n *Node) serve(listener net.Listener) error {
	authenticate, err := n.config.authenticate()
	if err != nil {
		return err
	}
	authenticateOriginal, err := n.config.authenticateOriginal()
	if err != nil {
		return err
	}
	handler, err := httpapi.New(httpapi.Config{
		Backend:        between(n.config.Between.Backend, httpapi.Backend(n.cluster)),
		Hub:            n.hub,
		WatchInterval:  n.config.WatchInterval,
		Logger:         n.config.Logger.Named("httpapi"),
		Registerer:     n.config.Metrics,
		Gatherer:       n.config.gatherer(),
		RequestTimeout: n.config.RequestTimeout,
		CORSOrigins:    n.config.CORSOrigins,
		RefuseGroups:   n.config.RefuseGroups,
		NodeID:         n.config.NodeID,
		Version:        n.config.Version,
		ListenURL:      n.httpURL,

		Authenticate:         authenticate,
		AuthenticateOriginal: authenticateOriginal,
		MetricsForAdmins:     n.config.MetricsFor == MetricsForAdmins,
	})
	if err != nil {
		return err
	}
	n.handler = handler
	n.server = httpapi.Open(httpapi.ServerConfig{Handler: handler, Listener: listener, Logger: n.config.Logger.Named("httpapi")})
	n.serving.Go(func() {
		if err := n.server.Err(); err != nil {
			n.config.Fatal(fmt.Errorf("serving clients on %s failed: %w", listener.Addr(), err))
		}
	})
	n.logger.Info("serving", "node", n.config.NodeID, "url", n.httpURL)
	return nil
}

// HTTPURL returns where clients reach the node.
func (n *Node) HTTPURL() string { return n.httpURL }

// Handler answers HTTP requests without a connection, for tests.
func (n *Node) Handler() http.Handler { return n.handler }

// Cluster is the node's part in the cluster, for tests that watch who leads.
func (n *Node) Cluster() *cluster.Node { return n.cluster }

// Machine is the node's state machine, for tests that compare nodes.
func (n *Node) Machine() *fsm.Machine { return n.machine }

// Close stops the node cleanly: no new requests, the proposals under way
// answered, leadership handed over, storage closed. When ctx ends it goes on
// without waiting for anybody.
func (n *Node) Close(ctx context.Context) error {
	// Watchers are answered at once and go to other nodes; so nobody waits for
	// them, nor they for the rest of this.
	n.hub.Close()
	// Requests under way are answered while Raft still runs; the connections go last.
	drained := make(chan error, 1)
	go func() { drained <- n.server.Shutdown(ctx) }()
	err := n.cluster.Close(ctx)
	err = errors.Join(err, <-drained)
	n.serving.Wait()
	return errors.Join(err, n.storage.Close())
}

// withDependencies fills in what production uses where the caller gave nothing.
func (c Config) withDependencies() Config {
	if c.Network == nil {
		c.Network = peer.TCP{}
	}
	if c.OpenStorage == nil {
		c.OpenStorage = storage.Open
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return c
}

// ownPeerAddr is what a node that founds a cluster of its own enters for itself.
func (c Config) ownPeerAddr() string {
	if c.AdvertisePeerAddr != "" {
		return c.AdvertisePeerAddr
	}
	return c.PeerAddr
}
