// Package pipenet is a network in memory for tests: named hosts that listen and
// dial, with delays, cuts in one direction or both, resets and crashes.
//
// A connection behaves like TCP as an application sees it. Bytes stay in order.
// A write goes into a buffer and blocks only when that is full. Over a cut link
// bytes wait and arrive after it is healed, dialing waits, and neither side
// learns that the other closed. Deadlines work.
//
// Blocked goroutines wait on channels and timers only, so in a bubble of
// testing/synctest all delays and deadlines are in virtual time. Everything
// about one Network happens under one mutex: plain, and fast enough for tests.
//
// It never loses, repeats, or reorders bytes of a connection that lives: TCP
// does not either.
package pipenet

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"tally/peer"
)

// Network connects hosts. New makes one; in a synctest bubble, make it inside.
type Network struct {
	mu        sync.Mutex
	links     map[direction]*link
	listeners map[string]*listener // by address
	conns     map[*conn]struct{}   // both ends of each connection
	pairs     int                  // connections made so far
	lastPort  int                  // given out for port 0 and dialing ends
	changed   chan struct{}        // closed and replaced at every change that dialing waits for
}

// direction is one way between two hosts.
type direction struct{ from, to string }

// link is the state of one direction.
type link struct {
	delay   time.Duration
	spread  time.Duration
	cut     bool
	traffic Traffic
}

// Traffic counts what was sent in one direction, so that a test can show that a
// fault it caused was felt.
type Traffic struct {
	Written   int64 // bytes the sender wrote
	Delivered int64 // bytes the receiver read
	Stalled   int64 // bytes written while the direction was cut
	Refused   int64 // dials that failed at once
	Waited    int64 // dials that met a cut and had to wait
	Resets    int64 // connections that were reset, counted in the direction they were dialed
}

// New returns a network in which every host reaches every other at once.
func New() *Network {
	return &Network{
		links:     make(map[direction]*link),
		listeners: make(map[string]*listener),
		conns:     make(map[*conn]struct{}),
		lastPort:  50000,
		changed:   make(chan struct{}),
	}
}

// Host is the network as seen from one host.
type Host struct {
	network *Network
	name    string
}

var _ peer.Network = (*Host)(nil)

// Host returns the host of that name. It need not be declared before.
func (n *Network) Host(name string) *Host { return &Host{network: n, name: name} }

// Cut stops all bytes from one host to another until Heal. Bytes on the way
// wait too. The other direction is not changed.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).cut = true
	n.announceLocked()
}

// Heal ends a cut of one direction.
func (n *Network) Heal(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).cut = false
	n.announceLocked()
}

// Partition cuts every host of one side from every host of the other, both ways.
func (n *Network) Partition(side, other []string) {
	for _, a := range side {
		for _, b := range other {
			n.Cut(a, b)
			n.Cut(b, a)
		}
	}
}

// HealAll ends all cuts. Delays stay.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.cut = false
	}
	n.announceLocked()
}

// Delay sets how long bytes take from one host to another.
func (n *Network) Delay(from, to string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).delay = d
}

// Spread makes bytes from one host to another take up to d longer on some
// connections than on others, so that what is on one overtakes what is on
// another. Within a connection they stay in order.
func (n *Network) Spread(from, to string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).spread = d
}

// Reset breaks the connections between two hosts: both ends see a reset, also
// over a cut. New connections are possible.
func (n *Network) Reset(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if c.out == (direction{a, b}) || c.out == (direction{b, a}) {
			n.resetLocked(c)
		}
	}
	n.announceLocked()
}

// Traffic returns what was counted in one direction.
func (n *Network) Traffic(from, to string) Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.linkLocked(from, to).traffic
}

// Crash ends all the host's listeners and connections at once, as when its
// process is killed: the other ends see a reset, unless the way to them is cut;
// then they hear nothing. The host can listen again.
func (h *Host) Crash() {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.listeners {
		if l.host == h.name {
			l.closeLocked()
		}
	}
	for c := range n.conns {
		switch {
		case c.out.from != h.name:
		case c.there.cut:
			c.vanishLocked()
		default:
			n.resetLocked(c)
		}
	}
	n.announceLocked()
}

