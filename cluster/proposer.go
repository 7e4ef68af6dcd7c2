package cluster

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
	"tally/peer"
)

// proposalBytesMax bounds the bytes of all mutations that wait for the log at
// once, because the library bounds a write of the log only by the number of its
// entries: 32 MiB go to disk well within the storage timeout.
const proposalBytesMax = 32 << 20

// proposal is one encoded command on its way through the leader.
type proposal struct {
	command  []byte
	mutation *counter.Mutation // what command holds; nil for the node's own commands
	deadline time.Time         // zero: none
	// opening marks the commands that open a term, which are proposed before the leader is ready.
	opening bool
	// admission is the verdict of the call limit, given by the proposer.
	admission admission
	// complete is called once with the result or the error, unless the proposal was abandoned.
	complete func(*fsm.Applied, *counter.Error)

	// state is waiting until the proposer takes the proposal or its caller
	// abandons it, whichever is first: only what was never taken is definitely
	// not applied.
	state    atomic.Int32
	future   raft.ApplyFuture
	proposed time.Time
}

const (
	proposalWaiting   int32 = 0
	proposalTaken     int32 = 1
	proposalAbandoned int32 = 2
)

// take reports whether the proposal is the proposer's, now or already.
func (p *proposal) take() bool {
	return p.state.CompareAndSwap(proposalWaiting, proposalTaken) || p.state.Load() == proposalTaken
}

func (p *proposal) hasKey() bool { return p.mutation != nil && p.mutation.IdempotencyKey != "" }

// abandon reports whether the proposal was still waiting; then it will never be
// proposed and never completed.
func (p *proposal) abandon() bool {
	return p.state.CompareAndSwap(proposalWaiting, proposalAbandoned)
}

// proposer owns the only call of raft.Apply. One goroutine checks, admits, stamps
// and proposes, so the order of stamps is the order of the log; another waits for
// the library's answers in that order, so a batch that commits together costs
// one wake-up of that goroutine.
//
// What comes while others wait for a majority is gathered to a wave, which is
// proposed at once. Whatever the library is given with the log idle becomes one
// write of each node's log and one message to each follower, and those cost as
// much for one entry as for a hundred. After a large wave the next waits a little
// for those who come back; see company.
type proposer struct {
	node    *Node
	queue   chan *proposal   // holds all that wait, so that submit never blocks
	waves   chan []*proposal // proposed, in this order
	landed  chan struct{}    // capacity 1: a wave is answered
	flying  atomic.Int64     // proposals that Raft has and whose waves are not answered
	wave    atomic.Int64     // proposals in the last wave that was answered; run takes note of it and sets it to 0
	flight  atomic.Int64     // how long that wave took, in nanoseconds
	waiting atomic.Int64     // proposals that are not answered, proposed or not
	bytes   atomic.Int64     // their bytes
	room    int64            // of Raft's queue, in proposals
	holds   *holds           // attempts of an idempotency key that wait for another
	// limitTerm is the last term for which the limit of mutations began; run's own.
	limitTerm uint64
	closing   atomic.Bool // no proposal is accepted any more
	diskFull  atomic.Bool // set by watchDisk
	transfer  transferGuard
}

func newProposer(node *Node) *proposer {
	return &proposer{
		node:     node,
		queue:    make(chan *proposal, node.config.ProposalsMax),
		waves:    make(chan []*proposal, wavesAhead),
		landed:   make(chan struct{}, 1),
		room:     int64(node.config.appendEntriesMax()),
		holds:    newHolds(),
		transfer: transferGuard{longest: 2*node.config.ElectionTimeout + 2*peer.DefaultTimeout},
	}
}

// submit queues p or says, definitely, why not. It never waits.
func (q *proposer) submit(p *proposal) *counter.Error {
	if q.closing.Load() {
		return counter.Errorf(counter.ShuttingDown, "%s is shutting down; ask another node", q.node.config.NodeID)
	}
	if q.bytes.Add(int64(len(p.command))) > proposalBytesMax {
		q.bytes.Add(-int64(len(p.command)))
		return counter.Errorf(counter.Overloaded, "more than %d MiB of changes wait for the log; try again later", proposalBytesMax>>20)
	}
	if q.waiting.Add(1) > int64(q.node.config.ProposalsMax) {
		q.forget(p)
		return counter.Errorf(counter.Overloaded, "%d changes wait for the log; try again later", q.node.config.ProposalsMax)
	}
	q.queue <- p
	return nil
}

