package journal_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
	"tally/jepsen-lite/journal"
)

func mutation(requestID string, kind counter.Kind, key string, value int64) []byte {
	o := counter.Operation{Kind: kind, Group: "g", Counters: []counter.Counter{{Key: key, Value: value}}}
	if kind == counter.Delete {
		o.Counters, o.Keys = nil, []string{key}
	}
	c := fsm.Command{Type: fsm.TypeMutation, TimeMs: 1, Mutation: counter.Mutation{RequestID: requestID, Operations: []counter.Operation{o}}}
	return c.Append(nil)
}

func entry(index uint64, data []byte) *raft.Log {
	return &raft.Log{Index: index, Term: 2, Type: raft.LogCommand, Data: data}
}

func open(t *testing.T, path string, pid int) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func read(t *testing.T, path string) []journal.Line {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []journal.Line
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		var line journal.Line
		if json.Unmarshal(scanner.Bytes(), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestObserve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n1.jsonl")
	machine := fsm.NewMachine(fsm.Config{})
	driven := open(t, path, 11).Observe(machine).(raft.BatchingFSM)
	driven.ApplyBatch([]*raft.Log{
		entry(5, mutation("1", counter.Increase, "a", 7)),
		{Index: 6, Term: 2, Type: raft.LogConfiguration},
		entry(7, mutation("2", counter.Increase, "a", 1<<63-1)),
		entry(8, mutation("3", counter.Delete, "a", 0)),
	})
	lines := read(t, path)
	if len(lines) != 4 || lines[0].Start != 11 {
		t.Fatalf("the journal has %+v", lines)
	}
	if l := lines[1]; l.Index != 5 || l.Term != 2 || l.Revision != 5 || l.Values[0][0] != 7 || l.Code != "" || l.Hash != nil ||
		!bytes.Equal(l.Command, mutation("1", counter.Increase, "a", 7)) {
		t.Errorf("the increase is %+v", l)
	}
	if l := lines[2]; l.Index != 7 || l.Code != counter.OutOfRange || l.Revision != 7 || l.Values != nil {
		t.Errorf("the refusal is %+v", l)
	}
	if l := lines[3]; l.Index != 8 || l.Deleted[0][0] != "a" || l.Hash == nil || *l.Hash != machine.StateHash() {
		t.Errorf("the delete is %+v", l)
	}
}

// sink is a raft.SnapshotSink in memory.
type sink struct{ bytes.Buffer }

func (*sink) ID() string    { return "memory" }
func (*sink) Cancel() error { return nil }
func (*sink) Close() error  { return nil }

func TestRestoreIsWritten(t *testing.T) {
	from := fsm.NewMachine(fsm.Config{})
	from.Apply(entry(5, mutation("1", counter.Increase, "a", 7)))
	snapshot, err := from.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var s sink
	if err := snapshot.Persist(&s); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "n1.jsonl")
	driven := open(t, path, 11).Observe(fsm.NewMachine(fsm.Config{}))
	if err := driven.Restore(io.NopCloser(bytes.NewReader([]byte("no snapshot")))); err == nil {
		t.Error("rubbish is restored")
	}
	if err := driven.Restore(io.NopCloser(&s)); err != nil {
		t.Fatal(err)
	}
	lines := read(t, path)
	if len(lines) != 2 || lines[1].Restored == nil || *lines[1].Restored != from.StateHash() {
		t.Errorf("the journal has %+v", lines)
	}
}

// A killed process leaves a line that is not whole; the next one must not go on in it.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n1.jsonl")
	open(t, path, 11).Observe(fsm.NewMachine(fsm.Config{})).Apply(entry(5, mutation("1", counter.Increase, "a", 7)))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-20], 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, path, 12)
	if lines := read(t, path); len(lines) != 2 || lines[0].Start != 11 || lines[1].Start != 12 {
		t.Errorf("the journal has %+v", lines)
	}
}

func TestSkewedClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	clock := journal.SkewedClock(path)
	wait := func(want time.Duration) {
		t.Helper()
		const near = 30 * time.Second
		for deadline := time.Now().Add(10 * time.Second); (time.Until(clock()) - want).Abs() > near; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the clock is wrong by %v, want %v", time.Until(clock()), want)
			}
		}
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wait(0)
	write("3600000\n")
	wait(time.Hour)
	write("-86400000")
	wait(-24 * time.Hour)
	write("soon")
	wait(-24 * time.Hour)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wait(0)
}
