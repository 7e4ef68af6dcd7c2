package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"tally/peer"
)

// errCut is what a node meets whose network was cut.
var errCut = errors.New("demo: the node was killed")

// network is TCP as one node of the demo sees it, with a switch. Between the
// node and each of its connections stand two goroutines that carry the bytes:
// they wait while the network is paused, and end when it is cut.
type network struct {
	tcp peer.TCP
	// reserved are listeners that were opened before the node, so that its
	// addresses are known; each is handed out once.
	reserved map[string]net.Listener

	carrying sync.WaitGroup // the goroutines that carry bytes

	mu     sync.Mutex
	paused chan struct{} // closed on resume; nil while the network runs
	cut    chan struct{} // closed by Cut
	open   map[io.Closer]struct{}
}

var _ peer.Network = (*network)(nil)

func newNetwork(reserved ...net.Listener) *network {
	n := &network{reserved: make(map[string]net.Listener), cut: make(chan struct{}), open: make(map[io.Closer]struct{})}
	for _, listener := range reserved {
		n.reserved[listener.Addr().String()] = listener
	}
	return n
}

// Pause stops the traffic. Nothing is lost: what is on its way waits.
func (n *network) Pause() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.paused == nil {
		n.paused = make(chan struct{})
	}
}

// Resume lets the traffic go on.
func (n *network) Resume() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.paused != nil {
		close(n.paused)
		n.paused = nil
	}
}

// Cut breaks all connections and closes all listeners, for good, and waits until
// no byte moves any more.
func (n *network) Cut() {
	n.mu.Lock()
	if !n.isCutLocked() {
		close(n.cut)
	}
	for one := range n.open {
		_ = one.Close() // it is broken on purpose
	}
	for _, listener := range n.reserved {
		_ = listener.Close() // nobody has asked for it
	}
	n.mu.Unlock()
	n.carrying.Wait()
}

func (n *network) isCutLocked() bool {
	select {
	case <-n.cut:
		return true
	default:
		return false
	}
}

// pass waits while the network is paused.
func (n *network) pass(ctx context.Context) error {
	for {
		n.mu.Lock()
		paused := n.paused
		n.mu.Unlock()
		if paused == nil {
			return nil
		}
		select {
		case <-paused:
		case <-n.cut:
			return errCut
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold notes what has to be closed when the network is cut.
func (n *network) hold(one io.Closer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.isCutLocked() {
		_ = one.Close() // it came too late
		return errCut
	}
	n.open[one] = struct{}{}
	return nil
}

func (n *network) release(one io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, one)
}

// Listen implements peer.Network.
func (n *network) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	listener := n.reserved[addr]
	delete(n.reserved, addr)
	n.mu.Unlock()
	if listener == nil {
		var err error
		if listener, err = n.tcp.Listen(addr); err != nil {
			return nil, err
		}
	}
	if err := n.hold(listener); err != nil {
		return nil, err
	}
	return &gatedListener{listener, n}, nil
}

// Dial implements peer.Network.
func (n *network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := n.pass(ctx); err != nil {
		return nil, err
	}
	raw, err := n.tcp.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return n.join(raw)
}

type gatedListener struct {
	net.Listener
	network *network
}

func (l *gatedListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.network.join(raw)
}

func (l *gatedListener) Close() error {
	l.network.release(l.Listener)
	return l.Listener.Close()
}

// gatedConn is the node's end of a pipe whose other end is carried to and from
// a connection. It shows the connection's addresses.
type gatedConn struct {
	net.Conn
	raw net.Conn
}

func (c *gatedConn) LocalAddr() net.Addr  { return c.raw.LocalAddr() }
func (c *gatedConn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// join puts the goroutines between the node and a connection.
func (n *network) join(raw net.Conn) (net.Conn, error) {
	if err := n.hold(raw); err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	n.carrying.Go(func() { n.carry(raw, far) })
	n.carrying.Go(func() { n.carry(far, raw) })
	return &gatedConn{near, raw}, nil
}

// carry takes bytes from one to the other. When either ends both do.
func (n *network) carry(to, from net.Conn) {
	defer func() {
		_, _ = to.Close(), from.Close() // the other direction closes them too
		n.release(to)
		n.release(from)
	}()
	buffer := make([]byte, 32<<10)
	for {
		count, err := from.Read(buffer)
		if count > 0 { // a pipe takes its time also over nothing
			if n.pass(context.Background()) != nil {
				return
			}
			if _, err := to.Write(buffer[:count]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
