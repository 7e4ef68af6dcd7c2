package peer

import (
	"net"
	"time"
)

// The library streams a snapshot over one of its connections. It reads one without
// any deadline, on Raft's main goroutine, so that a leader that is paused or cut
// off in the middle would keep this node from voting for another. And it sends one
// with a deadline of minutes for the whole, until which a node that came back in
// the meantime gets nothing else.

// stallMax is how long the writing of one buffer to a node may take. While it
// writes what it is sent to a busy disk it reads nothing, for as long as its
// watchdog lets it.
const stallMax = 15 * time.Second

// streamIn is a connection for Raft that this node accepted. Between messages it
// may be idle for as long as it likes; one that falls silent in the middle of a
// message is lost, as one for calls would be. A reply ends a message, and the
// library sends one for each.
//
// It belongs to the library's goroutine for the connection, and to Raft's main one
// while the former waits for its answer.
type streamIn struct {
	*conn
	midway bool // some of a message has come
}

func (s *streamIn) Read(p []byte) (int, error) {
	if !s.midway {
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
		n, err := s.conn.Read(p)
		s.midway = n > 0
		return n, err
	}
	silent := func() {} // the sender is in the middle of a word
	n, err := (&listener{conn: s.conn, interval: pingInterval, onSilent: silent}).Read(p)
	if err != nil {
		_ = s.Close() // or the library, which reads on to the end, would wait again
	}
	return n, err
}

func (s *streamIn) Write(p []byte) (int, error) {
	s.midway = false
	return s.conn.Write(p)
}

// streamOut is a connection for Raft that this node opened. The library's deadlines
// hold; but what cannot be written for stallMax ends it too.
type streamOut struct {
	*conn
	until time.Time // the library's deadline
}

var _ net.Conn = (*streamOut)(nil)

func (s *streamOut) SetDeadline(t time.Time) error {
	s.until = t
	return s.conn.SetDeadline(t)
}

func (s *streamOut) Write(p []byte) (int, error) {
	limit := time.Now().Add(stallMax)
	if !s.until.IsZero() && s.until.Before(limit) {
		limit = s.until
	}
	if err := s.SetWriteDeadline(limit); err != nil {
		return 0, err
	}
	return s.conn.Write(p)
}
