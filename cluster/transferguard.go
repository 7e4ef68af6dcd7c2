package cluster

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

var errStuckTransfer = errors.New("the Raft library refuses every proposal because of a leadership transfer that ended long ago (hashicorp/raft#696); restarting the node clears it")

// transferGuard notices the library's stuck flag: a leader that steps down while
// it brings the target of a transfer up to date leaves "transfer in progress"
// set, and if it is elected again it refuses every proposal for good
// (hashicorp/raft#696). A transfer that fails ends within an election timeout
// and the time that one message to its target may take: that of the exchange, and
// that of opening a connection before it.
//
// It belongs to proposer.answer, but for begin.
type transferGuard struct {
	longest time.Duration             // how long the refusals may go on
	since   time.Time                 // when they began; zero: the last proposal met no such refusal
	begun   atomic.Pointer[time.Time] // when the last transfer was asked for
}

// begin is called before the library is asked for a transfer: refusals of before
// say nothing about this one. takeBack is for a transfer that the library refused
// because of another; else asking again and again would hide a stuck flag.
func (g *transferGuard) begin(now time.Time) (takeBack func()) {
	before := g.begun.Swap(&now)
	return func() { g.begun.Store(before) }
}

// stuck takes the answer to a proposal and reports whether refusals have gone on
// for longer than any transfer can take.
func (g *transferGuard) stuck(err error, now time.Time) bool {
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		g.since = time.Time{}
		return false
	}
	if g.since.IsZero() {
		g.since = now
	}
	if begun := g.begun.Load(); begun != nil && begun.After(g.since) {
		g.since = *begun
	}
	return now.Sub(g.since) > g.longest
}
