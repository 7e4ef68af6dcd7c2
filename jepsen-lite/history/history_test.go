package history_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tally/jepsen-lite/history"
)

func increase(group string) history.Op {
	return history.Op{Workload: "ticket", Node: "n1", Kind: history.Increase,
		Parts: []history.Part{{Kind: history.Increase, Group: group, Counters: []history.Counter{{Key: "next", Value: 1}}}}}
}

// record writes a short history and returns its path.
func record(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	var now time.Duration
	r, err := history.Open(path, func() time.Duration { now++; return now })
	if err != nil {
		t.Fatal(err)
	}
	r.Begin(history.Run{Seed: 7, Nodes: []string{"n1"}})
	process := r.NewProcess()
	id := invoke(t, r, process, increase("g"))
	r.Fault(history.Fault{Kind: "kill leader", Phase: history.Begin, Targets: []string{"n1"}, Detail: "the \"first\""})
	r.Complete(process, id, history.TypeOK, history.Reply{Status: 200, Revision: 3,
		Outcomes: []history.Outcome{{Group: "g", Counters: []history.Counter{{Key: "next", Value: 1}}}}})
	id = invoke(t, r, process, increase("g"))
	r.Complete(process, id, history.TypeInfo, history.Reply{Error: "reset"})
	invoke(t, r, r.NewProcess(), history.Op{Workload: "ticket", Node: "n1", Kind: history.Read, Parts: []history.Part{{Kind: history.Read, Group: "g"}}})
	r.Hash(history.NodeHash{Node: "n1", Index: 4, Hash: "00"})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func invoke(t *testing.T, r *history.Recorder, process int, op history.Op) uint64 {
	t.Helper()
	id, err := r.Invoke(process, op)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestLoad(t *testing.T) {
	h, err := history.Load(record(t))
	if err != nil {
		t.Fatal(err)
	}
	if !h.Ended || h.Run.Seed != 7 || len(h.Operations) != 3 || len(h.Faults) != 1 || len(h.Hashes) != 1 {
		t.Fatalf("loaded %+v", h)
	}
	first, second, third := &h.Operations[0], &h.Operations[1], &h.Operations[2]
	if !first.OK() || first.Reply.Revision != 3 || first.Invoked >= first.Returned {
		t.Errorf("the first is %+v", first)
	}
	if !second.Unknown() || second.Process != first.Process {
		t.Errorf("the second is %+v", second)
	}
	if !third.Unknown() || third.Process == first.Process {
		t.Errorf("the third is %+v", third)
	}
}

// What is about to be sent is in the file before anything is sent.
func TestInvocationIsWrittenFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	r, err := history.Open(path, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	invoke(t, r, r.NewProcess(), increase("g"))
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(data, []byte(`"invoke"`)) || !bytes.HasSuffix(data, []byte("\n")) {
		t.Errorf("after Invoke the file holds %q (%v)", data, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Invoke(1, increase("g")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close, Invoke returns %v", err)
	}
	if _, err := history.Open(path, history.NewClock()); !errors.Is(err, os.ErrExist) {
		t.Errorf("a history is opened over another: %v", err)
	}
}

func TestMalformed(t *testing.T) {
	const begin = `{"type":"invoke","time":1,"process":1,"id":1,"op":{"kind":"read","parts":[{"kind":"read","group":"g"}]}}` + "\n"
	for name, text := range map[string]string{
		"no JSON":                        "x\n",
		"no type":                        "{}\n",
		"time that goes back":            begin + `{"type":"end","time":0}`,
		"a line after the last":          `{"type":"end","time":0}` + "\n" + begin,
		"an invocation that is missing":  strings.Replace(begin, `"id":1`, `"id":2`, 1),
		"two requests of one process":    begin + strings.Replace(begin, `"id":1`, `"id":2`, 1),
		"a completion of nothing":        `{"type":"ok","time":1,"process":1,"id":1,"reply":{}}`,
		"a completion by another":        begin + `{"type":"fail","time":2,"process":2,"id":1,"reply":{}}`,
		"two completions":                begin + strings.Repeat(`{"type":"fail","time":2,"process":1,"id":1,"reply":{}}`+"\n", 2),
		"ok without an outcome":          begin + `{"type":"ok","time":2,"process":1,"id":1,"reply":{}}`,
		"a process that goes on":         begin + `{"type":"info","time":2,"process":1,"id":1,"reply":{}}` + "\n" + strings.NewReplacer(`"id":1`, `"id":2`, `"time":1`, `"time":3`).Replace(begin),
		"an invocation of nothing":       `{"type":"invoke","time":1,"process":1,"id":1}`,
		"no parts":                       `{"type":"invoke","time":1,"process":1,"id":1,"op":{"kind":"read","parts":[]}}`,
		"a part of another kind":         strings.Replace(begin, `{"kind":"read","group"`, `{"kind":"set","group"`, 1),
		"a change of nothing":            strings.ReplaceAll(begin, "read", "increase"),
		"a message without what it says": `{"type":"message","time":1}`,
	} {
		if _, err := history.Decode(strings.NewReader(text)); !errors.Is(err, history.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"run","time":0,"run":{"seed":1}}` + "\n" +
		`{"type":"invoke","time":1,"process":1,"id":1,"op":{"workload":"w","node":"n1","kind":"read","parts":[{"kind":"read","group":"g"}]}}` + "\n" +
		`{"type":"ok","time":2,"process":1,"id":1,"reply":{"status":200,"revision":1,"outcomes":[{"group":"g"}]}}` + "\n" +
		`{"type":"message","time":3,"message":{"watcher":"w","position":"1"}}` + "\n" + `{"type":"end","time":4}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := history.Decode(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, history.ErrMalformed) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		for i := range h.Operations {
			if o := &h.Operations[i]; o.ID != uint64(i)+1 || o.OK() && len(o.Reply.Outcomes) != len(o.Op.Parts) {
				t.Errorf("operation %d is %+v", i, o)
			}
		}
		if err := history.WriteEDN(new(bytes.Buffer), bytes.NewReader(data)); err != nil {
			t.Errorf("what can be loaded cannot be exported: %v", err)
		}
	})
}

func TestWriteEDN(t *testing.T) {
	file, err := os.Open(record(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var out bytes.Buffer
	if err := history.WriteEDN(&out, file); err != nil {
		t.Fatal(err)
	}
	want := `{:index 0 :time 2 :process 1 :type :invoke :f :increase :value [["g" [["next" 1]]]] :node "n1" :workload "ticket" :id 1}
{:index 1 :time 3 :process :nemesis :type :info :f :kill-leader :value {:phase :begin :targets ["n1"] :detail "the \"first\"" :proof ""}}
{:index 2 :time 4 :process 1 :type :ok :f :increase :value [["g" [["next" 1]]]] :node "n1" :workload "ticket" :id 1 :revision 3}
{:index 3 :time 5 :process 1 :type :invoke :f :increase :value [["g" [["next" 1]]]] :node "n1" :workload "ticket" :id 2}
{:index 4 :time 6 :process 1 :type :info :f :increase :value [["g" [["next" 1]]]] :node "n1" :workload "ticket" :id 2}
{:index 5 :time 7 :process 2 :type :invoke :f :read :value [["g" nil]] :node "n1" :workload "ticket" :id 3}
`
	if out.String() != want {
		t.Errorf("exported\n%s\nwant\n%s", out.String(), want)
	}
}

// Without what a request depends on, nobody else could check it.
func TestWriteEDNTellsConditionsAndKinds(t *testing.T) {
	revision := uint64(7)
	change := []history.Counter{{Key: "a", Value: 2}}
	for want, op := range map[string]history.Op{
		`:f :set :value [["g" [["a" 2]]]] :if-revision 7 :node`: {Kind: history.Set, Parts: []history.Part{{Kind: history.Set, Group: "g", Counters: change, IfRevision: &revision}}},
		`:f :batch :value [["g" [["a" 2]]] ["h" nil] ["h" ["k"]]] :parts [:decrease :delete :delete] :node`: {Kind: history.Batch, Parts: []history.Part{
			{Kind: history.Decrease, Group: "g", Counters: change}, {Kind: history.Delete, Group: "h", All: true}, {Kind: history.Delete, Group: "h", Keys: []string{"k"}}}},
		`:f :increase :value [["g" [["a" 2]]]] :user "u" :key "k" :node`: {Kind: history.Increase, User: "u", Key: "k", Parts: []history.Part{{Kind: history.Increase, Group: "g", Counters: change}}},
		`:f :read :value [["g" nil]] :keys ["a" "b"] :node`:              {Kind: history.Read, Parts: []history.Part{{Kind: history.Read, Group: "g", Keys: []string{"a", "b"}}}},
	} {
		recorder := history.OpenMemory(history.NewClock())
		if _, err := recorder.Invoke(1, op); err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(recorder.Entries()[0])
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := history.WriteEDN(&out, bytes.NewReader(line)); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("exported %s (%v), want %s in it", out.String(), err, want)
		}
	}
}

// A history of a run that was broken off has everything but the last line.
func TestAbandonedHistoryIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	recorder, err := history.Open(path, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	id, err := recorder.Invoke(1, history.Op{Kind: history.Increase, Parts: []history.Part{{Kind: history.Increase, Group: "g", Counters: []history.Counter{{Key: "a", Value: 1}}}}})
	if err != nil {
		t.Fatal(err)
	}
	recorder.Complete(1, id, history.TypeInfo, history.Reply{})
	if err := recorder.Abandon(); err != nil {
		t.Fatal(err)
	}
	h, err := history.Load(path)
	if err != nil || h.Ended || len(h.Operations) != 1 || h.Operations[0].Outcome != history.TypeInfo {
		t.Errorf("the history is %+v, %v", h, err)
	}
}

// The table of the package comment.
func TestClassify(t *testing.T) {
	answered := func(status int, definite bool) history.Reply {
		return history.Reply{Status: status, Definite: definite}
	}
	for _, test := range []struct {
		name         string
		transport    history.Transport
		reply        history.Reply
		change, read history.Type
	}{
		{"a whole reply", history.Answered, answered(200, false), history.TypeOK, history.TypeOK},
		{"a definite error", history.Answered, answered(503, true), history.TypeFail, history.TypeFail},
		{"connection refused", history.NeverSent, history.Reply{}, history.TypeFail, history.TypeFail},
		{"an indefinite error", history.Answered, answered(504, false), history.TypeInfo, history.TypeFail},
		{"a broken connection", history.Broken, history.Reply{}, history.TypeInfo, history.TypeFail},
		{"a cut body of a success", history.Broken, answered(200, false), history.TypeInfo, history.TypeFail},
		{"a cut body of a definite error", history.Broken, answered(503, true), history.TypeInfo, history.TypeFail},
	} {
		for kind, want := range map[history.Kind]history.Type{history.Set: test.change, history.Batch: test.change, history.Read: test.read, history.Stale: test.read} {
			if got := history.Classify(kind, test.transport, test.reply); got != want {
				t.Errorf("%s, %s: %s, want %s", test.name, kind, got, want)
			}
		}
	}
}
