package checker_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
)

// world makes the folder of a run without a cluster: three state machines are
// fed one log, with journals, and a history tells of clients who asked for it.
// Everything in it is right. Tests then falsify the files.
type world struct {
	t        testing.TB
	dir      string
	recorder *history.Recorder
	now      time.Duration
	process  int

	machines []*fsm.Machine
	driven   []raft.FSM
	index    uint64
	told     []history.Event // every event there was
}

// startMs is the log time at the begin of the run.
const startMs = 1_764_000_000_000

func newWorld(t testing.TB) *world {
	w := &world{t: t, dir: t.TempDir()}
	must(t, os.Mkdir(filepath.Join(w.dir, checker.JournalsDir), 0o755))
	recorder, err := history.Open(filepath.Join(w.dir, checker.HistoryFile), func() time.Duration { w.now += 100 * time.Microsecond; return w.now })
	must(t, err)
	w.recorder = recorder
	w.recorder.Begin(history.Run{Seed: 1, Nodes: nodeIDs()})
	for i, id := range nodeIDs() {
		j, err := journal.Open(w.journalPath(id), i+1)
		must(t, err)
		t.Cleanup(func() { _ = j.Close() })
		config := fsm.Config{}
		if i == 0 {
			config.Publisher = w
		}
		machine := fsm.NewMachine(config)
		w.machines = append(w.machines, machine)
		w.driven = append(w.driven, j.Observe(machine))
	}
	w.apply(fsm.Command{Type: fsm.TypeTerm, ClusterID: "c"})
	return w
}

func nodeIDs() []string { return []string{"n1", "n2", "n3"} }

