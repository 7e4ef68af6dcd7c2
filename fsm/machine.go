package fsm

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
)

// Publisher is told what was applied. Both methods are called on Raft's apply
// goroutine, in log order, without any lock of the machine held: they must
// return at once, and may read the machine.
type Publisher interface {
	// Publish is called once for each mutation that was applied, with one event
	// for each key that it named, possibly none. The slice is used again, and
	// the strings are parts of the command: keep copies.
	Publish(revision uint64, events []counter.Event)
	// Restored is called when a snapshot has replaced the state: what happened
	// up to revision will never be published.
	Restored(revision uint64)
}

// Meter is told of calls under a user's call limit, like a Publisher: at once, on
// the apply goroutine, in log order.
type Meter interface {
	// Note is called for each mutation in the log whose caller is under the limit,
	// whatever became of it. atMs is the time that the command carries, by which
	// the leader counted it; log time may be later.
	Note(user string, atMs int64)
}

// Config is what a machine needs. The zero value of each field is allowed.
type Config struct {
	Logger    hclog.Logger
	Publisher Publisher // nil: events are not even built
	Meter     Meter     // nil: nobody counts calls
	// Fatal is called once, when the log has an entry that this build cannot
	// apply. The process must end: the machine refuses everything from then on.
	Fatal func(error)
	// Registerer takes the metrics. Each machine needs its own registry.
	Registerer prometheus.Registerer
}

// Machine is the state machine as Raft drives it and as the node reads it. Raft
// calls Apply, ApplyBatch, Snapshot and Restore one at a time, on one
// goroutine; everything else may be called at any time from anywhere.
//
// The machine locks for each entry and not for each batch, so that reads get in
// between. Every read is one cut: its revision and its content belong together.
type Machine struct {
	logger    hclog.Logger
	publisher Publisher
	meter     Meter
	fatal     func(error)
	metrics   *metrics
	limits    idempotencyLimits

	// command is the entry that is being applied, lists its memory and events what
	// it brings about; the next one uses both again. They belong to the apply goroutine.
	command Command
	lists   lists
	events  []counter.Event

	mu          sync.RWMutex
	state       *state
	checkpoints checkpoints
	waiters     waiters
	bytes       uint64 // of all entries that were applied
	failed      error  // why nothing is applied any more
}

var _ raft.BatchingFSM = (*Machine)(nil)

// NewMachine returns a machine that has applied nothing.
func NewMachine(config Config) *Machine { return newMachine(config, productLimits()) }

func newMachine(config Config, limits idempotencyLimits) *Machine {
	m := &Machine{logger: config.Logger, publisher: config.Publisher, meter: config.Meter, fatal: config.Fatal, limits: limits, state: newState(limits)}
	if m.logger == nil {
		m.logger = hclog.NewNullLogger()
	}
	if m.fatal == nil {
		m.fatal = func(error) {}
	}
	m.metrics = newMetrics(config.Registerer, m)
	return m
}

