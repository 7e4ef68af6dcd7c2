package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Clock tells the time since the run began. It must be monotonic, and the same
// for everybody who writes to one history.
type Clock func() time.Duration

// NewClock returns a clock that begins now.
func NewClock() Clock {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// Recorder writes a history. Its methods may be called from anywhere. The first
// error of the file is kept: from then on nothing is recorded, Invoke returns
// the error, and so does Close.
type Recorder struct {
	clock Clock

	mu        sync.Mutex
	entries   []Entry  // what was recorded, where there is no file
	file      *os.File // nil: in memory
	buffer    *bufio.Writer
	ids       uint64 // invocations so far
	processes int    // processes so far
	err       error
}

// Open creates the file at path, which must not exist.
func Open(path string, clock Clock) (*Recorder, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	return &Recorder{clock: clock, file: file, buffer: bufio.NewWriterSize(file, 64<<10)}, nil
}

// OpenMemory returns a recorder without a file: what it records is in Entries. For
// runs that are over within seconds, and of which nobody reads the valid ones.
func OpenMemory(clock Clock) *Recorder { return &Recorder{clock: clock} }

// Entries returns what a recorder without a file has recorded.
func (r *Recorder) Entries() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.entries)
}

// NewProcess returns a process that never was, from 1.
func (r *Recorder) NewProcess() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes++
	return r.processes
}

// Begin writes the first line.
func (r *Recorder) Begin(run Run) { r.write(Entry{Type: TypeRun, Run: &run}) }

// Invoke writes that a process is about to send a request, and returns the
// number of the invocation when the line has left this program. After an error
// nothing may be sent.
func (r *Recorder) Invoke(process int, op Op) (id uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids++
	r.writeLocked(Entry{Type: TypeInvoke, Process: process, ID: r.ids, Op: &op})
	r.flushLocked()
	return r.ids, r.err
}

// Complete writes what came of an invocation: ok, fail or info.
func (r *Recorder) Complete(process int, id uint64, outcome Type, reply Reply) {
	r.write(Entry{Type: outcome, Process: process, ID: id, Reply: &reply})
}

// Message writes what a watcher was told.
func (r *Recorder) Message(m Message) { r.write(Entry{Type: TypeMessage, Message: &m}) }

// Fault writes the begin or the end of a fault.
func (r *Recorder) Fault(f Fault) { r.write(Entry{Type: TypeFault, Fault: &f}) }

// Hash writes what a node said of its state.
func (r *Recorder) Hash(h NodeHash) { r.write(Entry{Type: TypeHash, Hash: &h}) }

// Err returns the first error of the file.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Close writes the last line and closes the file. A history without that line
// is of a run that was broken off.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writeLocked(Entry{Type: TypeEnd})
	return r.closeLocked()
}

// Abandon closes the file of a run that was broken off, without a last line: what
// was recorded is there, and may show a violation all the same. After Close it
// does nothing.
func (r *Recorder) Abandon() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closeLocked()
}

func (r *Recorder) closeLocked() error {
	if errors.Is(r.err, os.ErrClosed) {
		return nil
	}
	r.flushLocked()
	err := r.err
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
	}
	r.err = os.ErrClosed
	return err
}

func (r *Recorder) flushLocked() {
	if r.err == nil && r.file != nil {
		r.err = r.buffer.Flush()
	}
}

func (r *Recorder) write(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writeLocked(e)
}

// writeLocked takes the time under the lock, so that the lines of the file are
// in the order of their times.
func (r *Recorder) writeLocked(e Entry) {
	if r.err != nil {
		return
	}
	e.Time = r.clock()
	if r.file == nil {
		r.entries = append(r.entries, e)
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = r.buffer.Write(append(line, '\n'))
	}
	r.err = err
}
