package proxy

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Conditions are what a proxy does to what passes. The zero value passes
// everything at once.
type Conditions struct {
	// Delay is added to every piece of bytes in each direction, and up to Jitter
	// on top of it.
	Delay, Jitter time.Duration
	// BytesPerSecond, if it is not 0, lets the bytes drip.
	BytesPerSecond int
	// Stall forwards nothing in a direction: connections stay open, and nothing comes.
	Stall Direction
	// StallAfter lets a connection pass for so long before it stalls.
	StallAfter time.Duration
	// ResetAfter, if it is not 0, resets each connection at a random time of up to
	// twice as long.
	ResetAfter time.Duration
	// Ghosts is how many more connections are opened for each real one. A ghost is
	// sent the first bytes of the real one, and then nothing, and stays open: what
	// a node sees of a peer that connects again while the network has lost its
	// first attempt.
	Ghosts int
}

// Direction is one of the two ways through a connection, or both.
type Direction int

// The directions.
const (
	None    Direction = 0
	Forward Direction = 1 // from who dialed to who was dialed
	Back    Direction = 2
	Both    Direction = Forward | Back
)

// Stats are what a proxy has done so far.
type Stats struct {
	Connections int // that were accepted
	Bytes       int // that were forwarded
	Delayed     int // pieces that were held back
	Withheld    int // reads that a stall kept from their receiver
	Resets      int // connections that were reset
	Ghosts      int // ghosts that were opened
}

// Proxy forwards connections from one address to another. Open makes it, Close
// ends it and resets what it carries.
type Proxy struct {
	listener net.Listener
	target   string
	judge    func(net.Addr) Conditions
	withheld func(net.Addr, Direction)

	life   context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu          sync.Mutex
	stats       Stats
	connections map[*connection]bool
}

// Config is what a proxy needs.
type Config struct {
	Listen, Target string // host:port
	// Judge says what happens to the connection that comes from an address. It is
	// asked again for every piece of bytes, so that conditions may change.
	Judge func(from net.Addr) Conditions
	// Withheld, if it is not nil, is told when a stall keeps something that comes
	// from an address, or goes there, from its receiver.
	Withheld func(from net.Addr, way Direction)
}

// Open starts to listen.
func Open(config Config) (*Proxy, error) {
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", config.Target, err)
	}
	p := &Proxy{listener: listener, target: config.Target, judge: config.Judge, withheld: config.Withheld, connections: map[*connection]bool{}}
	p.life, p.cancel = context.WithCancel(context.Background())
	p.group.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() net.Addr { return p.listener.Addr() }

// Stats returns what the proxy has done.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close resets all connections and waits for their goroutines.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.ResetAll()
	p.group.Wait()
	return err
}

// ResetAll resets every connection that is open now.
func (p *Proxy) ResetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.connections {
		c.reset()
	}
}

func (p *Proxy) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.count(func(s *Stats) { s.Connections++ })
		p.group.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	c := &connection{proxy: p, client: client, opened: time.Now(), ended: make(chan struct{})}
	if !p.add(c) {
		c.reset()
		return
	}
	defer p.remove(c)
	defer c.reset()
	dialer := net.Dialer{Timeout: 2 * time.Second}
	server, err := dialer.DialContext(p.life, "tcp", p.target)
	if err != nil {
		return
	}
	if !c.join(server) {
		return
	}
	conditions := c.conditions()
	if conditions.ResetAfter > 0 {
		after := time.Duration(rand.Int64N(2 * int64(conditions.ResetAfter)))
		timer := time.AfterFunc(after, func() {
			if c.reset() {
				p.count(func(s *Stats) { s.Resets++ })
			}
		})
		defer timer.Stop()
	}
	var both sync.WaitGroup
	both.Go(func() { c.pump(client, server, Forward) })
	both.Go(func() { c.pump(server, client, Back) })
	both.Wait()
}

func (p *Proxy) add(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return false
	}
	p.connections[c] = true
	return true
}