// Apply applies one entry. It returns *Applied for a command, nil for the rest.
func (m *Machine) Apply(entry *raft.Log) any { return m.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch applies entries in the order of the log: commands take effect,
// configurations move the applied index, so that who waits for it never waits
// in vain.
func (m *Machine) ApplyBatch(entries []*raft.Log) []any {
	defer m.metrics.time(m.metrics.apply)()
	responses := make([]any, len(entries))
	for i, entry := range entries {
		if applied := m.applyEntry(entry); applied != nil {
			responses[i] = applied
		}
	}
	return responses
}

// applyEntry returns nil for an entry that is no command.
func (m *Machine) applyEntry(entry *raft.Log) *Applied {
	if entry.Type != raft.LogCommand && entry.Type != raft.LogConfiguration {
		return nil
	}
	var command *Command
	if entry.Type == raft.LogCommand {
		defer m.forgetCommand()
		var err error
		if m.command, err = m.lists.decode(entry.Data); err != nil {
			return m.fail(fmt.Errorf("log entry %d of term %d: %w", entry.Index, entry.Term, err))
		}
		command = &m.command
	}
	applied, err := m.advance(entry, command)
	if err != nil {
		return m.fail(err)
	}
	m.metrics.entries.Inc()
	if m.meter != nil && command != nil && command.Mutation.UnderLimit() {
		m.meter.Note(command.Mutation.User, command.TimeMs)
	}
	switch {
	case applied == nil:
	case applied.replayed():
		m.metrics.replays.Inc() // it was published when it was applied
	case applied.Err != nil:
		m.metrics.refusals.Inc()
	case command.Type == TypeMutation && m.publisher != nil:
		m.publisher.Publish(entry.Index, m.events)
	}
	return applied
}

// forgetCommand lets go of what the entry brought, so that it is not kept alive
// until there is another.
func (m *Machine) forgetCommand() {
	m.lists.forget()
	m.events = emptied(m.events)
}

// advance gives one entry its effects. command is nil for a configuration.
func (m *Machine) advance(entry *raft.Log, command *Command) (*Applied, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return nil, m.failed
	}
	before := m.state.appliedIndex
	if entry.Index <= before {
		return nil, fmt.Errorf("log entry %d of term %d comes after entry %d was applied", entry.Index, entry.Term, before)
	}
	m.checkpoints.passed(before, entry.Index, m.state.hash)
	m.state.advance(entry.Index, entry.Term)
	m.bytes += uint64(len(entry.Data))
	var applied *Applied
	switch {
	case command == nil:
	case m.publisher == nil:
		applied = m.state.apply(command, nil)
	default:
		applied = m.state.apply(command, &m.events)
	}
	m.checkpoints.passed(entry.Index, entry.Index+1, m.state.hash)
	m.waiters.reach(entry.Index)
	return applied, nil
}

// fail stops the machine for good and returns what to answer: nobody knows what
// the other nodes make of the entry, so the outcome is unknown to this one.
func (m *Machine) fail(err error) *Applied {
	m.mu.Lock()
	first := m.failed == nil
	if first {
		m.failed = fmt.Errorf("the state machine has stopped: %w", err)
	}
	err = m.failed
	m.mu.Unlock()
	if first {
		m.logger.Error("cannot apply the log", "error", err)
		m.fatal(err)
	}
	return &Applied{Err: counter.Errorf(counter.Internal, "%v; see the log of this node", err)}
}

// Snapshot takes hold of the whole state in the time it takes to copy one
// pointer for each shard and page. It fails when the machine has stopped: Raft would
// take the snapshot for one that includes the entry that was not applied.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return nil, m.failed
	}
	state := m.state
	view := state.freeze()
	release := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		state.thaw(view) // by now m may have another
	}
	return &snapshot{view: view, release: release, metrics: m.metrics}, nil
}

// Restore replaces the state by that of a snapshot. The snapshot is verified as
// a whole before it replaces anything: after an error, which wraps ErrSnapshot,
// the state is what it was. The caller closes source.
func (m *Machine) Restore(source io.ReadCloser) error {
	defer m.metrics.time(m.metrics.restore)()
	restored, err := readState(source, m.limits)
	if err != nil {
		return err
	}
	plantInRestored(restored)
	if err := m.replace(restored); err != nil {
		return err
	}
	m.metrics.restores.Inc()
	if m.publisher != nil {
		m.publisher.Restored(restored.appliedIndex)
	}
	return nil
}

func (m *Machine) replace(restored *state) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return m.failed
	}
	m.state = restored
	m.checkpoints = checkpoints{}
	m.waiters.reach(restored.appliedIndex)
	return nil
}

// WaitApplied returns when the entry at index has been applied here, or its
// effects have come with a snapshot, or with the cause of ctx when that ends first.
func (m *Machine) WaitApplied(ctx context.Context, index uint64) error {
	if m.AppliedIndex() >= index {
		return nil
	}
	m.mu.Lock()
	if m.state.appliedIndex >= index {
		m.mu.Unlock()
		return nil
	}
	waiter := m.waiters.add(index)
	m.mu.Unlock()
	select {
	case <-waiter.reached:
		return nil
	case <-ctx.Done():
		m.mu.Lock()
		m.waiters.remove(waiter)
		m.mu.Unlock()
		return context.Cause(ctx)
	}
}
