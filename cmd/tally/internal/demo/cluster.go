package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"tally/counter"
	"tally/node"
)

// nodesCount is how many nodes the demo has: the fewest of which one can be lost.
const nodesCount = 3

// State is what was done to a node.
type State string

// The states.
const (
	Running State = "running"
	Paused  State = "paused"
	Killed  State = "killed"
)

// Config says how the demo runs.
type Config struct {
	// HTTPPort is where the first node serves clients on 127.0.0.1, the others on
	// the ports behind it; 0 takes free ports.
	HTTPPort int
	// TempDir is where the demo makes its directory; "" is the system's.
	TempDir string
	// Version is what the nodes say of their build.
	Version string
	// Say is told what happens, one sentence each time, by several goroutines at
	// once. It must not wait for the cluster.
	Say func(text string)
}

// Cluster is the three nodes. Its methods may be called by several goroutines at once.
type Cluster struct {
	config Config
	dir    string
	failed chan error // why a node ended itself; the demo is over then

	life       context.Context // ends with Close
	end        context.CancelFunc
	background sync.WaitGroup // the observer of leadership

	members []*member
}

// member is one node through its lives.
type member struct {
	id       string
	dir      string
	httpAddr string
	peerAddr string

	changing sync.Mutex // held while the node is opened or ended; before mu

	mu      sync.Mutex
	state   State
	node    *node.Node // nil while killed
	network *network
	done    *doing // what was last done to it
}

// doing is something that was done to a node, for the time it took to get over it.
type doing struct {
	what string
	at   time.Time
}

// Open starts the nodes and returns when they have a leader.
func Open(ctx context.Context, config Config) (_ *Cluster, err error) {
	c := &Cluster{config: config, failed: make(chan error, 1)}
	if c.dir, err = os.MkdirTemp(config.TempDir, "tally-demo-"); err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	listeners, err := c.reserve()
	if err != nil {
		return nil, err
	}
	for i, m := range c.members {
		if err := c.open(m, listeners[i]...); err != nil {
			closeAll(listeners[i+1:])
			return nil, err
		}
	}
	if err := c.waitForLeader(ctx); err != nil {
		return nil, err
	}
	c.background.Go(c.observe)
	return c, nil
}

// reserve takes the addresses of all nodes, so that a busy port is known before
// anything runs.
func (c *Cluster) reserve() (listeners [][]net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(listeners)
		}
	}()
	for i := range nodesCount {
		port := 0
		if c.config.HTTPPort != 0 {
			port = c.config.HTTPPort + i
		}
		clients, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return listeners, busy(err, port)
		}
		listeners = append(listeners, []net.Listener{clients})
		peers, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return listeners, err
		}
		listeners[i] = append(listeners[i], peers)
		id := fmt.Sprintf("n%d", i+1)
		c.members = append(c.members, &member{
			id: id, dir: filepath.Join(c.dir, id), state: Killed,
			httpAddr: clients.Addr().String(), peerAddr: peers.Addr().String(),
		})
	}
	return listeners, nil
}

// ErrPortBusy is what Open returns, wrapped, if another program has a port.
var ErrPortBusy = errors.New("another program has the port")

func busy(err error, port int) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d of 127.0.0.1: %w", port, ErrPortBusy)
	}
	return err
}

func closeAll(listeners [][]net.Listener) {
	for _, listener := range slices.Concat(listeners...) {
		_ = listener.Close() // nobody has used it
	}
}

