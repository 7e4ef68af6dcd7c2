package peer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var errUnexpectedFrame = errors.New("peer: a frame that callers do not send")

// errDone ends the connection of a one-off call.
var errDone = errors.New("peer: the call is over")

// Call sends a request to a node, over the one connection for calls to it, and
// returns the reply. Calls that wait together travel together.
//
// [Definite] says of an error whether the remote node certainly did nothing. An
// error may be, for errors.Is and errors.As: ErrNotSent, together with its
// cause (*RefusedError, the context's error, ...); ErrUnknownMethod; ErrBusy;
// ErrBroken with its cause; or the context's error alone, when the request had
// been written and no reply came in time. The payload may be used again once
// Call has returned.
func (p *Port) Call(ctx context.Context, nodeID string, method Method, payload []byte) ([]byte, error) {
	start := time.Now()
	reply, err := p.call(ctx, nodeID, method, payload)
	p.metrics.called(start, err)
	return reply, err
}

func (p *Port) call(ctx context.Context, nodeID string, method Method, payload []byte) ([]byte, error) {
	if err := checkPayload(payload); err != nil {
		return nil, err
	}
	conn, err := p.link(nodeID).connect(ctx)
	if err != nil {
		return nil, err
	}
	return conn.call(ctx, method, payload)
}

// CallAddr is Call for whoever listens at an address, over a connection of its
// own. from is what that node said of itself; it is set whenever the node got
// to say it, also when it was refused or the call failed.
func (p *Port) CallAddr(ctx context.Context, addr string, method Method, payload []byte) (reply []byte, from Hello, err error) {
	start := time.Now()
	reply, from, err = p.callAddr(ctx, addr, method, payload)
	p.metrics.called(start, err)
	return reply, from, err
}

func (p *Port) callAddr(ctx context.Context, addr string, method Method, payload []byte) ([]byte, Hello, error) {
	if err := checkPayload(payload); err != nil {
		return nil, Hello{}, err
	}
	conn, from, err := p.open(ctx, addr, "")
	if err != nil {
		return nil, from, notSent(err)
	}
	defer conn.fail(errDone)
	reply, err := conn.call(ctx, method, payload)
	return reply, from, err
}

// open opens a connection for calls and starts its goroutines.
func (p *Port) open(ctx context.Context, addr, want string) (*outgoing, Hello, error) {
	c, remote, err := p.dial(ctx, addr, kindCalls, want)
	if err != nil {
		return nil, remote, err
	}
	conn := newOutgoing(c, p.metrics)
	if !p.spawn(conn.read) || !p.spawn(conn.write) {
		conn.fail(errClosed)
		return nil, remote, errClosed
	}
	return conn, remote, nil
}

func (p *Port) link(nodeID string) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[nodeID]
	if l == nil {
		l = &link{port: p, nodeID: nodeID}
		p.links[nodeID] = l
	}
	return l
}

func checkPayload(payload []byte) error {
	if len(payload) > PayloadBytesMax {
		return notSent(fmt.Errorf("a payload of %d bytes, at most %d are allowed", len(payload), PayloadBytesMax))
	}
	return nil
}
