package peer

import (
	"bufio"
	"net"
	"sync/atomic"
	"time"
)

const (
	// unansweredMax bounds the calls of one connection that wait for their
	// replies. A call beyond it is answered with ErrBusy at once. Reading does
	// not stop, so that pings, and replies to them, still pass: a node that has
	// too much to do must not look like one that is gone.
	unansweredMax = 16384

	// callerSilence is the interval after which the side that accepted counts
	// its caller as silent; three make the connection lost. A caller that lives
	// pings at least once a second.
	callerSilence = 4 * time.Second
)

// Method is a call's name on the wire. Whoever uses the port gives out the
// numbers.
type Method uint8

// Handler answers calls. It runs on the goroutine that reads the connection, so
// it must not block; it, or someone after it, calls Reply once.
type Handler func(*Call)

// Call is a request from another node.
type Call struct {
	// From is what the caller's node said of itself when the connection was
	// made; it may have learned its cluster ID since.
	From   Hello
	Method Method
	// Payload belongs to the handler, which may keep it for ever.
	Payload []byte
	// Deadline is when the caller stops waiting, by this node's clock; zero if
	// it never does. The time on the way is not counted.
	Deadline time.Time

	id      uint64
	conn    *incoming
	replied atomic.Bool
}

// Reply answers the call. Any goroutine may call it; calls after the first, and
// all calls after the connection was lost, do nothing. The payload is copied.
// One larger than PayloadBytesMax becomes an error at the caller.
func (c *Call) Reply(payload []byte) {
	if c.replied.Swap(true) {
		return
	}
	c.conn.unanswered.Add(-1)
	if len(payload) > PayloadBytesMax {
		c.conn.refuse(c.id, failReplyTooLarge)
		return
	}
	c.conn.out.put(frame{kind: frameReply, id: c.id, payload: payload})
}

// incoming is the serving side of one connection: requests in, replies out.
type incoming struct {
	conn       net.Conn
	from       Hello
	handlers   *[256]Handler
	out        *outbox
	unanswered atomic.Int64
}

// serve runs until the connection ends and returns why. The goroutine that
// writes the replies has ended when it returns.
func (in *incoming) serve() error {
	written := make(chan error, 1)
	go func() {
		err := in.out.run()
		in.conn.Close() // wakes the reader, if it was not the first to end
		written <- err
	}()
	err := in.read()
	in.out.close()
	in.conn.Close()
	if writeErr := <-written; writeErr != nil {
		return writeErr
	}
	return err
}

func (in *incoming) read() error {
	silent := func() {} // the caller pings, this side only listens
	r := bufio.NewReaderSize(&listener{conn: in.conn, interval: callerSilence, onSilent: silent}, readBufferBytes)
	for {
		f, err := readFrame(r)
		if err != nil {
			return err
		}
		switch f.kind {
		case frameRequest:
			in.handle(f)
		case framePing:
			in.out.put(frame{kind: framePong})
		default:
			return errUnexpectedFrame
		}
	}
}

func (in *incoming) handle(f frame) {
	handler := in.handlers[f.method]
	if handler == nil {
		in.refuse(f.id, failUnknownMethod)
		return
	}
	if in.unanswered.Add(1) > unansweredMax {
		in.unanswered.Add(-1)
		in.refuse(f.id, failBusy)
		return
	}
	call := &Call{From: in.from, Method: f.method, Payload: f.payload, id: f.id, conn: in}
	if f.timeoutMs > 0 {
		call.Deadline = time.Now().Add(time.Duration(f.timeoutMs) * time.Millisecond)
	}
	handler(call)
}

func (in *incoming) refuse(id uint64, why Method) {
	in.out.put(frame{kind: frameError, method: why, id: id})
}
