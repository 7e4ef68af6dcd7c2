package peer

import (
	"bufio"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// idleSendersMax is how many idle connections for entries are kept to one
	// node: one for entries, one for heartbeats, which go beside each other.
	idleSendersMax = 2
	// requestKeepBytes is the largest request whose memory is kept for the next.
	requestKeepBytes = 1 << 20
	// replyBufferBytes has room for the reply of a node with names of usual length.
	replyBufferBytes = 512
)

// senders are this node's connections for entries.
type senders struct {
	port *Port

	mu     sync.Mutex
	idle   map[raft.ServerAddress][]*sender // by route; none once closed
	closed bool
}

// sender is a connection for entries that this node opened. It belongs to whoever
// took it, for one request after the other.
type sender struct {
	route   raft.ServerAddress
	conn    *conn
	replies *bufio.Reader
	request []byte
}

func newSenders(p *Port) *senders {
	return &senders{port: p, idle: make(map[raft.ServerAddress][]*sender)}
}

// send sends a request to a node and reads its answer, within Config.Timeout. An
// *unreachable says that nothing was sent.
func (s *senders) send(route raft.ServerAddress, request *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	c, err := s.take(route)
	if err != nil {
		return err
	}
	err = c.exchange(request, answer, s.port.config.Timeout)
	if err != nil && !errors.As(err, new(*entriesFailed)) {
		_ = c.conn.Close()
		return err
	}
	s.giveBack(c)
	return err
}

func (s *senders) take(route raft.ServerAddress) (*sender, error) {
	s.mu.Lock()
	idle := s.idle[route]
	if n := len(idle); n > 0 {
		c := idle[n-1]
		s.idle[route] = idle[:n-1]
		s.mu.Unlock()
		return c, nil
	}
	s.mu.Unlock()
	c, err := s.port.dialRoute(route, kindEntries, s.port.config.Timeout)
	if err != nil {
		return nil, err
	}
	return &sender{route: route, conn: c, replies: bufio.NewReaderSize(c, replyBufferBytes)}, nil
}

func (s *senders) giveBack(c *sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle[c.route]) >= idleSendersMax {
		_ = c.conn.Close()
		return
	}
	s.idle[c.route] = append(s.idle[c.route], c)
}

// close closes what is idle; what is under way is closed at its end.
func (s *senders) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, idle := range s.idle {
		for _, c := range idle {
			_ = c.conn.Close()
		}
	}
	clear(s.idle)
}

func (c *sender) exchange(request *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse, timeout time.Duration) error {
	data, err := appendEntriesRequest(c.request[:0], request)
	if err != nil {
		return err
	}
	if c.request = data; cap(data) > requestKeepBytes {
		c.request = nil
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(data); err != nil {
		return err
	}
	return readEntriesReply(c.replies, answer)
}