// Listen listens on an address, host:port. Port 0 is replaced.
func (h *Host) Listen(address string) (net.Listener, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if host, ok := strings.CutSuffix(address, ":0"); ok {
		address = n.addressLocked(host)
	}
	if n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "pipe", Addr: addr(address), Err: syscall.EADDRINUSE}
	}
	l := &listener{network: n, host: h.name, address: addr(address), changed: make(chan struct{})}
	n.listeners[address] = l
	n.announceLocked()
	return l, nil
}

// Dial connects to an address somebody listens on. It takes a round trip; over
// a cut, in either direction, it waits.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := h.dial(ctx, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: addr(address), Err: err}
	}
	return conn, nil
}

func (h *Host) dial(ctx context.Context, address string) (net.Conn, error) {
	n := h.network
	counted := false
	for {
		n.mu.Lock()
		there, back := n.linkLocked(h.name, n.hostOfLocked(address)), n.linkLocked(n.hostOfLocked(address), h.name)
		changed, trip, cut := n.changed, there.delay+back.delay, there.cut || back.cut
		if cut && !counted {
			there.traffic.Waited++
			counted = true
		}
		n.mu.Unlock()
		if cut {
			if err := wait(ctx, changed, 0); err != nil {
				return nil, err
			}
			continue
		}
		if trip > 0 {
			if err := wait(ctx, nil, trip); err != nil {
				return nil, err
			}
		}
		return n.connect(ctx, h.name, address)
	}
}

// wait returns at a change, after a time if that is not 0, or when ctx ends.
func wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-changed:
	case <-after:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (n *Network) connect(ctx context.Context, from, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := n.listeners[address]
	if l == nil {
		n.linkLocked(from, n.hostOfLocked(address)).traffic.Refused++
		return nil, syscall.ECONNREFUSED
	}
	near, far := n.pairLocked(direction{from, l.host}, addr(n.addressLocked(from)), l.address)
	l.backlog = append(l.backlog, far)
	l.announceLocked()
	return near, nil
}

// hostOfLocked is the host that listens on the address, or the one it names.
func (n *Network) hostOfLocked(address string) string {
	if l := n.listeners[address]; l != nil {
		return l.host
	}
	host, _, _ := strings.Cut(address, ":")
	return host
}

func (n *Network) addressLocked(host string) string {
	n.lastPort++
	return host + ":" + strconv.Itoa(n.lastPort)
}

func (n *Network) linkLocked(from, to string) *link {
	key := direction{from, to}
	l := n.links[key]
	if l == nil {
		l = &link{}
		n.links[key] = l
	}
	return l
}

// announceLocked wakes everybody who waits for the state of links.
func (n *Network) announceLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
	for c := range n.conns {
		c.announceLocked()
	}
}

// String shows cuts and delays, for the message of a failed test.
func (n *Network) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for d, l := range n.links {
		if l.cut || l.delay > 0 {
			fmt.Fprintf(&b, "%s->%s cut=%v delay=%v; ", d.from, d.to, l.cut, l.delay)
		}
	}
	return b.String()
}

// listener is a host's open address.
type listener struct {
	network *Network
	host    string
	address addr

	// Guarded by network.mu.
	backlog []*conn
	closed  bool
	changed chan struct{}
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	for {
		l.network.mu.Lock()
		if l.closed {
			l.network.mu.Unlock()
			return nil, &net.OpError{Op: "accept", Net: "pipe", Addr: l.address, Err: net.ErrClosed}
		}
		if len(l.backlog) > 0 {
			c := l.backlog[0]
			l.backlog = l.backlog[1:]
			l.network.mu.Unlock()
			return c, nil
		}
		changed := l.changed
		l.network.mu.Unlock()
		<-changed
	}
}

// Close frees the address. Connections nobody accepted are reset. Closing again,
// or after a crash of the host, does nothing.
func (l *listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if !l.closed {
		l.closeLocked()
	}
	return nil
}

func (l *listener) closeLocked() {
	l.closed = true
	delete(l.network.listeners, string(l.address))
	for _, c := range l.backlog {
		l.network.resetLocked(c)
	}
	l.backlog = nil
	l.announceLocked()
}

func (l *listener) announceLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Addr is the address listened on.
func (l *listener) Addr() net.Addr { return l.address }

// addr is host:port.
type addr string

func (addr) Network() string  { return "pipe" }
func (a addr) String() string { return string(a) }
