package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultTimeout is Config.Timeout when none is given.
const DefaultTimeout = 2 * time.Second

// errClosed is why nothing works after Close.
var errClosed = errors.New("peer: the port is closed")

// Config is what a Port needs. Self, Admit, Refused and Resolve are called from many
// goroutines at once, and not before Open has returned.
type Config struct {
	// Network makes the connections; required.
	Network Network
	// ListenAddr is where to listen, in the network's form; required.
	ListenAddr string
	// Self says who this node is at the moment; required. Its PeerAddr is the
	// address that Raft shows to other nodes.
	Self func() Hello
	// Admit decides about the node at the other end of every connection,
	// whoever opened it. An error refuses it, and its text is told to both
	// sides. Nil admits everybody. Cluster IDs were compared before.
	Admit func(Hello) error
	// Refused is told who dialed this node and then refused it, and why. Nil tells
	// nobody; both sides log it anyway.
	Refused func(*RefusedError)
	// Resolve returns the current address of a node, so that a node that moved
	// is found. For Raft, which knows an address from its configuration, that
	// one is used where Resolve knows none. Nil knows none.
	Resolve func(nodeID string) (addr string, ok bool)
	// Timeout bounds each of Raft's exchanges with another node, the opening of
	// a connection included; sending a snapshot gets it once more for each
	// 256 KiB. It is also how long a node that vanished holds up the sending of
	// entries to it. 0 means DefaultTimeout.
	Timeout time.Duration
	// Logger may be nil.
	Logger hclog.Logger
	// Registerer may be nil. Two ports need two registries.
	Registerer prometheus.Registerer
}

// Port is one node's end of all connections between nodes.
type Port struct {
	config   Config
	logger   hclog.Logger
	metrics  *metrics
	listener net.Listener
	layer    *streamLayer
	raft     *transport
	doorway  *doorway
	seldom   *seldom
	handlers [256]Handler // written before Serve only

	life context.Context // ends when Close begins
	end  context.CancelFunc
	wg   sync.WaitGroup // every goroutine of the port; Add under mu only

	mu      sync.Mutex
	serving bool
	closed  bool
	conns   map[*conn]struct{} // open connections
	links   map[string]*link   // by node ID; never removed
	known   map[string]Hello   // the latest of each node
}

// Open listens, but accepts nothing before Serve: connections wait until the
// handlers are in place.
func Open(config Config) (*Port, error) {
	if config.Logger == nil {
		config.Logger = hclog.NewNullLogger()
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	p := &Port{
		config:  config,
		logger:  config.Logger,
		metrics: newMetrics(),
		doorway: newDoorway(),
		seldom:  newSeldom(),
		conns:   make(map[*conn]struct{}),
		links:   make(map[string]*link),
		known:   make(map[string]Hello),
	}
	var err error
	if p.listener, err = config.Network.Listen(config.ListenAddr); err != nil {
		return nil, fmt.Errorf("peer: cannot listen: %w", err)
	}
	if config.Registerer != nil {
		if err := config.Registerer.Register(p.metrics); err != nil {
			return nil, errors.Join(fmt.Errorf("peer: cannot register metrics: %w", err), p.listener.Close())
		}
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.layer = newStreamLayer(p)
	p.raft = newTransport(p)
	p.spawn(p.raft.consume)
	return p, nil
}

// Handle sets the handler of a method. All calls of Handle come before Serve.
func (p *Port) Handle(method Method, handler Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving {
		panic("peer: Handle after Serve")
	}
	p.handlers[method] = handler
}

// Serve starts to accept connections and returns.
func (p *Port) Serve() {
	p.mu.Lock()
	p.serving = true
	p.mu.Unlock()
	p.spawn(p.accept)
}

// Addr is the address the port listens on.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Transport is what Raft runs on. The Raft library closes it when it shuts
// down; calls go on to work until Close.
func (p *Port) Transport() raft.Transport { return p.raft }

// Known returns what a node last said of itself, on whatever connection that
// both sides accepted.
func (p *Port) Known(nodeID string) (Hello, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hello, ok := p.known[nodeID]
	return hello, ok
}

// Close ends all connections, settles all calls and waits for all goroutines of
// the port, handlers included. The second call waits and returns nil.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.wg.Wait()
		return nil
	}
	p.closed = true
	conns := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()

	p.end()
	err := p.listener.Close()
	err = errors.Join(err, p.raft.Close())
	p.raft.CloseStreams()
	for _, c := range conns {
		_ = c.Close()
	}
	p.wg.Wait()
	if p.config.Registerer != nil {
		p.config.Registerer.Unregister(p.metrics)
	}
	return err
}

// spawn runs f on a goroutine that Close waits for. It reports false, and runs
// nothing, once Close has begun.
func (p *Port) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(f)
	return true
}

func (p *Port) resolve(nodeID string) (string, bool) {
	if p.config.Resolve == nil {
		return "", false
	}
	return p.config.Resolve(nodeID)
}

func (p *Port) remember(hello Hello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[hello.NodeID] = hello
}