// open starts a node on its files. Called with changing held, or before anybody else knows m.
func (c *Cluster) open(m *member, reserved ...net.Listener) error {
	network := newNetwork(reserved...)
	config := node.Default()
	config.NodeID, config.DataDir = m.id, m.dir
	config.HTTPAddr, config.PeerAddr = m.httpAddr, m.peerAddr
	for _, founder := range c.members {
		config.InitialCluster = append(config.InitialCluster, node.Member{ID: founder.id, PeerAddr: founder.peerAddr})
	}
	config.CORSOrigins = []string{"http://localhost:*", "http://127.0.0.1:*"}
	config.ShutdownTimeout = 2 * time.Second
	config.Version = c.config.Version
	config.Network = network
	config.Fatal = func(err error) { c.nodeFailed(m, network, err) }
	opened, err := node.Open(config)
	if err != nil {
		network.Cut()
		return fmt.Errorf("%s does not start: %w", m.id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node, m.network, m.state = opened, network, Running
	return nil
}

// nodeFailed is told why a node must not live on. A node that was killed may say
// what it likes.
func (c *Cluster) nodeFailed(m *member, network *network, err error) {
	select {
	case <-network.cut:
		return
	default:
	}
	// The others must not hear from it any more, as if its process had ended.
	go network.Cut()
	select {
	case c.failed <- fmt.Errorf("%s ended itself: %w", m.id, err):
	default: // one reason is enough
	}
}

// Failed is sent why a node ended itself, which it does when its storage fails.
func (c *Cluster) Failed() <-chan error { return c.failed }

// Dir is where the nodes keep their files. Close removes it.
func (c *Cluster) Dir() string { return c.dir }

// URLs are where clients reach the nodes, in the order of their IDs.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.members))
	for i, m := range c.members {
		urls[i] = m.url()
	}
	return urls
}

// runningURLs are those of the nodes that were neither killed nor paused.
func (c *Cluster) runningURLs() []string {
	var urls []string
	for _, m := range c.members {
		if state, _ := m.now(); state == Running {
			urls = append(urls, m.url())
		}
	}
	return urls
}

func (m *member) url() string { return "http://" + m.httpAddr }

// IDs are the nodes' IDs.
func (c *Cluster) IDs() []string {
	ids := make([]string, len(c.members))
	for i, m := range c.members {
		ids[i] = m.id
	}
	return ids
}

func (c *Cluster) member(id string) (*member, error) {
	for _, m := range c.members {
		if m.id == id {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q; there are %v", id, c.IDs())
}

// now returns the state and, unless it is killed, the node.
func (m *member) now() (State, *node.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, m.node
}

// set notes what was done to the node.
func (m *member) set(state State, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.done = state, &doing{what, time.Now()}
}

// Close stops the nodes and removes their files.
func (c *Cluster) Close() error {
	c.end()
	c.background.Wait()
	var closing sync.WaitGroup
	for _, m := range c.members {
		closing.Go(func() {
			m.changing.Lock()
			defer m.changing.Unlock()
			c.stop(m)
		})
	}
	closing.Wait()
	return os.RemoveAll(c.dir)
}

// stop cuts the node's network and closes what is left. Called with changing held.
func (c *Cluster) stop(m *member) {
	m.mu.Lock()
	opened, network := m.node, m.network
	m.node, m.state = nil, Killed
	m.mu.Unlock()
	if opened == nil {
		return
	}
	network.Cut()
	ended, end := context.WithCancel(context.Background())
	end() // hand nothing over and wait for nobody
	// What it complains of is that it was cut off.
	_ = opened.Close(ended)
}

// Leader returns the ID of the node that leads as most of those say that can be
// asked, "" if there is none.
func (c *Cluster) Leader() string {
	votes := make(map[string]int)
	for _, m := range c.members {
		if state, opened := m.now(); state == Running && opened != nil {
			if leader := opened.Cluster().Leader(); leader != nil {
				votes[leader.ID]++
			}
		}
	}
	for id, count := range votes {
		if count > nodesCount/2 {
			return id
		}
	}
	return ""
}

const (
	observeInterval  = 10 * time.Millisecond
	firstLeaderLimit = 20 * time.Second
)

func (c *Cluster) waitForLeader(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstLeaderLimit)
	defer cancel()
	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()
	for c.Leader() == "" {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the nodes have chosen no leader: %w", ctx.Err())
		case err := <-c.failed:
			return err
		case <-ticker.C:
		}
	}
	return nil
}

// observe tells when leadership changes.
func (c *Cluster) observe() {
	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()
	before := c.Leader()
	for {
		select {
		case <-c.life.Done():
			return
		case <-ticker.C:
		}
		leader := c.Leader()
		if leader == before || leader == "" {
			continue
		}
		text := leader + " leads now"
		if m, err := c.member(before); err == nil {
			m.mu.Lock()
			if m.done != nil && time.Since(m.done.at) < 30*time.Second {
				text += fmt.Sprintf(", %.2f s after %s was %s", time.Since(m.done.at).Seconds(), m.id, m.done.what)
			}
			m.mu.Unlock()
		}
		c.config.Say(text)
		before = leader
	}
}

// View is the cluster as one of the running nodes sees it.
type View struct {
	counter.Cluster
	// States is what was done to each node, by ID.
	States map[string]State
}

// Look asks the cluster. When no node can be asked only States is filled.
func (c *Cluster) Look(ctx context.Context) View {
	v := View{States: make(map[string]State)}
	leader := c.Leader()
	var ask *node.Node
	for _, m := range c.members {
		state, opened := m.now()
		v.States[m.id] = state
		if state == Running && opened != nil && (ask == nil || m.id == leader) {
			ask = opened
		}
	}
	if ask != nil {
		// A failure means that it knows nothing, which an empty view says.
		v.Cluster, _ = ask.Cluster().Cluster(ctx)
	}
	return v
}
