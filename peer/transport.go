package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// raftPoolMax is how many idle connections the library keeps to one node. It
	// sends votes and the end of a hand-over, one at a time; entries go elsewhere.
	raftPoolMax = 1

	// raftInFlightMax turns pipelining off. With it, one rejected append can
	// stop replication to a follower for ever while heartbeats go on
	// (hashicorp/raft#611, #612), and it gains nothing where requests are
	// batched anyway (hashicorp/raft#541).
	raftInFlightMax = 1
)

// transport is raft.NetworkTransport with these changes.
//
// SetHeartbeatHandler does nothing, so that heartbeats take the same way as all
// other requests: through the main goroutine of Raft. The library's shortcut
// runs them on the goroutine of the connection, where they change state and
// term under a leader that is about to append an entry. It then writes the
// entry of an old leader under the term of the new one, and the replicas differ
// for ever (hashicorp/raft#695).
//
// Requests go to the node they are meant for, wherever it lives now: the target
// becomes "id@address", which the stream layer dials and checks. Connections
// are pooled under that name too.
//
// No request commits more than it vouches for; see withinCommit.
//
// Entries of many bytes go in several messages; see cutPart.
//
// Votes and hand-overs do not fail for a connection that has ended; see again.
//
// Entries and snapshots wait for a node that cannot be reached; see patience.
//
// Entries and heartbeats go over connections of their own, in few bytes and with
// little work; see entries.go.
type transport struct {
	*raft.NetworkTransport // provides WithPreVote and WithClose too
	port                   *Port
	patience               patience
	senders                *senders
	requests               chan raft.RPC // of all nodes, for Raft
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

func newTransport(p *Port) *transport {
	return &transport{port: p, senders: newSenders(p), requests: make(chan raft.RPC), NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  p.layer,
		MaxPool:                 raftPoolMax,
		MaxRPCsInFlight:         raftInFlightMax,
		Timeout:                 p.config.Timeout,
		Logger:                  p.logger.Named("raft"),
		MsgpackUseNewTimeFormat: true,
	})}
}

// SetHeartbeatHandler does nothing; see transport.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.requests }

// consume puts what the library's part receives among all other requests, until
// the transport is closed.
func (t *transport) consume() {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			select {
			case t.requests <- rpc:
			case <-t.port.layer.closed:
				return
			}
		case <-t.port.layer.closed:
			return
		}
	}
}

// receive serves an accepted connection for entries.
func (t *transport) receive(c *conn, remote Hello) {
	defer func() { _ = c.Close() }()
	r := receiver{conn: c, requests: t.requests, closed: t.port.layer.closed}
	if err := r.serve(); err != nil && !t.port.layer.isClosed() {
		t.port.logger.Warn("a connection for entries ended", "node", remote.NodeID, "address", c.RemoteAddr(), "error", err)
	}
}

// Close implements raft.WithClose.
func (t *transport) Close() error {
	t.senders.close()
	return t.NetworkTransport.Close()
}

func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(args) {
		return t.senders.send(id, t.route(id, target), args, resp)
	}
	for rest := args; rest != nil; {
		var part *raft.AppendEntriesRequest
		part, rest = cutPart(rest)
		part = withinCommit(part)
		err := t.patiently(id, args.Term, func() error { return t.senders.send(id, t.route(id, target), part, resp) })
		if err != nil || !resp.Success {
			return err // of the whole: the library knows no other
		}
	}
	return nil
}

// partBytesMax bounds the data of the entries of one message, but for a single
// entry with more: it has to arrive and to be stored within Config.Timeout, over a
// slow network too, and the node that stores it has its own limit for one call to
// its disk.
const partBytesMax = 1 << 20

// cutPart returns what of a request goes into the next message, and what is left,
// nil for nothing. Each vouches for the entries before it as the whole would.
func cutPart(args *raft.AppendEntriesRequest) (part, rest *raft.AppendEntriesRequest) {
	size := 0
	for i, e := range args.Entries {
		size += len(e.Data) + len(e.Extensions)
		if size <= partBytesMax || i == 0 {
			continue
		}
		first, second := *args, *args // the library goes on with its own
		first.Entries, second.Entries = args.Entries[:i], args.Entries[i:]
		last := args.Entries[i-1]
		second.PrevLogEntry, second.PrevLogTerm = last.Index, last.Term
		return &first, &second
	}
	return args, nil
}

