package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ErrMalformed means that a file is no history: the verdict on the run is unknown.
var ErrMalformed = errors.New("the history is malformed")

// History is a whole run.
type History struct {
	Run Run
	// Operations are in the order of their invocations: the one with number n
	// is at n-1.
	Operations []Operation
	Messages   []Timed[Message]
	Faults     []Timed[Fault]
	Hashes     []Timed[NodeHash]
	// Ended says that the last line is there: the run was not broken off.
	Ended bool
	// Duration is the time of the last line.
	Duration time.Duration
}

// Timed is something that was noted at a time.
type Timed[T any] struct {
	At   time.Duration
	What T
}

// Operation is a request from its invocation to its completion.
type Operation struct {
	ID       uint64
	Process  int
	Op       Op
	Invoked  time.Duration
	Returned time.Duration // meaningless while Outcome is ""
	// Outcome is ok, fail or info, and "" for a request that was under way when
	// the history ended, which is as good as info.
	Outcome Type
	Reply   Reply
}

// Unknown says that nobody knows what the request did.
func (o *Operation) Unknown() bool { return o.Outcome == TypeInfo || o.Outcome == "" }

// OK says that the request did what it asked for.
func (o *Operation) OK() bool { return o.Outcome == TypeOK }

// Load reads the history at path. Errors wrap ErrMalformed where the file was
// read and makes no sense.
func Load(path string) (*History, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load the history: %w", err)
	}
	defer file.Close()
	return Decode(file)
}

// Decode reads a history and holds it against its grammar: times never go back,
// a process has one request at a time, and each completion belongs to an
// invocation of its process.
func Decode(r io.Reader) (*History, error) {
	d := decoder{busy: map[int]uint64{}}
	err := Lines(r, func(e Entry) error { return d.add(e) })
	if err != nil {
		return nil, err
	}
	return &d.history, nil
}

// Collect makes a history of entries, and holds it against its grammar as Decode does.
func Collect(entries []Entry) (*History, error) {
	d := decoder{busy: map[int]uint64{}}
	for at, e := range entries {
		if err := d.add(e); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrMalformed, at+1, err)
		}
	}
	return &d.history, nil
}

// Save writes entries to a new file at path, as Load reads them.
func Save(path string, entries []Entry) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("save the history: %w", err)
	}
	buffer := bufio.NewWriterSize(file, 64<<10)
	encoder := json.NewEncoder(buffer)
	for _, e := range entries {
		if err := encoder.Encode(e); err != nil {
			return errors.Join(fmt.Errorf("save the history: %w", err), file.Close())
		}
	}
	return errors.Join(buffer.Flush(), file.Close())
}

// Lines calls f with each line of a history, in order, and stops at the first error.
func Lines(r io.Reader, f func(Entry) error) error {
	buffered := bufio.NewReaderSize(r, 1<<20)
	for number := 1; ; number++ {
		line, err := buffered.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the history: %w", err)
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrMalformed, number, err)
		}
		if err := f(e); err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrMalformed, number, err)
		}
	}
}

type decoder struct {
	history History
	busy    map[int]uint64 // the request that each process has under way
}

func (d *decoder) add(e Entry) error {
	h := &d.history
	switch {
	case e.Time < h.Duration:
		return fmt.Errorf("time goes back from %d to %d", h.Duration, e.Time)
	case h.Ended:
		return errors.New("it comes after the last line")
	}
	h.Duration = e.Time
	switch {
	case e.Type == TypeRun && e.Run != nil:
		h.Run = *e.Run
	case e.Type == TypeInvoke && e.Op != nil:
		return d.invoke(e)
	case (e.Type == TypeOK || e.Type == TypeFail || e.Type == TypeInfo) && e.Reply != nil:
		return d.complete(e)
	case e.Type == TypeMessage && e.Message != nil:
		h.Messages = append(h.Messages, Timed[Message]{e.Time, *e.Message})
	case e.Type == TypeFault && e.Fault != nil:
		h.Faults = append(h.Faults, Timed[Fault]{e.Time, *e.Fault})
	case e.Type == TypeHash && e.Hash != nil:
		h.Hashes = append(h.Hashes, Timed[NodeHash]{e.Time, *e.Hash})
	case e.Type == TypeEnd:
		h.Ended = true
	default:
		return fmt.Errorf("a line of type %q lacks what makes it one", e.Type)
	}
	return nil
}

func (d *decoder) invoke(e Entry) error {
	h := &d.history
	if e.ID != uint64(len(h.Operations))+1 {
		return fmt.Errorf("invocation %d comes after %d", e.ID, len(h.Operations))
	}
	if other := d.busy[e.Process]; other != 0 {
		return fmt.Errorf("process %d invokes %d while %d is under way", e.Process, e.ID, other)
	}
	if err := e.Op.check(); err != nil {
		return err
	}
	d.busy[e.Process] = e.ID
	h.Operations = append(h.Operations, Operation{ID: e.ID, Process: e.Process, Op: *e.Op, Invoked: e.Time})
	return nil
}

// check says why an operation makes no sense.
func (o *Op) check() error {
	if len(o.Parts) == 0 || o.Kind != Batch && len(o.Parts) != 1 {
		return fmt.Errorf("a %s of %d parts", o.Kind, len(o.Parts))
	}
	for _, p := range o.Parts {
		if o.Kind != Batch && p.Kind != o.Kind || o.Kind == Batch && p.Kind.IsRead() {
			return fmt.Errorf("a %s with a part that is a %s", o.Kind, p.Kind)
		}
		if !p.Kind.IsRead() && p.Kind != Delete && len(p.Counters) == 0 {
			return fmt.Errorf("a %s of no counters", p.Kind)
		}
	}
	return nil
}

func (d *decoder) complete(e Entry) error {
	h := &d.history
	if e.ID == 0 || e.ID > uint64(len(h.Operations)) || d.busy[e.Process] != e.ID {
		return fmt.Errorf("process %d completes %d, which it has not under way", e.Process, e.ID)
	}
	o := &h.Operations[e.ID-1]
	if e.Type == TypeOK && len(e.Reply.Outcomes) != len(o.Op.Parts) {
		return fmt.Errorf("%d outcomes for the %d parts of %d", len(e.Reply.Outcomes), len(o.Op.Parts), e.ID)
	}
	o.Outcome, o.Returned, o.Reply = e.Type, e.Time, *e.Reply
	delete(d.busy, e.Process)
	if e.Type == TypeInfo {
		// It may still take effect, so the process may not go on.
		d.busy[e.Process] = e.ID
	}
	return nil
}
