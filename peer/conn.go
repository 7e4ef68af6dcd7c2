package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// conn is a connection that the port knows of, so that Close can end it. Once
// the hellos are exchanged it also counts what passes.
type conn struct {
	net.Conn
	port *Port
	once sync.Once

	// Set by established, before anyone but the handshake reads or writes.
	received, sent prometheus.Counter

	open prometheus.Gauge // counts it while it is open; guarded by port.mu, because Close may come at any time
}

// track wraps a connection, unless the port is closed.
func (p *Port) track(raw net.Conn) (*conn, bool) {
	c := &conn{Conn: raw, port: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false
	}
	p.conns[c] = struct{}{}
	return c, true
}

func (c *conn) established(kind streamKind) {
	m := c.port.metrics
	c.received = m.bytes.WithLabelValues(kind.String(), "in")
	c.sent = m.bytes.WithLabelValues(kind.String(), "out")

	c.port.mu.Lock()
	defer c.port.mu.Unlock()
	if _, alive := c.port.conns[c]; alive {
		c.open = m.connections.WithLabelValues(kind.String())
		c.open.Inc()
	}
}

// Read tells the end of a connection that Close ends from a fault: the library
// logs every other error, and a clean stop is none.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.received != nil {
		c.received.Add(float64(n))
	}
	if errors.Is(err, net.ErrClosed) && c.port.life.Err() != nil {
		err = io.EOF
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.sent != nil {
		c.sent.Add(float64(n))
	}
	return n, err
}

// Close may be called more than once.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.port.mu.Lock()
		defer c.port.mu.Unlock()
		delete(c.port.conns, c)
		if c.open != nil {
			c.open.Dec()
		}
	})
	return err
}

// dial opens a connection and exchanges hellos. want is the node ID that has to
// answer, or empty. An error means that no request was sent. The Hello is
// returned whenever the other side sent one, also beside an error.
func (p *Port) dial(ctx context.Context, addr string, kind streamKind, want string) (*conn, Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	raw, err := p.config.Network.Dial(ctx, addr)
	if err != nil {
		return nil, Hello{}, err
	}
	c, ok := p.track(raw)
	if !ok {
		raw.Close()
		return nil, Hello{}, errClosed
	}
	h := handshake{conn: c, self: p.config.Self(), admit: p.config.Admit, kind: kind}
	remote, err := h.within(ctx, want)
	if err != nil {
		p.note("out", raw, err)
		_ = c.Close()
		return nil, remote, err
	}
	p.remember(remote)
	c.established(kind)
	return c, remote, nil
}

// within is dialed with an end.
func (h *handshake) within(ctx context.Context, want string) (Hello, error) {
	// A deadline in the past ends blocked reads and writes.
	stop := context.AfterFunc(ctx, func() { _ = h.conn.SetDeadline(time.Unix(1, 0)) })
	remote, err := h.dialed(want)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline may be in the past or be there in a moment
	}
	return remote, err
}

// note counts a failed exchange of hellos, and logs it if nothing like it was
// logged just now: whoever can reach the port could fill the disk otherwise.
func (p *Port) note(direction string, raw net.Conn, err error) {
	var failed *handshakeError
	if !errors.As(err, &failed) || p.life.Err() != nil {
		return
	}
	p.metrics.refused.WithLabelValues(direction, string(failed.class)).Inc()
	if more, ok := p.seldom.allow(direction, failed.class); ok {
		p.logger.Warn("a connection between nodes was refused", "direction", direction, "reason", string(failed.class),
			"address", raw.RemoteAddr(), "error", err, "more_since_last", more)
	}
}
