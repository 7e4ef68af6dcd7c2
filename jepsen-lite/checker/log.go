package checker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"tally/counter"
	"tally/fsm"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
)

// committedLog is what the journals of all nodes say together.
type committedLog struct {
	entries  []*entry // ascending by index
	at       map[uint64]*entry
	hashes   []stateHash
	restores []restore
	nodes    map[string]bool // that have applied something
}

func newCommittedLog() *committedLog {
	return &committedLog{at: map[uint64]*entry{}, nodes: map[string]bool{}}
}

// entry is one command as it was applied.
type entry struct {
	index uint64
	term  uint64
	bytes []byte // the command
	node  string // whose journal told of it first
	// answer is the line without what is the node's own.
	answer journal.Line

	command fsm.Command
	parts   []history.Part // of a mutation
	timeMs  int64          // log time; set by the replay
	// executed says that it changed, or was refused by the state of its group:
	// it is no answer to an earlier attempt. Set by the replay.
	executed bool
	outcomes []history.Outcome // of an executed one that was not refused, by the model
}

// stateHash is a hash and who said it.
type stateHash struct {
	node  string
	where string // "journal", or "status" as the node shows it
	index uint64
	hash  string
}

// restore says that a node got its state up to an index without applying it.
type restore struct {
	node string
	base uint64
}

// segment is what one process applied without a gap: everything above base.
type segment struct {
	node       string
	base, last uint64
	lines      int
	begun      bool // a process has begun it
}

// logReader reads journals into one log.
type logReader struct {
	log      *committedLog
	result   *Result
	segments []segment
	lines    int
}

// loadLog reads all journals of a folder. Where they contradict each other, the
// result says so; the error is for files that cannot be read or make no sense.
func loadLog(dir string, result *Result) (*committedLog, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no journals in %s", dir)
	}
	r := logReader{log: newCommittedLog(), result: result}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		err = errors.Join(r.read(strings.TrimSuffix(filepath.Base(path), ".jsonl"), file), file.Close())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	r.finish()
	r.tell(len(paths))
	return r.log, nil
}

// collectLog makes one log of the lines of all journals.
func collectLog(journals map[string][]journal.Line, result *Result) *committedLog {
	r := logReader{log: newCommittedLog(), result: result}
	for _, node := range slices.Sorted(maps.Keys(journals)) {
		current := segment{node: node}
		for _, line := range journals[node] {
			current = r.line(current, line)
		}
		r.end(current)
	}
	r.finish()
	r.tell(len(journals))
	return r.log
}

// tell says what was read.
func (r *logReader) tell(nodes int) {
	r.result.Checked = r.lines
	r.result.summarize("%d nodes wrote %d lines about %d entries, in %d stretches", nodes, r.lines, len(r.log.entries), len(r.segments))
}

