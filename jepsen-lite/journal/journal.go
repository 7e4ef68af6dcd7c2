package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
)

// Line is one line of a journal.
type Line struct {
	// Start is the ID of a process that begins, 0 for other lines.
	Start int `json:"start,omitempty"`
	// Restored is the state that a snapshot brought.
	Restored *counter.StateHash `json:"restored,omitempty"`

	// Index is that of a command in the Raft log, 0 for the lines above.
	Index   uint64 `json:"index,omitempty"`
	Term    uint64 `json:"term,omitempty"`
	Command []byte `json:"command,omitempty"`

	Revision uint64       `json:"revision,omitempty"`
	Code     counter.Code `json:"code,omitempty"` // of a refusal
	Replayed bool         `json:"replayed,omitempty"`
	Values   [][]int64    `json:"values,omitempty"`  // of each operation, unless refused
	Deleted  [][]string   `json:"deleted,omitempty"` // likewise, if any operation deletes

	// Hash is the state's after the batch that ends with this line.
	Hash *counter.StateHash `json:"hash,omitempty"`
}

// Journal appends to a file what one node applies. Only the goroutine on which
// Raft drives the state machine uses it.
type Journal struct {
	file *os.File
	out  []byte
}

// Open appends the start of a process to the file at path, which is made if need be.
func Open(path string, pid int) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &Journal{file: file}
	if err := errors.Join(j.endLine(), j.write(Line{Start: pid}), j.flush()); err != nil {
		return nil, errors.Join(fmt.Errorf("begin the journal: %w", err), file.Close())
	}
	return j, nil
}

// endLine ends a line that a killed process did not finish.
func (j *Journal) endLine() error {
	end, err := j.file.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return err
	}
	var last [1]byte
	if _, err := j.file.ReadAt(last[:], end-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		j.out = append(j.out, '\n')
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Machine is the state machine, or what stands for it.
type Machine interface {
	raft.BatchingFSM
	// StateHash returns the hash of all state at the applied index.
	StateHash() counter.StateHash
}

// Observe returns what Raft is to drive instead of the machine: the same, but
// for the lines. It panics when it cannot write, because a node without a
// journal tests nothing.
func (j *Journal) Observe(machine Machine) raft.FSM { return &observed{machine, j} }

// observed is a machine that writes down what it applies. Snapshot is the machine's own.
type observed struct {
	Machine
	journal *Journal
}

var _ raft.BatchingFSM = (*observed)(nil)

// Apply applies one entry.
func (o *observed) Apply(entry *raft.Log) any { return o.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch applies entries and returns when they are in the file.
func (o *observed) ApplyBatch(entries []*raft.Log) []any {
	responses := o.Machine.ApplyBatch(entries)
	for _, line := range newLines(entries, responses, o.StateHash()) {
		o.journal.must(o.journal.write(line))
	}
	o.journal.must(o.journal.flush())
	return responses
}

// Restore replaces the state by a snapshot.
func (o *observed) Restore(source io.ReadCloser) error {
	if err := o.Machine.Restore(source); err != nil {
		return err
	}
	hash := o.StateHash()
	o.journal.must(o.journal.write(Line{Restored: &hash}))
	o.journal.must(o.journal.flush())
	return nil
}

// newLines returns the lines of a batch that left the state with a hash.
func newLines(entries []*raft.Log, responses []any, hash counter.StateHash) []Line {
	lines := make([]Line, 0, len(entries))
	for i, entry := range entries {
		applied, isCommand := responses[i].(*fsm.Applied)
		if !isCommand {
			continue
		}
		line := newLine(entry, applied)
		if entry.Index == hash.Index {
			line.Hash = &hash
		}
		lines = append(lines, line)
	}
	return lines
}

func newLine(entry *raft.Log, applied *fsm.Applied) Line {
	line := Line{Index: entry.Index, Term: entry.Term, Command: entry.Data}
	if refusal := applied.Err; refusal != nil {
		line.Revision, line.Code, line.Replayed = refusal.Revision, refusal.Code, refusal.Replayed
		return line
	}
	result := &applied.Result
	line.Revision, line.Replayed = result.Revision, result.Replayed
	if len(result.Outcomes) > 0 {
		line.Values = make([][]int64, len(result.Outcomes))
	}
	for i, outcome := range result.Outcomes {
		line.Values[i] = make([]int64, len(outcome.Counters))
		for k, c := range outcome.Counters {
			line.Values[i][k] = c.Value
		}
		if outcome.Deleted != nil {
			if line.Deleted == nil {
				line.Deleted = make([][]string, len(result.Outcomes))
			}
			line.Deleted[i] = outcome.Deleted
		}
	}
	return line
}

func (j *Journal) write(line Line) error {
	text, err := json.Marshal(line)
	j.out = append(append(j.out, text...), '\n')
	return err
}

func (j *Journal) flush() error {
	_, err := j.file.Write(j.out)
	j.out = j.out[:0]
	return err
}

func (j *Journal) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("the journal cannot be written: %v", err))
	}
}
