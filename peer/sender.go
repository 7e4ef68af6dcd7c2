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
	idle   map[raft.ServerID][]*sender // none once closed
	closed bool
}

// sender is a connection for entries that this node opened. It belongs to whoever
// took it, for one request after the other.
type sender struct {
	id      raft.ServerID
	route   raft.ServerAddress
	conn    *conn
	replies *bufio.Reader
	request []byte
}

func newSenders(p *Port) *senders {
	return &senders{port: p, idle: make(map[raft.ServerID][]*sender)}
}

// send sends a request to a node and reads its answer, within Config.Timeout. An
// *unreachable says that nothing was sent.
func (s *senders) send(id raft.ServerID, route raft.ServerAddress, request *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	c, err := s.take(id, route)
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

func (s *senders) take(id raft.ServerID, route raft.ServerAddress) (*sender, error) {
	if c := s.takeIdle(id, route); c != nil {
		return c, nil
	}
	c, err := s.port.dialRoute(route, kindEntries, s.port.config.Timeout)
	if err != nil {
		return nil, err
	}
	return &sender{id: id, route: route, conn: c, replies: bufio.NewReaderSize(c, replyBufferBytes)}, nil
}

// takeIdle returns an idle connection, nil for none. Those to where the node lives
// no more it closes: nobody would take them again, or hear that they have ended.
func (s *senders) takeIdle(id raft.ServerID, route raft.ServerAddress) *sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	for idle := s.idle[id]; len(idle) > 0; idle = s.idle[id] {
		c := idle[len(idle)-1]
		s.idle[id] = idle[:len(idle)-1]
		if c.route == route {
			return c
		}
		_ = c.conn.Close()
	}
	return nil
}

func (s *senders) giveBack(c *sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle[c.id]) >= idleSendersMax {
		_ = c.conn.Close()
		return
	}
	s.idle[c.id] = append(s.idle[c.id], c)
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