func (q *proposer) forget(p *proposal) {
	q.waiting.Add(-1)
	q.bytes.Add(-int64(len(p.command)))
}

// run proposes what is queued until ctx ends, then refuses the rest.
func (q *proposer) run(ctx context.Context) {
	defer close(q.waves)
	var next []*proposal // the next wave so far
	var company company
	for {
		queue := q.queue
		if len(next) >= waveMax {
			queue = nil
		}
		select {
		case <-ctx.Done():
			q.closing.Store(true)
			q.refuseAll(q.gather(next, math.MaxInt))
			return
		case p := <-queue:
			next = q.gather(append(next, p), waveMax)
		case <-q.holds.wake:
			next = append(next, q.holds.take()...)
		case <-q.landed:
		case <-company.late():
			company.leave()
		}
		if q.flying.Load() == 0 { // whichever of the channels was first
			company.await(len(next), int(q.wave.Swap(0)), time.Duration(q.flight.Load()))
		}
		if q.departs(int64(len(next))) && company.suffices(len(next)) {
			company.leave()
			q.depart(next)
			next = nil
		}
	}
}

// waveMax is from how many proposals on a wave waits for no other: as many as
// Raft writes at once.
const waveMax = 1024

// wavesAhead is how many waves may be proposed and not yet looked at by answer;
// each is as large as all before it or full, so more are hardly ever under way.
const wavesAhead = 32

// departs tells whether a wave of n goes now: if nothing is under way, so that
// nobody waits for company, or if it is as large as all that is, and twice as large
// where they are a crowd together. The latter keeps more than one wave under way
// where the network or a disk is slow, each larger than the one before, and lets
// none go that costs more than it gains.
func (q *proposer) departs(n int64) bool {
	flying := q.flying.Load()
	if flying+n >= crowd {
		flying *= 2
	}
	return n > 0 && n >= min(flying, waveMax)
}

// gather adds what is queued to a wave, up to a size.
func (q *proposer) gather(wave []*proposal, size int) []*proposal {
	for len(wave) < size {
		select {
		case p := <-q.queue:
			wave = append(wave, p)
		default:
			return wave
		}
	}
	return wave
}

// depart proposes what of a wave nobody has abandoned.
func (q *proposer) depart(wave []*proposal) {
	proposed := wave[:0]
	for _, p := range wave {
		switch {
		case !p.take():
			q.forget(p)
		case q.propose(p):
			proposed = append(proposed, p)
		}
	}
	if len(proposed) > 0 {
		q.waves <- proposed
	}
}

func (q *proposer) refuseAll(proposals []*proposal) {
	for _, p := range proposals {
		q.refuse(p, counter.Errorf(counter.ShuttingDown, "%s is shutting down; ask another node", q.node.config.NodeID))
	}
}

// refuse answers a proposal that was not given to Raft.
func (q *proposer) refuse(p *proposal, err *counter.Error) {
	q.forget(p)
	if p.take() {
		p.complete(nil, err)
	}
}

// propose gives a taken proposal to Raft, unless there is a reason not to.
func (q *proposer) propose(p *proposal) bool {
	if err := q.refusal(p); err != nil {
		q.refuse(p, err)
		return false
	}
	if p.hasKey() {
		if applied, known := q.node.machine.Lookup(p.mutation); known {
			q.known(p, applied)
			return false
		}
		if !q.holds.enter(p) {
			return false // the attempt in flight releases it
		}
	}
	if err := q.stamp(p); err != nil {
		q.refuse(p, err)
		q.decided(p)
		return false
	}
	p.proposed = time.Now()
	// The only call of raft.Apply. The library keeps p.command for its cache and
	// for replication: it is never written to after this.
	p.future = q.node.raft.Apply(p.command, q.enqueueTimeout())
	q.flying.Add(1)
	return true
}

