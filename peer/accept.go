package peer

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// unfinishedMax bounds the accepted connections that have not finished the
	// exchange of hellos, and unfinishedPerHostMax those from one address, so
	// that one stranger cannot keep all others out. More are closed at once.
	unfinishedMax        = 256
	unfinishedPerHostMax = 64

	// After a failed accept (no file descriptors left, for one) the next one
	// waits, longer each time.
	acceptWaitMin = 5 * time.Millisecond
	acceptWaitMax = time.Second
)

// accept is the accepting goroutine.
func (p *Port) accept() {
	wait := acceptWaitMin
	for {
		raw, err := p.listener.Accept()
		if err == nil {
			wait = acceptWaitMin
			p.receive(raw)
			continue
		}
		if p.life.Err() != nil {
			return
		}
		p.logger.Error("cannot accept a connection", "error", err, "wait", wait)
		select {
		case <-time.After(wait):
			wait = min(2*wait, acceptWaitMax)
		case <-p.life.Done():
			return
		}
	}
}

// receive starts the exchange of hellos, if there is room for one more.
func (p *Port) receive(raw net.Conn) {
	host := hostOf(raw.RemoteAddr())
	if !p.doorway.enter(host) {
		p.note("in", raw, &handshakeError{refusedBusy, fmt.Errorf("too many connections without a hello")})
		raw.Close()
		return
	}
	if !p.spawn(func() { p.welcome(raw, host) }) {
		p.doorway.leave(host)
		raw.Close()
	}
}

// welcome exchanges hellos and then serves the connection.
func (p *Port) welcome(raw net.Conn, host string) {
	c, remote, kind, err := p.answer(raw)
	p.doorway.leave(host)
	if err != nil {
		return
	}
	switch kind {
	case kindRaft:
		p.layer.deliver(&streamIn{conn: c})
	case kindEntries:
		p.raft.receive(c, remote)
	case kindCalls:
		p.serve(c, remote)
	}
}

// answer exchanges hellos on an accepted connection, and closes it if that fails.
func (p *Port) answer(raw net.Conn) (*conn, Hello, streamKind, error) {
	c, ok := p.track(raw)
	if !ok {
		raw.Close()
		return nil, Hello{}, 0, errClosed
	}
	h := handshake{conn: c, self: p.config.Self(), admit: p.config.Admit}
	err := c.SetDeadline(time.Now().Add(handshakeTimeout))
	var remote Hello
	if err == nil {
		remote, err = h.accepted(p.serves)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		p.note("in", raw, err)
		_ = c.Close()
		var refused *RefusedError
		if p.config.Refused != nil && errors.As(err, &refused) && refused.ByRemote {
			p.config.Refused(refused)
		}
		return nil, Hello{}, 0, err
	}
	p.remember(remote)
	c.established(h.kind)
	return c, remote, h.kind, nil
}

func (p *Port) serves(kind streamKind) bool {
	return kind == kindCalls || (kind == kindRaft || kind == kindEntries) && !p.layer.isClosed()
}

func (p *Port) serve(c *conn, remote Hello) {
	in := incoming{conn: c, from: remote, handlers: &p.handlers, out: newOutbox(c, p.metrics)}
	err := in.serve()
	p.logger.Debug("calls from a node ended", "node", remote.NodeID, "address", c.RemoteAddr(), "error", err)
}

// doorway counts the connections whose hellos are not finished.
type doorway struct {
	mu     sync.Mutex
	total  int
	byHost map[string]int
}

func newDoorway() *doorway { return &doorway{byHost: make(map[string]int)} }

func (d *doorway) enter(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total >= unfinishedMax || d.byHost[host] >= unfinishedPerHostMax {
		return false
	}
	d.total++
	d.byHost[host]++
	return true
}

func (d *doorway) leave(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.byHost[host]--; d.byHost[host] == 0 {
		delete(d.byHost, host)
	}
}

func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}
