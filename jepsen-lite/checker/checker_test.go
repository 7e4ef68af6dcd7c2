package checker_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tally/counter"
	"tally/fsm"
	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
)

func goodRun(t testing.TB) *files {
	w := newWorld(t)
	w.populate()
	w.finish()
	return w.files()
}

func TestGoodRun(t *testing.T) {
	verdict := goodRun(t).check(checker.Config{})
	for _, r := range verdict.Results {
		t.Logf("%-10s %-8s %s", r.Name, r.Outcome, r.Summary)
		if r.Checked == 0 {
			t.Errorf("%s looked at nothing", r.Name)
		}
	}
	if err := verdict.Err(); err != nil || verdict.Outcome != checker.Valid {
		t.Errorf("a run in which everything is right is %s: %v", verdict.Outcome, err)
	}
}

// Each of these falsifies one thing in a valid run. The checks that are named
// must notice; what others make of it is up to them.
func TestFalsified(t *testing.T) {
	for _, test := range []struct {
		name    string
		falsify func(t *testing.T, f *files)
		noticed []string
	}{
		{"a stale read", staleRead, []string{"real time", "linear"}},
		{"a read of what was never there", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "register-0", 5)
			c.Reply.Outcomes[0].Counters[0].Value = 77
		}, []string{"replay", "linear"}},
		{"a read that misses a counter", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "register-0", 5)
			c.Reply.Outcomes[0].Counters = nil
		}, []string{"replay", "linear"}},
		{"a read with another modRevision", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "register-0", 5)
			c.Reply.ModRevision--
		}, []string{"replay", "linear"}},
		{"a lost acknowledged write", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "counter-0", 4)
			f.remove(c.Reply.Revision, nodeIDs()...)
		}, []string{"replay"}},
		{"an acknowledged write whose place another has", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "counter-0", 4)
			_, other := f.invocation(history.Increase, "ticket-0", 4)
			c.Reply.Revision = other.Reply.Revision
		}, []string{"replay"}},
		{"a write that is applied twice", func(t *testing.T, f *files) {
			again(t, f, "counter-0")
		}, []string{"replay"}},
		{"a write that nobody asked for", func(t *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "counter-0", 4)
			f.entries(c.Reply.Revision, func(line *journal.Line) {
				line.Command = recoded(t, *line, func(c *fsm.Command) { c.Mutation.RequestID = "made-up" })
			})
		}, []string{"replay"}},
		{"a write that is changed on the way", func(t *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "counter-0", 4)
			f.entries(c.Reply.Revision, func(line *journal.Line) {
				line.Command = recoded(t, *line, func(c *fsm.Command) { c.Mutation.Operations[0].Counters[0].Value++ })
			})
		}, []string{"replay"}},
		{"fail instead of info", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "ticket-0", 12)
			c.Type, c.Reply.Code, c.Reply.Definite = history.TypeFail, "no_leader", true
		}, []string{"replay"}},
		{"a refusal of what was done", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "counter-0", 4)
			c.Type, c.Reply.Code, c.Reply.Outcomes = history.TypeFail, "out_of_range", nil
		}, []string{"replay"}},
		{"success of what was refused", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Set, "register-0", 2) // conditional
			c.Type, c.Reply.Code = history.TypeOK, ""
			c.Reply.Outcomes = []history.Outcome{{Group: "register-0", Counters: []history.Counter{by("r", 1)}}}
		}, []string{"replay", "linear"}},
		{"a wrong answer to a write", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Batch, "batch-0.x", 0)
			c.Reply.Outcomes[1].Counters[0].Value++
		}, []string{"replay", "linear"}},
		{"a value that wrapped around", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "edges-0", 0)
			f.entries(c.Reply.Revision, func(line *journal.Line) { line.Values = [][]int64{{-1 << 63}} })
		}, []string{"replay"}},
		{"half a batch", func(t *testing.T, f *files) {
			_, c := f.invocation(history.Batch, "batch-0.x", 3)
			f.entries(c.Reply.Revision, func(line *journal.Line) { line.Values[1][0]-- })
		}, []string{"replay"}},
		{"a node that answers otherwise", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "ticket-0", 3)
			f.entry("n2", c.Reply.Revision, func(line *journal.Line) { line.Values[0][0]++ })
		}, []string{"journals"}},
		{"a node with another entry", func(t *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "ticket-0", 3)
			f.entry("n3", c.Reply.Revision, func(line *journal.Line) {
				line.Command = recoded(t, *line, func(c *fsm.Command) { c.Mutation.Operations[0].Counters[0].Value = 5 })
			})
		}, []string{"journals"}},
		{"a node that left out an entry", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "ticket-0", 3)
			f.remove(c.Reply.Revision, "n2")
		}, []string{"journals"}},
		{"a node whose snapshot left out an entry", func(_ *testing.T, f *files) {
			lines := f.journals["n2"]
			restored := journal.Line{Restored: &counter.StateHash{Index: lines[9].Index, Hash: lines[9].Hash.Hash}}
			f.journals["n2"] = append([]journal.Line{lines[0], restored}, lines[11:]...)
		}, []string{"journals"}},
		{"a node that went back", func(_ *testing.T, f *files) {
			lines := f.journals["n2"]
			restored := journal.Line{Restored: &counter.StateHash{Index: lines[9].Index, Hash: lines[9].Hash.Hash}}
			f.journals["n2"] = append(slices.Clone(lines), restored)
		}, []string{"journals"}},
		{"an entry applied twice", func(_ *testing.T, f *files) {
			f.journals["n2"] = append(f.journals["n2"], f.journals["n2"][20])
		}, []string{"journals"}},
		{"a term that goes back", func(_ *testing.T, f *files) {
			f.entries(30, func(line *journal.Line) { line.Term = 9 })
		}, []string{"journals"}},
		{"a node in another state", func(_ *testing.T, f *files) {
			f.entry("n3", 40, func(line *journal.Line) { line.Hash.Hash = "0000000000000000" })
		}, []string{"hashes"}},
		{"a snapshot with another state", func(_ *testing.T, f *files) {
			lines := f.journals["n2"]
			restored := journal.Line{Restored: &counter.StateHash{Index: lines[9].Index, Hash: "00"}}
			f.journals["n2"] = append([]journal.Line{lines[0], restored}, lines[10:]...)
		}, []string{"hashes"}},
		{"a node that shows another state", func(_ *testing.T, f *files) {
			for i := range f.history {
				if h := f.history[i].Hash; h != nil && h.Node == "n2" {
					h.Hash = "0000000000000000"
				}
			}
		}, []string{"hashes"}},
		{"a number given twice", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "ticket-0", 4)
			c.Reply.Outcomes[0].Counters[0].Value--
		}, []string{"tickets", "replay", "linear"}},
		{"a number out of order", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "ticket-0", 4)
			c.Reply.Outcomes[0].Counters[0].Value = -4
		}, []string{"tickets"}},
		{"a counter above everything sent", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "counter-0", 4)
			c.Reply.Outcomes[0].Counters[0].Value = 10_000
		}, []string{"bounds"}},
		{"a counter below everything acknowledged", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "counter-0", 4)
			c.Reply.Outcomes[0].Counters[0].Value -= 1
		}, []string{"bounds"}},
		{"a counter that is gone", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "counter-0", 4)
			c.Reply.Outcomes[0].Counters = nil
		}, []string{"bounds"}},
		{"another answer to a repeated request", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "retry-0", 2)
			c.Reply.Outcomes[0].Counters[0].Value++
		}, []string{"once", "replay"}},
		{"a repeated request whose answer passes for a new one", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "retry-0", 2) // the second attempt
			c.Reply.Replayed = false
		}, []string{"replay"}},
		{"a repeated request that is executed again", func(t *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "retry-0", 2) // the second attempt, replayed
			executeAgain(f, c)
		}, []string{"replay", "once"}},
		{"a repeated request without a time that is executed again at once", func(t *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "retry-0", 3)
			executeAgain(f, c)
		}, []string{"replay"}},
		{"an answer to a request that never was executed", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "retry-0", 0)
			f.entries(c.Reply.Revision, func(line *journal.Line) { line.Replayed = true })
		}, []string{"replay"}},
		{"a key that expires at once", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "retry-0", 0)
			f.entries(c.Reply.Revision, func(line *journal.Line) { line.Code = "idempotency_key_expired" })
		}, []string{"replay"}},
		{"a key that is said to be another's", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "retry-0", 2)
			for index := range f.journals["n1"] {
				if line := f.journals["n1"][index]; line.Replayed && line.Revision == c.Reply.Revision {
					f.entries(line.Index, func(line *journal.Line) { line.Code = "idempotency_key_reused" })
					for _, id := range nodeIDs() {
						f.entry(id, line.Index, func(line *journal.Line) { line.Replayed = false })
					}
					return
				}
			}
		}, []string{"replay"}},
		{"a final sum without an acknowledged request", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "retry-0", 0)
			c.Reply.Outcomes[0].Counters[0].Value -= 2
		}, []string{"once", "replay"}},
		{"a final sum with a request too many", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "retry-0", 0)
			c.Reply.Outcomes[0].Counters[0].Value += 2
		}, []string{"once", "replay"}},
		{"time that goes against the log", func(_ *testing.T, f *files) {
			swapAnswers(f, "final-0")
		}, []string{"real time"}},
		{"a dropped event", func(_ *testing.T, f *files) {
			m := f.message("poll-1", 3)
			m.Events = nil
		}, []string{"watch"}},
		{"half of a revision", func(_ *testing.T, f *files) {
			m := twoEvents(f)
			m.Events = m.Events[:1]
		}, []string{"watch"}},
		{"an event twice", func(_ *testing.T, f *files) {
			m := f.message("poll-1", 3)
			m.Events = append(m.Events, m.Events...)
		}, []string{"watch"}},
		{"events in another order", func(_ *testing.T, f *files) {
			m := twoEvents(f)
			m.Events[0], m.Events[1] = m.Events[1], m.Events[0]
		}, []string{"watch"}},
		{"revisions in another order", func(_ *testing.T, f *files) {
			a, b := f.message("poll-1", 3), f.message("poll-1", 4)
			*a, *b = *b, *a
		}, []string{"watch"}},
		{"an event with another value", func(_ *testing.T, f *files) {
			m := f.message("poll-1", 1)
			*m.Events[0].Value++
		}, []string{"watch"}},
		{"an event with another time", func(_ *testing.T, f *files) { f.message("poll-1", 1).Events[0].TimeMs++ }, []string{"watch"}},
		{"an event of a key that is not watched", func(_ *testing.T, f *files) {
			m := f.message("poll-2", 1)
			m.Events[0].Key = "k1"
		}, []string{"watch"}},
		{"an event of a group that is not watched", func(_ *testing.T, f *files) {
			f.message("poll-1", 1).Events[0].Group = "watch-b"
		}, []string{"watch"}},
		{"a gap after a reset", func(_ *testing.T, f *files) { f.message("poll-1", 1).Events = nil }, []string{"watch"}},
		{"a reset whose revision is not that of its state", func(_ *testing.T, f *files) {
			m := f.message("poll-1", 3)
			m.Events = []history.Event{{Type: "reset", Group: "watch-a", Revision: m.Events[0].Revision + 40}}
		}, []string{"watch"}},
		{"a reset with another state", func(_ *testing.T, f *files) {
			m := f.message("poll-1", 0)
			m.Events[0].Counters = []history.Counter{by("k0", 1)}
		}, []string{"watch"}},
		{"a reset that goes back", func(_ *testing.T, f *files) {
			m := f.message("poll-1", 6)
			m.Events = []history.Event{{Type: "reset", Group: "watch-a", Revision: 1}}
		}, []string{"watch"}},
		{"a position ahead of what was told", func(_ *testing.T, f *files) {
			f.message("poll-1", 3).Position = "500"
		}, []string{"watch"}},
		{"a watcher who is never told the end", func(_ *testing.T, f *files) {
			m := f.message("groupPoll-3", 1)
			m.Events = m.Events[:len(m.Events)-1]
		}, []string{"watch"}},
		{"groups that are not told of together", func(_ *testing.T, f *files) {
			m := f.message("groupPoll-3", 1)
			m.Events = slices.DeleteFunc(m.Events, func(e history.Event) bool { return e.Group == "watch-b" && e.Revision < 100 })
		}, []string{"watch"}},
		{"a change that is told of before it is sent", func(t *testing.T, f *files) {
			f.moveToFront("poll-1", 1)
		}, []string{"real time"}},
		{"a counter read where nothing was applied", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Stale, "counter-0", 3)
			c.Reply.Outcomes[0].Counters = []history.Counter{by("c", 3)}
		}, []string{"replay"}},
		{"a reading answered with nonsense", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Read, "register-0", 5)
			c.Type, c.Reply = history.TypeFail, &history.Reply{Status: 200, Error: "no JSON", Malformed: true}
		}, []string{"replay"}},
		{"a change answered with nonsense", func(_ *testing.T, f *files) {
			_, c := f.invocation(history.Increase, "ticket-0", 11)
			c.Type, c.Reply = history.TypeInfo, &history.Reply{Status: 200, Error: "no revision", Malformed: true}
		}, []string{"replay"}},
		{"a watcher who is told nonsense", func(_ *testing.T, f *files) {
			last := f.history[len(f.history)-1]
			told := history.Entry{Type: history.TypeMessage, Time: last.Time, Message: &history.Message{Watcher: "stream-9", Node: "n1", Form: history.Stream, Malformed: "no JSON"}}
			f.history = append(f.history[:len(f.history)-1], told, last)
		}, []string{"watch"}},
		{"a user with too many calls", tooManyCalls, []string{"limit"}},
		{"a user with too many calls before a node began from a snapshot", func(t *testing.T, f *files) {
			tooManyCalls(t, f)
			lines := f.journals["n2"]
			f.journals["n2"] = append(lines, journal.Line{Start: 2}, journal.Line{Restored: lines[len(lines)-1].Hash})
		}, []string{"limit"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := goodRun(t)
			test.falsify(t, f)
			verdict := f.check(checker.Config{})
			if verdict.Outcome != checker.Invalid {
				t.Errorf("the run is %s", verdict.Outcome)
			}
			for _, name := range test.noticed {
				r := resultOf(t, verdict, name)
				t.Log(name, r.Findings[:min(2, len(r.Findings))])
				if r.Outcome != checker.Invalid || r.Violations == 0 {
					t.Errorf("%s is %s", name, r.Outcome)
				}
			}
		})
	}
}