func (w *world) journalPath(id string) string {
	return filepath.Join(w.dir, checker.JournalsDir, id+".jsonl")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Publish notes the events, as the hub of a node does.
func (w *world) Publish(_ uint64, events []counter.Event) {
	for _, e := range events {
		event := history.Event{Revision: e.Revision, Type: e.Kind.String(), Group: e.Group, Key: e.Key, User: e.User, TimeMs: e.TimeMs}
		if e.Kind != counter.Delete {
			event.Value = &e.Value
		}
		if e.Kind == counter.Increase || e.Kind == counter.Decrease {
			event.Delta = &e.Delta
		}
		w.told = append(w.told, event)
	}
}

func (w *world) Restored(uint64) {}

// nowMs is log time.
func (w *world) nowMs() int64 { return startMs + w.now.Milliseconds() }

// apply commits a command on all nodes.
func (w *world) apply(command fsm.Command) *fsm.Applied {
	w.index++
	command.TimeMs = w.nowMs()
	data := command.Append(nil)
	var applied *fsm.Applied
	for _, driven := range w.driven {
		applied = driven.Apply(&raft.Log{Index: w.index, Term: 1, Type: raft.LogCommand, Data: data}).(*fsm.Applied)
	}
	return applied
}

// invoke writes an invocation by a process that never was.
func (w *world) invoke(op history.Op) (id uint64) {
	w.process++
	if op.Node == "" {
		op.Node = nodeIDs()[w.process%3]
	}
	id, err := w.recorder.Invoke(w.process, op)
	must(w.t, err)
	return id
}

// commit puts a request into the log.
func (w *world) commit(id uint64, op history.Op) *fsm.Applied {
	m := counter.Mutation{Batch: op.Kind == history.Batch, Caller: counter.Caller{User: op.User}, RequestID: strconv.FormatUint(id, 10), IdempotencyKey: op.Key}
	for _, p := range op.Parts {
		kind, _ := counter.ParseKind(string(p.Kind))
		o := counter.Operation{Kind: kind, Group: p.Group, Keys: p.Keys, All: p.All}
		for _, c := range p.Counters {
			o.Counters = append(o.Counters, counter.Counter{Key: c.Key, Value: c.Value})
		}
		if p.IfRevision != nil {
			o.Condition = counter.Condition{Checked: true, ModRevision: *p.IfRevision}
		}
		m.Operations = append(m.Operations, o)
	}
	return w.apply(fsm.Command{Type: fsm.TypeMutation, Mutation: m})
}

// reply writes what came of a request that was decided.
func (w *world) reply(process int, id uint64, applied *fsm.Applied) {
	if refusal := applied.Err; refusal != nil {
		info := refusal.Code.Info()
		w.recorder.Complete(process, id, history.TypeFail, history.Reply{Status: info.Status, Code: string(info.Code), Definite: info.Definite, Revision: refusal.Revision})
		return
	}
	reply := history.Reply{Status: 200, Revision: applied.Result.Revision, Replayed: applied.Result.Replayed}
	for _, o := range applied.Result.Outcomes {
		outcome := history.Outcome{Group: o.Group, Deleted: o.Deleted}
		for _, c := range o.Counters {
			outcome.Counters = append(outcome.Counters, history.Counter{Key: c.Key, Value: c.Value})
		}
		reply.Outcomes = append(reply.Outcomes, outcome)
	}
	w.recorder.Complete(process, id, history.TypeOK, reply)
}

// change makes a change from beginning to end.
func (w *world) change(op history.Op) {
	id := w.invoke(op)
	process := w.process
	w.reply(process, id, w.commit(id, op))
}

// unknown makes a change that nobody hears of.
func (w *world) unknown(op history.Op, committed bool) {
	id := w.invoke(op)
	if committed {
		w.commit(id, op)
	}
	w.recorder.Complete(w.process, id, history.TypeInfo, history.Reply{Error: "the connection broke"})
}

func (w *world) read(op history.Op) {
	id := w.invoke(op)
	part := op.Parts[0]
	reading := w.machines[0].Read(part.Group, part.Keys)
	w.recorder.Complete(w.process, id, history.TypeOK, history.Reply{Status: 200, Revision: reading.Revision, ModRevision: reading.ModRevision,
		Outcomes: []history.Outcome{{Group: part.Group, Counters: countersOf(reading.Counters)}}})
}

// readEmpty is answered by a node that has applied nothing yet.
func (w *world) readEmpty(op history.Op) {
	id := w.invoke(op)
	w.recorder.Complete(w.process, id, history.TypeOK, history.Reply{Status: 200, Outcomes: []history.Outcome{{Group: op.Parts[0].Group}}})
}

func countersOf(list []counter.Counter) []history.Counter {
	var counters []history.Counter
	for _, c := range list {
		counters = append(counters, history.Counter{Key: c.Key, Value: c.Value})
	}
	return counters
}

// The requests that a test sends, short to write.

func part(kind history.Kind, group string, counters ...history.Counter) history.Part {
	return history.Part{Kind: kind, Group: group, Counters: counters}
}

func by(key string, value int64) history.Counter { return history.Counter{Key: key, Value: value} }

func op(workload string, p history.Part) history.Op {
	return history.Op{Workload: workload, Kind: p.Kind, Parts: []history.Part{p}}
}

func keyed(o history.Op, key string) history.Op {
	o.Key = key
	return o
}

// keyAt returns a UUIDv7 of a time.
func keyAt(ms int64, number int) string {
	text := fmt.Sprintf("%012x", ms)
	return fmt.Sprintf("%s-%s-7000-8000-%012x", text[:8], text[8:], number)
}

// populate makes a run in which everything occurs, and which is valid.
func (w *world) populate() {
	for i := range 12 {
		n := int64(i)
		zero, wrong := uint64(0), uint64(999_999)
		conditional := part(history.Set, "register-0", by("r", n))
		if conditional.IfRevision = &wrong; i == 0 {
			conditional.IfRevision = &zero
		}
		w.change(op("register", conditional))
		w.change(op("register", part(history.Set, "register-0", by("r", n))))
		w.read(op("register", part(history.Read, "register-0")))
		w.change(op("counter", part(history.Increase, "counter-0", by("c", 3))))
		w.read(op("counter", part(history.Read, "counter-0")))
		w.readEmpty(op("counter", part(history.Stale, "counter-0")))
		w.change(op("counter", part(history.Decrease, "counter-0", by("c", 1))))
		w.change(op("ticket", part(history.Increase, "ticket-0", by("next", 1))))
		w.change(op("several", part(history.Increase, "several-0", by("b", -n), by("a", n))))
		w.read(op("several", history.Part{Kind: history.Read, Group: "several-0", Keys: []string{"a", "none"}}))
		w.change(history.Op{Workload: "batch", Kind: history.Batch, Parts: []history.Part{part(history.Decrease, "batch-0.x", by("a", 1)), part(history.Increase, "batch-0.y", by("a", 1))}})
		w.change(op("edges", part(history.Increase, "edges-0", by("e", 1<<62))))
		w.change(op("edges", history.Part{Kind: history.Delete, Group: "edges-0", All: i%5 == 4, Keys: [][]string{{"e"}, nil}[i%5/4]}))
		limited := op("limit", part(history.Increase, "limit-0", by("user-1", 1)))
		limited.User = "user-1"
		w.change(limited)
		w.retries(i)
		w.watched(n)
	}
	w.unknown(op("ticket", part(history.Increase, "ticket-0", by("next", 1))), true)
	w.unknown(op("ticket", part(history.Increase, "ticket-0", by("next", 1))), false)
	w.refused()
}

// retries sends requests with keys several times.
func (w *world) retries(i int) {
	increase := op("retry", part(history.Increase, "retry-0", by("k", int64(1+i))))
	timed, bare := keyed(increase, keyAt(w.nowMs(), i)), keyed(increase, fmt.Sprintf("bare-%d", i))
	for range 2 {
		w.change(timed)
		w.change(bare)
	}
	if i == 0 {
		w.unknown(keyed(increase, keyAt(w.nowMs(), 1000)), true)
	}
}

// watched changes what is watched.
func (w *world) watched(n int64) {
	w.change(op("watch", part(history.Increase, "watch-a", by("k0", n), by("k1", 1))))
	w.change(op("watch", part(history.Set, "watch-b", by("k0", n))))
	w.change(op("watch", part(history.Decrease, "watch-a", by("k1", 1))))
	w.change(history.Op{Workload: "watch", Kind: history.Delete, Parts: []history.Part{{Kind: history.Delete, Group: "watch-a", Keys: []string{"k0", "none"}}}})
}

// refused is answered by a node that does not lead, and by the call limit.
func (w *world) refused() {
	id := w.invoke(op("counter", part(history.Increase, "counter-0", by("c", 1))))
	w.recorder.Complete(w.process, id, history.TypeFail, history.Reply{Status: 503, Code: "no_leader", Definite: true})
	limited := op("limit", part(history.Increase, "limit-0", by("user-1", 1)))
	limited.User = "user-1"
	id = w.invoke(limited)
	w.recorder.Complete(w.process, id, history.TypeFail, history.Reply{Status: 429, Code: "rate_limited", Definite: true})
}

// tell lets watchers of one group and of two have what there was: each begins
// with a reset at the beginning, and one is given another in the middle.
func (w *world) tell() {
	whole := func(groups ...string) []history.Part {
		var parts []history.Part
		for _, g := range groups {
			parts = append(parts, history.Part{Kind: history.Read, Group: g})
		}
		return parts
	}
	w.tellOne("poll-1", whole("watch-a"))
	w.tellOne("poll-2", []history.Part{{Kind: history.Read, Group: "watch-a", Keys: []string{"k0"}}})
	m := history.Message{Watcher: "groupPoll-3", Node: "n1", Form: history.GroupPoll, Watch: whole("watch-a", "watch-b"), Position: "cursor-0"}
	for _, g := range []string{"watch-a", "watch-b"} {
		m.Events = append(m.Events, history.Event{Type: "reset", Group: g, Revision: 1})
	}
	w.recorder.Message(m)
	m = history.Message{Watcher: m.Watcher, Node: "n2", Form: m.Form, After: "cursor-0", Position: "cursor-1", Events: w.of("watch-a", "watch-b")}
	w.recorder.Message(m)
	w.recorder.Message(history.Message{Watcher: m.Watcher, Node: "n2", Form: m.Form, After: "cursor-1", Position: "cursor-1", Final: true})
}

// of returns all events of the groups.
func (w *world) of(groups ...string) []history.Event {
	var events []history.Event
	for _, e := range w.told {
		for _, g := range groups {
			if e.Group == g {
				events = append(events, e)
			}
		}
	}
	return events
}

// tellOne tells a watcher of one group of one revision after the other.
func (w *world) tellOne(name string, watch []history.Part) {
	m := history.Message{Watcher: name, Node: "n1", Form: history.Poll, Watch: watch, Position: "1",
		Events: []history.Event{{Type: "reset", Group: watch[0].Group, Revision: 1}}}
	w.recorder.Message(m)
	m.Watch = nil
	for _, e := range w.of(watch[0].Group) {
		if len(watch[0].Keys) > 0 && e.Key != watch[0].Keys[0] {
			continue
		}
		if position := strconv.FormatUint(e.Revision, 10); position != m.Position || len(m.Events) == 0 {
			if m.Events != nil && m.Position != "1" {
				w.recorder.Message(m)
			}
			m.After, m.Position, m.Events = "", position, nil
		}
		m.Events = append(m.Events, e)
	}
	w.recorder.Message(m)
	w.recorder.Message(history.Message{Watcher: name, Node: "n3", Form: history.Poll, After: m.Position, Position: strconv.FormatUint(w.index, 10), Final: true})
}

// finish makes the end of the run.
func (w *world) finish() {
	w.recorder.Fault(history.Fault{Kind: "kill-leader", Phase: history.Begin, Targets: []string{"n1"}})
	w.recorder.Fault(history.Fault{Kind: "kill-leader", Phase: history.End, Targets: []string{"n1"}, Proof: "n2 leads"})
	for _, id := range nodeIDs() {
		final := op("final", part(history.Increase, "final-0", by(id, 1)))
		final.Node, final.Final = id, true
		w.change(final)
	}
	w.tell()
	for i, id := range nodeIDs() {
		for _, group := range []string{"retry-0", "counter-0", "final-0"} {
			final := op("final", part(history.Read, group))
			final.Node, final.Final = id, true
			w.read(final)
		}
		hash := w.machines[i].StateHash()
		w.recorder.Hash(history.NodeHash{Node: id, Index: hash.Index, Hash: hash.Hash, Final: true})
	}
	must(w.t, w.recorder.Close())
}

// files is a run's folder, to be falsified line by line.
type files struct {
	t        testing.TB
	dir      string
	history  []history.Entry
	journals map[string][]journal.Line
}

func (w *world) files() *files {
	f := &files{t: w.t, dir: w.dir, journals: map[string][]journal.Line{}}
	f.history = readLines[history.Entry](w.t, filepath.Join(w.dir, checker.HistoryFile))
	for _, id := range nodeIDs() {
		f.journals[id] = readLines[journal.Line](w.t, w.journalPath(id))
	}
	return f
}

func readLines[T any](t testing.TB, path string) []T {
	data, err := os.ReadFile(path)
	must(t, err)
	var lines []T
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		var line T
		must(t, json.Unmarshal(scanner.Bytes(), &line))
		lines = append(lines, line)
	}
	return lines
}

