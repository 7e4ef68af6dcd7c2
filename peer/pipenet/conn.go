package pipenet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferBytes is how much one direction holds before a write blocks, as the
// buffers of two kernels do.
const bufferBytes = 1 << 20

// conn is one end of a connection. What it writes lies in its own queue until
// the other end, which reads from there, is due to see it.
type conn struct {
	network       *Network
	local, remote addr
	out           direction // of what this end writes
	there, back   *link     // the link of that direction, and of the other
	other         *conn
	share         float64 // of the link's spread, 0 to 1

	// Guarded by network.mu.
	queue         queue // written here, not yet read over there
	closed        bool  // by this end
	reset         bool  // the connection is broken for both ends
	readDeadline  time.Time
	writeDeadline time.Time
	readable      *sync.Cond // of network.mu: who reads here waits for it
	writable      *sync.Cond // likewise who writes here
	alarm         *time.Timer
	alarmAt       time.Time // when alarm wakes those who wait; zero if it does not
}

// The shares of a link's spread that connections get, one after the other: a step
// that has no divisor in common with their number goes through all of them.
const (
	shares     = 16
	sharesStep = 7
)

var _ net.Conn = (*conn)(nil)

func (n *Network) pairLocked(out direction, near, far addr) (*conn, *conn) {
	n.pairs++
	share := float64(n.pairs*sharesStep%shares) / shares
	there, back := n.linkLocked(out.from, out.to), n.linkLocked(out.to, out.from)
	a := &conn{network: n, local: near, remote: far, out: out, there: there, back: back, share: share}
	b := &conn{network: n, local: far, remote: near, out: direction{out.to, out.from}, there: back, back: there, other: a, share: share}
	a.other = b
	for _, end := range []*conn{a, b} {
		end.readable, end.writable = sync.NewCond(&n.mu), sync.NewCond(&n.mu)
	}
	n.conns[a], n.conns[b] = struct{}{}, struct{}{}
	return a, b
}

func (n *Network) resetLocked(c *conn) {
	if c.reset {
		return
	}
	c.there.traffic.Resets++
	for _, end := range []*conn{c, c.other} {
		end.reset, end.queue = true, queue{}
		delete(n.conns, end)
		end.announceLocked()
		end.quietLocked()
	}
}

// Read returns what has arrived, at least one byte.
func (c *conn) Read(p []byte) (int, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	for {
		n, err, until := c.readLocked(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, c.opError("read", err)
		}
		c.waitLocked(c.readable, earliest(until, c.readDeadline))
	}
}

// readLocked reads without waiting. If there is nothing yet, it may know when
// there will be.
func (c *conn) readLocked(p []byte) (n int, err error, until time.Time) {
	switch {
	case c.closed:
		return 0, net.ErrClosed, until
	case c.reset:
		return 0, syscall.ECONNRESET, until
	case passed(c.readDeadline):
		return 0, os.ErrDeadlineExceeded, until
	}
	from := &c.other.queue
	if c.back.cut {
		return 0, nil, until
	}
	for n < len(p) {
		first := from.first()
		if first == nil {
			break
		}
		if time.Now().Before(first.due) {
			until = first.due
			break
		}
		if first.end {
			if n == 0 {
				err = io.EOF
			}
			break
		}
		n += from.take(p[n:])
	}
	c.back.traffic.Delivered += int64(n)
	if n > 0 {
		c.other.writable.Broadcast() // there is room
	}
	return n, err, until
}

// Write queues all of p, waiting for room where there is none.
func (c *conn) Write(p []byte) (int, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	written := 0
	for {
		n, err := c.writeLocked(p[written:])
		written += n
		if err != nil || written == len(p) {
			return written, c.opError("write", err)
		}
		c.waitLocked(c.writable, c.writeDeadline)
	}
}

// dueLocked is when what is written now arrives.
func (c *conn) dueLocked() time.Time {
	return time.Now().Add(c.there.delay + time.Duration(c.share*float64(c.there.spread)))
}

func (c *conn) writeLocked(p []byte) (int, error) {
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.reset:
		return 0, syscall.ECONNRESET
	case passed(c.writeDeadline):
		return 0, os.ErrDeadlineExceeded
	case c.other.closed && !c.there.cut && !c.back.cut:
		return 0, syscall.EPIPE
	}
	n := min(len(p), bufferBytes-c.queue.size())
	if n == 0 {
		return 0, nil
	}
	due := c.dueLocked()
	c.queue.add(due, p[:n])
	c.there.traffic.Written += int64(n)
	if c.there.cut {
		c.there.traffic.Stalled += int64(n) // healing wakes who waits for it
	} else {
		c.other.arriveLocked(due)
	}
	return n, nil
}

// arriveLocked wakes who reads here when something is due, not before: most of
// what passes a network with delays would wake its reader twice.
func (c *conn) arriveLocked(due time.Time) {
	if passed(due) {
		c.readable.Broadcast()
	} else if !c.closed {
		c.alarmLocked(due)
	}
}

// Close ends this end. What it wrote still arrives, and then the end.
func (c *conn) Close() error {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.quietLocked()
	c.queue.addEnd(c.dueLocked())
	c.other.queue = queue{} // nobody reads it any more
	if c.other.closed {
		delete(n.conns, c)
		delete(n.conns, c.other)
	}
	c.announceLocked()
	c.other.announceLocked()
	return nil
}

// vanishLocked ends this end without a word to the other.
func (c *conn) vanishLocked() {
	c.closed = true
	c.quietLocked()
	c.queue, c.other.queue = queue{}, queue{}
	c.announceLocked()
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(func() {
		c.readDeadline, c.writeDeadline = t, t
		c.announceLocked()
	})
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(func() {
		c.readDeadline = t
		c.readable.Broadcast()
	})
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(func() {
		c.writeDeadline = t
		c.writable.Broadcast() // who reads sleeps on
	})
}

func (c *conn) setDeadlines(set func()) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	set()
	return nil
}

// waitLocked lets go of the mutex until there is news of this end or the time
// comes; the zero time never comes. It may return too early.
func (c *conn) waitLocked(changed *sync.Cond, until time.Time) {
	if !until.IsZero() {
		c.alarmLocked(until)
	}
	changed.Wait()
}

// alarmLocked wakes those who wait at this end at a time, or before.
func (c *conn) alarmLocked(at time.Time) {
	// Deadlines are put off before every read. An alarm that rings too early
	// costs less than one that is set anew each time.
	if !c.alarmAt.IsZero() && !at.Before(c.alarmAt) {
		return
	}
	c.alarmAt = at
	if c.alarm == nil {
		c.alarm = time.AfterFunc(time.Until(at), c.ring)
	} else {
		c.alarm.Reset(time.Until(at))
	}
}

// ring wakes those who wait for a time.
func (c *conn) ring() {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.alarmAt = time.Time{}
	c.announceLocked()
}

func (c *conn) announceLocked() {
	c.readable.Broadcast()
	c.writable.Broadcast()
}

// quietLocked ends the alarm of an end that nobody waits at any more.
func (c *conn) quietLocked() {
	if c.alarm != nil {
		c.alarm.Stop()
		c.alarmAt = time.Time{}
	}
}

func (c *conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "pipe", Source: c.local, Addr: c.remote, Err: err}
}

func passed(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
