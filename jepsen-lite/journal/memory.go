package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// Memory keeps the lines of one node, over all its processes, where no file is
// wanted: in simulations, which make many journals that nobody reads.
type Memory struct {
	mu    sync.Mutex
	lines [][]Line // as they were added
}

// Observe returns what Raft is to drive instead of the machine, as
// Journal.Observe does, and begins a process with an ID that is not 0. When told
// says no, the process is dead, and what it applies no longer counts: goroutines
// of a simulated process can outlive it.
func (m *Memory) Observe(machine Machine, pid int, alive func() bool) raft.FSM {
	m.add([]Line{{Start: pid}})
	return &remembered{Machine: machine, memory: m, alive: alive}
}

// Lines returns what was written so far.
func (m *Memory) Lines() []Line {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Concat(m.lines...)
}

func (m *Memory) add(lines []Line) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, lines)
}

// Save writes lines to a new file at path, as a Journal would have.
func Save(path string, lines []Line) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("save the journal: %w", err)
	}
	encoder := json.NewEncoder(file)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return errors.Join(fmt.Errorf("save the journal: %w", err), file.Close())
		}
	}
	return file.Close()
}

// remembered is a machine whose lines are kept in memory.
type remembered struct {
	Machine
	memory *Memory
	alive  func() bool
}

var _ raft.BatchingFSM = (*remembered)(nil)

// Apply applies one entry.
func (r *remembered) Apply(entry *raft.Log) any { return r.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch applies entries.
func (r *remembered) ApplyBatch(entries []*raft.Log) []any {
	responses := r.Machine.ApplyBatch(entries)
	if r.alive() {
		r.memory.add(newLines(entries, responses, r.StateHash()))
	}
	return responses
}

// Restore replaces the state by a snapshot.
func (r *remembered) Restore(source io.ReadCloser) error {
	if err := r.Machine.Restore(source); err != nil {
		return err
	}
	if hash := r.StateHash(); r.alive() {
		r.memory.add([]Line{{Restored: &hash}})
	}
	return nil
}