// read reads one journal. A line that makes no sense is one that a killed
// process did not finish, if another process begins after it, or nothing.
func (r *logReader) read(node string, source io.Reader) error {
	buffered := bufio.NewReaderSize(source, 1<<20)
	current := segment{node: node}
	var torn error
	for number := 1; ; number++ {
		text, err := buffered.ReadBytes('\n')
		if len(bytes.TrimSpace(text)) > 0 {
			var line journal.Line
			jsonErr := json.Unmarshal(text, &line)
			switch {
			case torn != nil && (jsonErr != nil || line.Start == 0):
				return torn
			case jsonErr != nil:
				torn = fmt.Errorf("line %d: %w", number, jsonErr)
			default:
				torn = nil
				current = r.line(current, line)
			}
		}
		if errors.Is(err, io.EOF) {
			r.end(current)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line takes one line and returns the stretch that goes on.
func (r *logReader) line(current segment, line journal.Line) segment {
	r.lines++
	switch {
	case line.Start != 0:
		r.end(current)
		return segment{node: current.node, begun: true}
	case line.Restored != nil:
		if line.Restored.Index < current.last {
			r.result.violation("%s: its state went back from entry %d to %d with a snapshot", current.node, current.last, line.Restored.Index)
		}
		r.end(current)
		r.hash(current.node, line.Restored)
		return segment{node: current.node, base: line.Restored.Index, last: line.Restored.Index, begun: true}
	}
	if !current.begun && current.lines == 0 {
		r.result.unknown("%s: entry %d was applied by a process whose begin is not there", current.node, line.Index)
	}
	if line.Index <= current.last {
		r.result.violation("%s: entry %d was applied after entry %d", current.node, line.Index, current.last)
	}
	current.last = line.Index
	current.lines++
	r.log.nodes[current.node] = true
	r.entry(current.node, line)
	r.hash(current.node, line.Hash)
	return current
}

func (r *logReader) end(s segment) {
	if !s.begun {
		return
	}
	r.segments = append(r.segments, s)
	if s.base > 0 {
		r.log.restores = append(r.log.restores, restore{s.node, s.base})
	}
}

func (r *logReader) hash(node string, h *counter.StateHash) {
	if h != nil {
		r.log.hashes = append(r.log.hashes, stateHash{node, "journal", h.Index, h.Hash})
	}
}

// entry takes an entry, or holds it against what another line said of its index.
func (r *logReader) entry(node string, line journal.Line) {
	known := r.log.at[line.Index]
	if known == nil {
		e := newEntry(node, line)
		if e.bytes == nil {
			r.result.violation("%s: entry %d is no command", node, line.Index)
		}
		r.log.at[line.Index] = e
		return
	}
	switch {
	case known.term != line.Term || !bytes.Equal(known.bytes, line.Command):
		r.result.violation("entry %d is one command (term %d, request %q) on %s and another (term %d, request %q) on %s: one of them was committed and lost, or the nodes disagree",
			line.Index, known.term, known.command.Mutation.RequestID, known.node, line.Term, newEntry(node, line).command.Mutation.RequestID, node)
	case !sameAnswer(known.answer, line):
		r.result.violation("entry %d (request %q) was answered with %s on %s and with %s on %s",
			line.Index, known.command.Mutation.RequestID, answerText(known.answer), known.node, answerText(line), node)
	}
}

func newEntry(node string, line journal.Line) *entry {
	e := &entry{index: line.Index, term: line.Term, node: node, answer: line}
	command, err := fsm.DecodeCommand(line.Command)
	if err != nil {
		return e
	}
	e.bytes, e.command = line.Command, command
	if command.Type == fsm.TypeMutation {
		e.parts = partsOf(command.Mutation.Operations)
	}
	e.answer.Command, e.answer.Hash = nil, nil
	return e
}

func partsOf(operations []counter.Operation) []history.Part {
	parts := make([]history.Part, len(operations))
	for i, o := range operations {
		parts[i] = history.Part{Kind: history.Kind(o.Kind.String()), Group: o.Group, Keys: o.Keys, All: o.All}
		for _, c := range o.Counters {
			parts[i].Counters = append(parts[i].Counters, history.Counter{Key: c.Key, Value: c.Value})
		}
		if o.Condition.Checked {
			parts[i].IfRevision = &o.Condition.ModRevision
		}
	}
	return parts
}

// sameAnswer says that two nodes made the same of an entry.
func sameAnswer(a, b journal.Line) bool {
	same := func(x, y [][]int64) bool { return slices.EqualFunc(x, y, slices.Equal[[]int64]) }
	sameKeys := func(x, y [][]string) bool { return slices.EqualFunc(x, y, slices.Equal[[]string]) }
	return a.Revision == b.Revision && a.Code == b.Code && a.Replayed == b.Replayed && same(a.Values, b.Values) && sameKeys(a.Deleted, b.Deleted)
}

func answerText(line journal.Line) string {
	if line.Code != "" {
		return fmt.Sprintf("%s at %d (replayed: %t)", line.Code, line.Revision, line.Replayed)
	}
	return fmt.Sprintf("%v %v at %d (replayed: %t)", line.Values, line.Deleted, line.Revision, line.Replayed)
}

// finish puts the entries in order, and looks for what a process left out of
// the stretch that it applied: that is how a lost entry shows whose index was
// taken by something else than a command.
func (r *logReader) finish() {
	for _, e := range r.log.at {
		r.log.entries = append(r.log.entries, e)
	}
	slices.SortFunc(r.log.entries, func(a, b *entry) int { return int(int64(a.index - b.index)) })
	for i, e := range r.log.entries {
		if i > 0 && e.term < r.log.entries[i-1].term {
			r.result.violation("entry %d is of term %d, and entry %d before it of term %d", e.index, e.term, r.log.entries[i-1].index, r.log.entries[i-1].term)
		}
	}
	for _, s := range r.segments {
		first, end := r.log.after(s.base), r.log.after(s.last)
		if missing := end - first - s.lines; missing > 0 {
			r.result.violation("%s applied up to entry %d from %d on and left out %d entries that others applied", s.node, s.last, s.base, missing)
		}
	}
}

// after returns the position of the first entry above an index.
func (l *committedLog) after(index uint64) int {
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].index > index })
}

// checkHashes holds the state hashes of all nodes at equal indexes against each other.
func checkHashes(l *committedLog, h *history.History) Result {
	r := newResult("hashes")
	all := slices.Clone(l.hashes)
	for _, shown := range h.Hashes {
		all = append(all, stateHash{shown.What.Node, "status", shown.What.Index, shown.What.Hash})
	}
	first := map[uint64]stateHash{}
	compared := 0
	for _, hash := range all {
		known, found := first[hash.index]
		if !found {
			first[hash.index] = hash
			continue
		}
		compared++
		if known.hash != hash.hash {
			r.violation("at entry %d the state of %s (%s) has the hash %s and that of %s (%s) has %s", hash.index, known.node, known.where, known.hash, hash.node, hash.where, hash.hash)
		}
	}
	if compared == 0 {
		r.unknown("no two hashes are of one index")
	}
	r.Checked = compared
	r.summarize("%d state hashes at %d indexes", len(all), len(first))
	return *r
}
