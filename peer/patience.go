package peer

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// patienceInterval is how long Raft's messages wait between two attempts to open
// a connection.
const patienceInterval = 100 * time.Millisecond

// patience makes those of Raft's messages that bring a node up to date wait until
// it can be reached, for as long as this node is to send it any.
//
// The library waits after each message that failed, up to 10.24 s, and nothing
// ends that wait: a node that comes back would get its first entry that late.
// What waits here has not failed, and has not been sent. Nor does the library
// tell a message under way that nobody wants it any more, so who waits must ask.
type patience struct {
	// sends says whether this node, as the leader of a term, sends entries to a
	// node; nil until Port.PatientWhile.
	sends atomic.Pointer[func(id string, term uint64) bool]
}

func (p *patience) pays(id raft.ServerID, term uint64) bool {
	sends := p.sends.Load()
	return sends != nil && (*sends)(string(id), term)
}

// PatientWhile lets Raft's entries and snapshots wait for a node that cannot be
// reached while sends says that this node leads in the term and the other one is a
// member. Before it is called they fail, as the library expects.
func (p *Port) PatientWhile(sends func(id string, term uint64) bool) {
	p.raft.patience.sends.Store(&sends)
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
		if !t.patience.pays(id, term) {
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
