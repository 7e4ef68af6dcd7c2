package peer

import (
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// patienceInterval is how long Raft's messages wait between two attempts to
	// open a connection.
	patienceInterval = 100 * time.Millisecond
	// patienceTimeouts is for how many Config.Timeout after its last heartbeat to
	// another node this one is taken for its leader. A heartbeat into silence takes
	// one, and the next comes at once.
	patienceTimeouts = 3
)

// patience makes those of Raft's messages that bring a node up to date wait until
// it can be reached, while this node leads.
//
// The library waits after each message that failed, up to 10.24 s, and nothing
// ends that wait: a node that comes back would get its first entry that late.
// What waits here has not failed, and has not been sent.
type patience struct {
	mu    sync.Mutex
	beats map[raft.ServerID]beat // the last heartbeat to each node
}

// beat is a heartbeat of a leader.
type beat struct {
	term uint64
	at   time.Time
}

func newPatience() *patience { return &patience{beats: make(map[raft.ServerID]beat)} }

func (p *patience) note(id raft.ServerID, term uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats[id] = beat{term, time.Now()}
}

// pays says that this node still leads the other one in the term.
func (p *patience) pays(id raft.ServerID, term uint64, limit time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.beats[id]
	return last.term == term && time.Since(last.at) < limit
}

// patiently sends a message of a term, again and again while it cannot be sent
// because there is no connection, and returns the last error. A node that refuses
// this one is not waited for.
func (t *transport) patiently(id raft.ServerID, term uint64, send func() error) error {
	for {
		err := send()
		if !errors.As(err, new(*unreachable)) || errors.As(err, new(*RefusedError)) {
			return err
		}
		if !t.patience.pays(id, term, patienceTimeouts*t.port.config.Timeout) {
			return err
		}
		timer := time.NewTimer(patienceInterval)
		select {
		case <-timer.C:
		case <-t.port.life.Done():
			timer.Stop()
			return err
		}
	}
}

// unreachable is why no connection to a node could be opened for Raft.
type unreachable struct{ error }

func (u *unreachable) Unwrap() error { return u.error }

// isHeartbeat tells what a leader sends so that its followers hear of it from the
// messages that bring them up to date, as the library makes them.
func isHeartbeat(args *raft.AppendEntriesRequest) bool {
	return len(args.Entries) == 0 && args.PrevLogEntry == 0 && args.PrevLogTerm == 0 && args.LeaderCommitIndex == 0
}
