package peer

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	// writeTimeout bounds one write. A connection that takes no bytes for so
	// long is lost, whatever TCP still hopes for.
	writeTimeout = 5 * time.Second

	// outboxKeepBytes is the largest buffer that is kept for the next batch.
	outboxKeepBytes = 1 << 20
)

// outbox writes frames to one connection in batches: while one write is under
// way, frames gather, and the next write takes all of them. It is the exact
// border between what has left this node and what has not: a frame that is
// still in the outbox can be taken back, and no other can.
type outbox struct {
	conn    net.Conn
	metrics *metrics
	wake    chan struct{} // capacity 1: there is something to do

	mu      sync.Mutex
	pending []byte // whole frames that no write has taken
	frames  int    // in pending
	closed  bool
}

func newOutbox(conn net.Conn, m *metrics) *outbox {
	return &outbox{conn: conn, metrics: m, wake: make(chan struct{}, 1)}
}

// put leaves a frame to be written and copies its payload. It reports false,
// and takes nothing, after close.
func (o *outbox) put(f frame) bool {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return false
	}
	first := len(o.pending) == 0
	o.pending = appendFrame(o.pending, f)
	o.frames++
	o.mu.Unlock()
	if first {
		o.rouse()
	}
	return true
}

// takeBack removes the frame with this ID and reports whether it was still
// there: if so, not a byte of it has been or will be written.
func (o *outbox) takeBack(id uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at := 0; at < len(o.pending); {
		end := at + frameLength(o.pending[at:])
		if frameID(o.pending[at:]) == id {
			o.pending = append(o.pending[:at], o.pending[end:]...)
			o.frames--
			return true
		}
		at = end
	}
	return false
}

// close ends run and returns the IDs of the frames that were never written. A
// second close returns none.
func (o *outbox) close() (unsent map[uint64]bool) {
	o.mu.Lock()
	unsent = make(map[uint64]bool, o.frames)
	for at := 0; at < len(o.pending); at += frameLength(o.pending[at:]) {
		unsent[frameID(o.pending[at:])] = true
	}
	o.pending, o.frames, o.closed = nil, 0, true
	o.mu.Unlock()
	o.rouse()
	return unsent
}

func (o *outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run writes until close (nil) or until a write fails.
func (o *outbox) run() error {
	var spare []byte // the buffer that is not pending; only run has it
	for range o.wake {
		// Let those who are ready to put do so first: fuller writes are worth a
		// quarter more calls per second with 64 callers on two cores.
		runtime.Gosched()
		batch, frames, closed := o.take(spare)
		if closed {
			return nil
		}
		if frames == 0 {
			continue
		}
		if err := o.write(batch, frames); err != nil {
			return err
		}
		if spare = batch[:0]; cap(spare) > outboxKeepBytes {
			spare = nil
		}
	}
	return nil
}

// take hands over what is pending. From here on it counts as sent.
func (o *outbox) take(spare []byte) (batch []byte, frames int, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending) == 0 {
		return nil, 0, o.closed
	}
	batch, frames = o.pending, o.frames
	o.pending, o.frames = spare, 0
	return batch, frames, o.closed
}

func (o *outbox) write(batch []byte, frames int) error {
	if err := o.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	o.metrics.framesPerWrite.Observe(float64(frames))
	_, err := o.conn.Write(batch)
	return err
}