func writeLines[T any](t testing.TB, path string, lines []T) {
	var out []byte
	for _, line := range lines {
		text, err := json.Marshal(line)
		must(t, err)
		out = append(append(out, text...), '\n')
	}
	must(t, os.WriteFile(path, out, 0o644))
}

// check writes the files back and checks the run.
func (f *files) check(config checker.Config) checker.Verdict {
	f.t.Helper()
	writeLines(f.t, filepath.Join(f.dir, checker.HistoryFile), f.history)
	for id, lines := range f.journals {
		writeLines(f.t, filepath.Join(f.dir, checker.JournalsDir, id+".jsonl"), lines)
	}
	verdict, err := checker.Check(f.dir, config)
	must(f.t, err)
	return verdict
}

// invocation returns the line of the nth invocation that is of a group and kind, and that of
// its completion.
func (f *files) invocation(kind history.Kind, group string, nth int) (invoked, completed *history.Entry) {
	f.t.Helper()
	for i := range f.history {
		e := &f.history[i]
		if e.Type != history.TypeInvoke || e.Op.Kind != kind || e.Op.Parts[0].Group != group {
			continue
		}
		if nth--; nth >= 0 {
			continue
		}
		for k := range f.history {
			if c := &f.history[k]; c.Reply != nil && c.ID == e.ID {
				return e, c
			}
		}
	}
	f.t.Fatalf("there is no such %s of %s", kind, group)
	return nil, nil
}

