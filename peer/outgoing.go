package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"
)

// readBufferBytes is what is read at once of a connection for calls: a hundred
// forwarded changes.
const readBufferBytes = 16 << 10

// outgoing is the calling side of one connection: requests out, replies in.
//
// Every call is settled exactly once, by whoever removes it from waiting.
type outgoing struct {
	conn net.Conn
	out  *outbox

	mu      sync.Mutex
	waiting map[uint64]chan result // unanswered calls by ID
	lastID  uint64
	err     error // why the connection is lost; nil while it works
}

// result settles one call.
type result struct {
	payload []byte
	err     error
}

func newOutgoing(conn net.Conn, m *metrics) *outgoing {
	return &outgoing{
		conn:    conn,
		out:     newOutbox(conn, m),
		waiting: make(map[uint64]chan result),
	}
}

// lost returns why the connection cannot be used any more, or nil.
func (o *outgoing) lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// call sends one request and waits for its reply or for the end of ctx.
func (o *outgoing) call(ctx context.Context, method Method, payload []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, notSent(err)
	}
	id, settled, err := o.register()
	if err != nil {
		return nil, notSent(err)
	}
	request := frame{kind: frameRequest, method: method, id: id, timeoutMs: timeoutMs(ctx), payload: payload}
	if !o.out.put(request) {
		// Also if fail has settled the call as broken meanwhile: we know better.
		o.forget(id)
		return nil, notSent(o.lost())
	}
	select {
	case r := <-settled:
		return r.payload, r.err
	case <-ctx.Done():
		return o.giveUp(ctx, id, settled)
	}
}

// giveUp ends a call at the end of its ctx, and finds out how far it came.
func (o *outgoing) giveUp(ctx context.Context, id uint64, settled chan result) ([]byte, error) {
	takenBack := o.out.takeBack(id)
	waiting := o.forget(id)
	switch {
	case takenBack: // certain, also if the connection broke meanwhile
		return nil, notSent(ctx.Err())
	case !waiting: // it was settled while ctx ended; that says more
		r := <-settled
		return r.payload, r.err
	}
	return nil, fmt.Errorf("peer: no reply in time: %w", ctx.Err())
}

func (o *outgoing) register() (uint64, chan result, error) {
	settled := make(chan result, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, nil, o.err
	}
	o.lastID++
	o.waiting[o.lastID] = settled
	return o.lastID, settled, nil
}

// forget reports whether the call was still waiting.
func (o *outgoing) forget(id uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.waiting[id]
	delete(o.waiting, id)
	return ok
}

func (o *outgoing) settle(id uint64, r result) {
	o.mu.Lock()
	settled, ok := o.waiting[id]
	delete(o.waiting, id)
	o.mu.Unlock()
	if ok { // else its caller gave up
		settled <- r
	}
}

// write is the writing goroutine.
func (o *outgoing) write() {
	if err := o.out.run(); err != nil {
		o.fail(err)
	}
}

// read is the reading goroutine. It ends when the connection does.
func (o *outgoing) read() {
	ping := func() { o.out.put(frame{kind: framePing}) }
	r := bufio.NewReaderSize(&listener{conn: o.conn, interval: pingInterval, onSilent: ping}, readBufferBytes)
	for {
		f, err := readFrame(r)
		if err != nil {
			if err == io.EOF {
				err = errors.New("the remote node closed the connection")
			}
			o.fail(err)
			return
		}
		switch f.kind {
		case frameReply:
			o.settle(f.id, result{payload: f.payload})
		case frameError:
			o.settle(f.id, result{err: failure(f)})
		case framePong: // its arrival was the message
		default:
			o.fail(fmt.Errorf("a frame of kind %d where a reply should be", f.kind))
			return
		}
	}
}

// fail ends the connection and settles every call: those whose request is still
// in the outbox as not sent, all others as broken. The first failure counts.
func (o *outgoing) fail(cause error) {
	o.mu.Lock()
	if o.err != nil {
		o.mu.Unlock()
		return
	}
	o.err = cause
	waiting := o.waiting
	o.waiting = nil // reading and deleting go on to work
	o.mu.Unlock()

	// Whoever registered but has not yet put finds the outbox closed and does
	// not look at its result. Whoever has put is in one of the two groups.
	unsent := o.out.close()
	o.conn.Close()
	for id, settled := range waiting {
		if unsent[id] {
			settled <- result{err: notSent(cause)}
		} else {
			settled <- result{err: broken(cause)}
		}
	}
}

// failure is what an error frame says.
func failure(f frame) error {
	switch f.method {
	case failUnknownMethod:
		return ErrUnknownMethod
	case failBusy:
		return ErrBusy
	}
	return fmt.Errorf("%w: the remote node could not reply (%d)", ErrBroken, f.method)
}

// timeoutMs is what is left of ctx, at least 1; 0 if it has no deadline.
func timeoutMs(ctx context.Context) uint32 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	left := time.Until(deadline).Milliseconds()
	return uint32(min(max(left, 1), math.MaxUint32))
}