// withinCommit returns the request with no later commit index than that of the
// last entry that it vouches for. A follower of the library commits up to the
// leader's commit index or the end of its own log, whichever comes first; what it
// has behind the entries of the request may be of an old leader, and never
// committed. Raft commits up to the last new entry (the paper's figure 2).
func withinCommit(args *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	last := args.PrevLogEntry
	if n := len(args.Entries); n > 0 {
		last = args.Entries[n-1].Index
	}
	if args.LeaderCommitIndex <= last {
		return args
	}
	within := *args // the library goes on with its own
	within.LeaderCommitIndex = last
	return &within
}

func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return again(func() error { return t.NetworkTransport.RequestVote(id, t.route(id, target), args, resp) })
}

func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return again(func() error { return t.NetworkTransport.RequestPreVote(id, t.route(id, target), args, resp) })
}

func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	// Without a connection nothing has been read of data.
	return t.patiently(id, args.Term, func() error {
		return t.NetworkTransport.InstallSnapshot(id, t.route(id, target), args, resp, data)
	})
}

func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return again(func() error { return t.NetworkTransport.TimeoutNow(id, t.route(id, target), args, resp) })
}

// staleMax is how soon a message fails on a connection that had ended before it.
const staleMax = 100 * time.Millisecond

// again sends a message once more that failed at once. The library keeps a
// connection to a node that has started again since, and finds out when it uses it:
// a vote would be missing, or a hand-over fail, though the node is there. The second
// time it opens a new one. All that is sent this way may arrive twice.
func again(send func() error) error {
	began := time.Now()
	err := send()
	if err == nil || errors.As(err, new(*unreachable)) || time.Since(began) > staleMax {
		return err
	}
	return send()
}

// route names a node and where it is now: the resolved address, or else the one
// in Raft's configuration.
func (t *transport) route(id raft.ServerID, target raft.ServerAddress) raft.ServerAddress {
	addr, ok := t.port.resolve(string(id))
	if !ok {
		addr = string(target)
	}
	return raft.ServerAddress(string(id) + "@" + addr)
}

// streamLayer gives the Raft library those connections whose hellos said raft.
type streamLayer struct {
	port     *Port
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

var _ raft.StreamLayer = (*streamLayer)(nil)

var errLayerClosed = errors.New("peer: the Raft transport is closed")

func newStreamLayer(p *Port) *streamLayer {
	return &streamLayer{port: p, accepted: make(chan net.Conn), closed: make(chan struct{})}
}

// deliver hands over an accepted connection. The library closes it.
func (l *streamLayer) deliver(c net.Conn) {
	select {
	case l.accepted <- c:
	case <-l.closed:
		c.Close()
	}
}

func (l *streamLayer) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// Accept returns the next connection of kind raft.
func (l *streamLayer) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, errLayerClosed
	}
}

// Close stops accepting for Raft. The port goes on.
func (l *streamLayer) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is the advertised address, by which Raft calls itself.
func (l *streamLayer) Addr() net.Addr {
	if addr := l.port.config.Self().PeerAddr; addr != "" {
		return advertised(addr)
	}
	return l.port.listener.Addr()
}

// Dial opens a stream to "id@address".
func (l *streamLayer) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	c, err := l.port.dialRoute(target, kindRaft, timeout)
	if err != nil {
		return nil, err
	}
	return &streamOut{conn: c}, nil
}

// dialRoute opens a connection to "id@address". Every error is an *unreachable.
func (p *Port) dialRoute(route raft.ServerAddress, kind streamKind, timeout time.Duration) (*conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	at := strings.LastIndexByte(string(route), '@') // an address has none
	id, addr := string(route[:max(at, 0)]), string(route[at+1:])
	c, _, err := p.dial(ctx, addr, kind, id)
	if err != nil {
		return nil, &unreachable{err}
	}
	return c, nil
}

// advertised is the address that a node tells others.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// isHeartbeat tells what a leader sends so that its followers hear of it from the
// messages that bring them up to date, as the library makes them.
func isHeartbeat(args *raft.AppendEntriesRequest) bool {
	return len(args.Entries) == 0 && args.PrevLogEntry == 0 && args.PrevLogTerm == 0 && args.LeaderCommitIndex == 0
}
