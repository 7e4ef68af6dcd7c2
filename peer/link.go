package peer

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// callDialTimeout bounds the opening of a connection for calls. It is short
	// because an attempt that began during a partition must not hold up the
	// calls that come after it healed.
	callDialTimeout = time.Second

	// redialWait is how long after a failed attempt calls fail at once with its
	// error. A refused dial is cheap and one that meets silence takes
	// callDialTimeout, so there is no need to wait longer each time.
	redialWait = 50 * time.Millisecond
)

// link is this node's way to call one other node: at most one connection, and
// at most one attempt to open one.
type link struct {
	port   *Port
	nodeID string

	mu      sync.Mutex
	conn    *outgoing // nil before the first; may be lost
	attempt *attempt  // nil when none is under way
	lastErr error     // of the last attempt, nil if it succeeded
	retryAt time.Time // when lastErr is no longer an answer
}

// attempt is the opening of a connection that any number of calls wait for.
// conn and err may be read once done is closed.
type attempt struct {
	done chan struct{}
	conn *outgoing
	err  error
}

// connect returns a connection that works, as far as is known. Every error
// means that nothing was sent.
func (l *link) connect(ctx context.Context) (*outgoing, error) {
	l.mu.Lock()
	if l.conn != nil && l.conn.lost() == nil {
		defer l.mu.Unlock()
		return l.conn, nil
	}
	a, err := l.attemptLocked()
	l.mu.Unlock()
	if err != nil {
		return nil, notSent(err)
	}
	select {
	case <-a.done:
		if a.err != nil {
			return nil, notSent(a.err)
		}
		return a.conn, nil
	case <-ctx.Done():
		return nil, notSent(ctx.Err())
	}
}

// attemptLocked joins the attempt under way or starts one, unless the last one
// failed just now.
func (l *link) attemptLocked() (*attempt, error) {
	if l.attempt != nil {
		return l.attempt, nil
	}
	if l.lastErr != nil && time.Now().Before(l.retryAt) {
		return nil, l.lastErr
	}
	a := &attempt{done: make(chan struct{})}
	if !l.port.spawn(func() { l.try(a) }) {
		return nil, errClosed
	}
	l.attempt = a
	return a, nil
}

func (l *link) try(a *attempt) {
	ctx, cancel := context.WithTimeout(l.port.life, callDialTimeout)
	defer cancel()
	a.conn, a.err = l.open(ctx)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempt, l.lastErr = nil, a.err
	if a.err == nil {
		l.conn = a.conn
	}
	l.retryAt = time.Now().Add(redialWait)
	close(a.done)
}

func (l *link) open(ctx context.Context) (*outgoing, error) {
	addr, ok := l.port.resolve(l.nodeID)
	if !ok {
		return nil, fmt.Errorf("the address of %s is not known", l.nodeID)
	}
	conn, _, err := l.port.open(ctx, addr, l.nodeID)
	return conn, err
}