func resultOf(t *testing.T, v checker.Verdict, name string) checker.Result {
	t.Helper()
	for _, r := range v.Results {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no check %q", name)
	return checker.Result{}
}

// staleRead lets a reading have what one before it had.
func staleRead(_ *testing.T, f *files) {
	_, before := f.invocation(history.Read, "register-0", 4)
	_, c := f.invocation(history.Read, "register-0", 5)
	c.Reply = before.Reply
}

// again puts another entry of a request at the end of the log.
func again(_ *testing.T, f *files, group string) {
	_, c := f.invocation(history.Increase, group, 4)
	for id, lines := range f.journals {
		last := lines[len(lines)-1].Index
		for _, line := range lines {
			if line.Index == c.Reply.Revision {
				line.Index, line.Revision, line.Hash = last+1, last+1, nil
				f.journals[id] = append(lines, line)
			}
		}
	}
}

// executeAgain makes nodes and client believe that a replayed attempt was
// executed: at its own index, on top of what there was.
func executeAgain(f *files, c *history.Entry) {
	first := c.Reply.Revision
	var index uint64
	var value int64
	for _, line := range f.journals["n1"] {
		if line.Replayed && line.Revision == first {
			index = line.Index
		}
		if line.Index == first {
			value = line.Values[0][0]
		}
	}
	f.entries(index, func(line *journal.Line) {
		line.Replayed, line.Revision = false, index
		line.Values = [][]int64{{value + 1}}
	})
	c.Reply.Revision, c.Reply.Replayed = index, false
	c.Reply.Outcomes[0].Counters[0].Value = value + 1
}

// swapAnswers gives two requests each other's place in the log.
func swapAnswers(f *files, group string) {
	ia, a := f.invocation(history.Increase, group, 0)
	ib, b := f.invocation(history.Increase, group, 1)
	first, second := a.Reply.Revision, b.Reply.Revision
	f.entries(first, func(line *journal.Line) {
		line.Command = recodedID(f, *line, ib)
	})
	f.entries(second, func(line *journal.Line) {
		line.Command = recodedID(f, *line, ia)
	})
	ia.Op.Parts, ib.Op.Parts = ib.Op.Parts, ia.Op.Parts
	a.Reply, b.Reply = b.Reply, a.Reply
}

func recodedID(f *files, line journal.Line, invoked *history.Entry) []byte {
	return recoded(f.t, line, func(c *fsm.Command) { c.Mutation.RequestID = strconv.FormatUint(invoked.ID, 10) })
}

// twoEvents returns a message with more than one event of one revision.
func twoEvents(f *files) *history.Message {
	for i := range f.history {
		if m := f.history[i].Message; m != nil && m.Watcher == "poll-1" && len(m.Events) == 2 {
			return m
		}
	}
	f.t.Fatal("no message has two events")
	return nil
}

// moveToFront lets a watcher be told of something before everything else: with
// its reset, and the messages in their order.
func (f *files) moveToFront(watcher string, nth int) {
	var moved, rest []history.Entry
	for _, e := range f.history {
		if e.Message != nil && e.Message.Watcher == watcher && nth >= 0 {
			nth--
			e.Time = 0
			moved = append(moved, e)
			continue
		}
		rest = append(rest, e)
	}
	f.history = append(moved, rest...)
}

// tooManyCalls makes all calls of the log one user's.
func tooManyCalls(t *testing.T, f *files) {
	users := 0
	for i := range f.history {
		e := &f.history[i]
		if e.Type != history.TypeInvoke || e.Op.Kind != history.Increase || e.Op.Key != "" || !strings.HasPrefix(e.Op.Parts[0].Group, "counter-") && !strings.HasPrefix(e.Op.Parts[0].Group, "limit-") {
			continue
		}
		e.Op.User = "user-1"
		users++
	}
	for id, lines := range f.journals {
		for i, line := range lines {
			if line.Index == 0 {
				continue
			}
			command, err := fsm.DecodeCommand(line.Command)
			must(t, err)
			operations := command.Mutation.Operations
			if len(operations) == 1 && operations[0].Kind == counter.Increase && (operations[0].Group == "counter-0" || operations[0].Group == "limit-0") {
				f.journals[id][i].Command = recoded(t, line, func(c *fsm.Command) { c.Mutation.User = "user-1" })
			}
		}
	}
	if users < 21 {
		t.Fatalf("only %d calls", users)
	}
}

// A run that was broken off, or in which too little happened, shows nothing.
func TestUnknown(t *testing.T) {
	for _, test := range []struct {
		name    string
		config  checker.Config
		change  func(f *files)
		noticed string
	}{
		{"no last line", checker.Config{}, func(f *files) { f.history = f.history[:len(f.history)-1] }, "complete"},
		{"a node that was not read at the end", checker.Config{}, func(f *files) {
			for i := range f.history {
				if o := f.history[i].Op; o != nil && o.Node == "n2" {
					o.Final = false
				}
			}
		}, "complete"},
		{"a node that did not show its state at the end", checker.Config{}, func(f *files) {
			f.history = slices.DeleteFunc(f.history, func(e history.Entry) bool { return e.Hash != nil && e.Hash.Node == "n3" })
		}, "complete"},
		{"sums that nobody read at the end", checker.Config{}, func(f *files) {
			for i := range f.history {
				if o := f.history[i].Op; o != nil && o.Parts[0].Group == "retry-0" {
					o.Final = false
				}
			}
		}, "once"},
		{"a node without a journal", checker.Config{}, func(f *files) {
			must(f.t, os.Remove(filepath.Join(f.dir, checker.JournalsDir, "n3.jsonl")))
			delete(f.journals, "n3")
		}, "complete"},
		{"a journal whose begin is missing", checker.Config{}, func(f *files) {
			f.journals["n2"] = f.journals["n2"][4:]
		}, "journals"},
		{"too few requests", checker.Config{Floors: checker.Floors{Operations: 100_000}}, nil, "floors"},
		{"too few events", checker.Config{Floors: checker.Floors{Events: 100_000}}, nil, "floors"},
		{"a workload that sent nothing", checker.Config{Floors: checker.Floors{Workloads: []string{"ticket", "register-2"}}}, nil, "floors"},
		{"a form of watch in which nothing was told", checker.Config{Floors: checker.Floors{Forms: []history.Form{history.Poll, history.Stream}}}, nil, "floors"},
		{"no two hashes to compare", checker.Config{}, func(f *files) {
			for id := range f.journals {
				for i := range f.journals[id] {
					f.journals[id][i].Hash = nil
				}
			}
			index := uint64(1000)
			for i := range f.history {
				if h := f.history[i].Hash; h != nil {
					h.Index, index = index, index+1
				}
			}
		}, "hashes"},
		{"too few faults", checker.Config{Floors: checker.Floors{Faults: 2}}, nil, "faults"},
		{"a fault that was not felt", checker.Config{}, func(f *files) {
			for i := range f.history {
				if fault := f.history[i].Fault; fault != nil {
					fault.Proof = ""
				}
			}
		}, "faults"},
		{"a fault that did not end", checker.Config{}, func(f *files) {
			f.history = slices.DeleteFunc(f.history, func(e history.Entry) bool { return e.Fault != nil && e.Fault.Phase == history.End })
		}, "faults"},
		{"too many unknown outcomes", checker.Config{}, func(f *files) {
			for nth := range 12 {
				_, c := f.invocation(history.Increase, "several-0", nth)
				c.Type = history.TypeInfo
				_, c = f.invocation(history.Decrease, "counter-0", nth)
				c.Type = history.TypeInfo
			}
		}, "floors"},
		{"a kind that was never served", checker.Config{}, func(f *files) {
			for nth := range 12 {
				_, c := f.invocation(history.Batch, "batch-0.x", nth)
				c.Type = history.TypeInfo
			}
		}, "floors"},
		{"a limit that was not reached", checker.Config{}, func(f *files) {
			for i := range f.history {
				if r := f.history[i].Reply; r != nil && r.Code == "rate_limited" {
					r.Code = "no_leader"
				}
			}
		}, "limit"},
		{"a watcher that was not waited for", checker.Config{}, func(f *files) {
			f.history = slices.DeleteFunc(f.history, func(e history.Entry) bool { return e.Message != nil && e.Message.Final })
		}, "watch"},
		{"no time for porcupine", checker.Config{LinearTimeout: time.Nanosecond}, nil, "linear"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := goodRun(t)
			if test.change != nil {
				test.change(f)
			}
			verdict := f.check(test.config)
			r := resultOf(t, verdict, test.noticed)
			t.Log(r.Findings)
			if r.Outcome != checker.Unknown || verdict.Outcome != checker.Unknown || verdict.Err() == nil {
				t.Errorf("%s is %s and the run is %s", r.Name, r.Outcome, verdict.Outcome)
			}
		})
	}
}