// entries calls change with the lines of the entry at an index, on every node.
func (f *files) entries(index uint64, change func(*journal.Line)) {
	for id := range f.journals {
		f.entry(id, index, change)
	}
}

func (f *files) entry(node string, index uint64, change func(*journal.Line)) {
	f.t.Helper()
	for i := range f.journals[node] {
		if f.journals[node][i].Index == index {
			change(&f.journals[node][i])
			return
		}
	}
	f.t.Fatalf("%s has no entry %d", node, index)
}

// remove takes an entry out of the journals of the nodes.
func (f *files) remove(index uint64, nodes ...string) {
	for _, id := range nodes {
		for i, line := range f.journals[id] {
			if line.Index == index {
				f.journals[id] = append(f.journals[id][:i:i], f.journals[id][i+1:]...)
				break
			}
		}
	}
}

// message returns the nth message of a watcher.
func (f *files) message(watcher string, nth int) *history.Message {
	f.t.Helper()
	for i := range f.history {
		if m := f.history[i].Message; m != nil && m.Watcher == watcher {
			if nth--; nth < 0 {
				return m
			}
		}
	}
	f.t.Fatalf("%s has no such message", watcher)
	return nil
}

// recoded returns a line whose command is another.
func recoded(t testing.TB, line journal.Line, change func(*fsm.Command)) []byte {
	command, err := fsm.DecodeCommand(line.Command)
	must(t, err)
	change(&command)
	return command.Append(nil)
}