func (p *Proxy) remove(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.connections, c)
}

// connection is one connection that passes, with its ghosts.
type connection struct {
	proxy  *Proxy
	client net.Conn
	opened time.Time
	ended  chan struct{} // closed by the first reset

	mu     sync.Mutex
	server net.Conn
	ghosts []net.Conn
	over   bool
}

func (c *connection) conditions() Conditions { return c.proxy.judge(c.client.RemoteAddr()) }

// join adds the server's side, unless the connection was reset meanwhile.
func (c *connection) join(server net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		server.Close()
		return false
	}
	c.server = server
	return true
}

// reset ends the connection for both sides and reports whether it was open.
func (c *connection) reset() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.over = true
	close(c.ended)
	for _, side := range append(c.ghosts, c.client, c.server) {
		if tcp, ok := side.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset and no orderly end; without it the end is orderly
			_ = tcp.Close()
		}
	}
	return true
}

// pump carries bytes one way until either side ends.
func (c *connection) pump(from, to net.Conn, way Direction) {
	defer c.reset()
	buffer := make([]byte, 16<<10)
	first := way == Forward
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if first {
				c.openGhosts(buffer[:n])
				first = false
			}
			if !c.forward(to, buffer[:n], way) {
				return
			}
		}
		if err == io.EOF && way == Forward {
			// Half of the connection may end before the other.
			if half, ok := to.(*net.TCPConn); ok && half.CloseWrite() == nil {
				<-c.ended
			}
		}
		if err != nil {
			return
		}
	}
}

// forward sends one piece as the conditions have it.
func (c *connection) forward(to net.Conn, piece []byte, way Direction) bool {
	if !c.waitOutStall(way) {
		return false
	}
	conditions := c.conditions()
	if hold := conditions.Delay + jitter(conditions.Jitter); hold > 0 {
		c.proxy.count(func(s *Stats) { s.Delayed++ })
		if !c.pause(hold) {
			return false
		}
	}
	for len(piece) > 0 {
		n := len(piece)
		if rate := c.conditions().BytesPerSecond; rate > 0 {
			const step = 50 * time.Millisecond
			n = min(n, max(1, rate/int(time.Second/step)))
			c.proxy.count(func(s *Stats) { s.Delayed++ })
			if !c.pause(step) {
				return false
			}
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return false
		}
		c.proxy.count(func(s *Stats) { s.Bytes += n })
		piece = piece[n:]
	}
	return true
}

// waitOutStall returns when the direction is open, and false if the connection
// ended before. What is read meanwhile waits in the sender's buffers, as with
// packets that are lost and sent again.
func (c *connection) waitOutStall(way Direction) bool {
	for counted := false; c.stalled(way); {
		if !counted {
			c.proxy.count(func(s *Stats) { s.Withheld++ })
			if c.proxy.withheld != nil {
				c.proxy.withheld(c.client.RemoteAddr(), way)
			}
			counted = true
		}
		if !c.pause(20 * time.Millisecond) {
			return false
		}
	}
	return true
}

func (c *connection) stalled(way Direction) bool {
	now := c.conditions()
	return now.Stall&way != 0 && time.Since(c.opened) >= now.StallAfter
}

// pause waits and reports whether the connection is still there.
func (c *connection) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ended:
		return false
	}
}

// openGhosts opens connections that are sent the same first bytes.
func (c *connection) openGhosts(opening []byte) {
	for range c.conditions().Ghosts {
		ghost, err := net.DialTimeout("tcp", c.proxy.target, time.Second)
		if err != nil {
			return
		}
		if _, err := ghost.Write(opening); err != nil || !c.keepGhost(ghost) {
			ghost.Close()
			return
		}
		c.proxy.count(func(s *Stats) { s.Ghosts++ })
	}
}

func (c *connection) keepGhost(ghost net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.ghosts = append(c.ghosts, ghost)
	return true
}

func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(most)))
}