// enqueueTimeout is how long Raft's queue may keep a proposal out. For any but
// zero the library makes a timer; while the queue has room for all that is not
// answered, it keeps nothing out.
func (q *proposer) enqueueTimeout() time.Duration {
	if q.flying.Load() < q.room {
		return 0
	}
	return q.node.config.RequestTimeout
}

// stamp admits p to the log at a time.
func (q *proposer) stamp(p *proposal) *counter.Error {
	stampMs, refusal := q.admit(p)
	if refusal != nil {
		return refusal
	}
	if err := fsm.Stamp(p.command, stampMs); err != nil {
		q.giveBack(p)
		return counter.Errorf(counter.InvalidRequest, "the command cannot be stamped: %v", err)
	}
	return nil
}

// known answers a proposal that the state machine can answer without an entry.
func (q *proposer) known(p *proposal, applied *fsm.Applied) {
	q.forget(p)
	q.node.metrics.replayed.Inc()
	if applied.Err != nil && applied.Err.ServerTimeMs != 0 {
		// Log time is that of the last entry, which may be long ago.
		applied.Err.ServerTimeMs = max(applied.Err.ServerTimeMs, q.node.clock.nowMs())
	}
	p.complete(applied, nil)
}

// refusal says why the leader will not propose p.
func (q *proposer) refusal(p *proposal) *counter.Error {
	switch {
	case !q.node.leads():
		return counter.Errorf(counter.NotLeader, "%s is not the leader", q.node.config.NodeID)
	case p.opening:
		return nil
	case !q.node.ready():
		return counter.Errorf(counter.NotLeader, "%s leads but has not applied a command of its term yet; try again", q.node.config.NodeID)
	case q.diskFull.Load():
		return counter.Errorf(counter.DiskFull, "%s has less than %d MiB of disk left; free space or add a bigger disk", q.node.config.NodeID, q.node.config.DiskReserveBytes>>20)
	case !p.deadline.IsZero() && time.Now().After(p.deadline):
		return counter.Errorf(counter.Overloaded, "the change waited for the log until its deadline; try again later")
	}
	return nil
}

// answer completes the proposals in the order in which they were proposed.
func (q *proposer) answer(stopped chan struct{}) {
	var releaser releaser
	for wave := range q.waves {
		departed := wave[0].proposed
		for _, p := range wave {
			releaser.release(p.future, stopped)
			err := p.future.Error()
			q.forget(p)
			if q.transfer.stuck(err, time.Now()) {
				q.node.config.Fatal(errStuckTransfer)
			}
			q.complete(p, err)
			q.decided(p)
		}
		q.wave.Store(int64(len(wave)))
		q.flight.Store(int64(time.Since(departed)))
		q.flying.Add(-int64(len(wave)))
		select {
		case q.landed <- struct{}{}:
		default: // run has not yet looked at the one before
		}
	}
	// run has ended before, so nobody will look at these again.
	for _, p := range q.holds.take() {
		q.refuse(p, counter.Errorf(counter.OutcomeUnknown, "another attempt with this idempotency key was under way when %s stopped; repeat the request with the same key", q.node.config.NodeID))
	}
}

func (q *proposer) complete(p *proposal, err error) {
	if err != nil {
		q.node.metrics.failed.Inc()
		failure := outcome(err)
		if failure.Definite() {
			q.giveBack(p)
		}
		p.complete(nil, failure)
		return
	}
	q.node.metrics.applied.Inc()
	q.node.metrics.commitSeconds.Observe(time.Since(p.proposed).Seconds())
	applied := p.future.Response().(*fsm.Applied)
	applied.Result.Quota = p.admission.quota()
	if applied.Err != nil {
		applied.Err.Quota = p.admission.quota()
	}
	p.complete(applied, nil)
}

// decided lets other attempts with the same idempotency key go on.
func (q *proposer) decided(p *proposal) {
	if p.hasKey() {
		q.holds.leave(p)
	}
}

// drain waits until no proposal is queued or in flight, or ctx ends.
func (q *proposer) drain(ctx context.Context) error {
	q.closing.Store(true)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for q.waiting.Load() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
