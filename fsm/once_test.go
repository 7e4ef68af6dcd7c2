package fsm_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
)

// request is what a client wants done once: one counter changed, under one key.
type request struct {
	user   string
	key    string
	timeMs int64 // of the key; -1: a bare key
	amount int64
}

func (r *request) command(timeMs int64) fsm.Command {
	return at(timeMs, from(r.user, under(r.key, mutation(increase(r.group(), by("sum", r.amount))))))
}

// group keeps bare keys apart: they are remembered as long as there is room only.
func (r *request) group() string {
	if r.timeMs < 0 {
		return "bare"
	}
	return "uuid"
}

// step is one thing that happens in a schedule.
type step struct {
	kind   stepKind
	timeMs int64 // the leader's stamp
	at     int   // for attempts: which request
}

type stepKind int

const (
	attempts     stepKind = 1
	attemptsElse stepKind = 2 // the key of the request, for something else
	restores     stepKind = 3 // a snapshot of the machine takes its place
	passes       stepKind = 4 // a command without a key
)

// schedule is requests of clients whose clocks are up to 60 s off, sometimes
// more, and what happens to them: first attempts, duplicates however late, keys
// used twice, snapshots, time that stands still, jumps and would go back.
func schedule(seed uint64) (requests []*request, steps []step) {
	r := rand.New(rand.NewPCG(seed, 1))
	const minMs, maxMs = -60 * second, 60 * second
	now := int64(1_700_000_000_000)
	clocks := []int64{0, minMs, maxMs, minMs + r.Int64N(maxMs-minMs), minMs + r.Int64N(maxMs-minMs), 3 * minMs, 3 * maxMs}
	pace := []int64{1, 50, 5 * second}[r.IntN(3)]
	for range 150 {
		switch r.IntN(20) {
		case 0:
			now += r.Int64N(12 * minute)
		case 1:
			now -= r.Int64N(2 * minute) // the clock of another leader
		default:
			now += r.Int64N(pace)
		}
		s := step{kind: attempts, timeMs: now}
		switch choice := r.IntN(20); {
		case choice == 0:
			s.kind = restores
		case choice == 1:
			s.kind = passes
		case choice < 10 || len(requests) == 0:
			q := &request{user: []string{"", "ada", "bob"}[r.IntN(3)], timeMs: -1, amount: 1 + r.Int64N(1<<r.IntN(40))}
			q.key = fmt.Sprint("bare", len(requests))
			if r.IntN(4) > 0 {
				q.timeMs = now + clocks[r.IntN(len(clocks))]
				q.key = uuidv7(q.timeMs, uint32(len(requests)))
			}
			if r.IntN(12) == 0 {
				q.amount = math.MaxInt64 // soon refused
			}
			requests = append(requests, q)
			s.at = len(requests) - 1
		case choice < 18:
			s.at = max(0, len(requests)-1-r.IntN(1+r.IntN(len(requests)))) // of late ones rather than of old ones
		default:
			s.kind, s.at = attemptsElse, r.IntN(len(requests))
		}
		steps = append(steps, s)
	}
	return requests, steps
}

// command is what a step puts into the log, if anything.
func (s *step) command(requests []*request) (fsm.Command, bool) {
	switch s.kind {
	case attempts:
		return requests[s.at].command(s.timeMs), true
	case attemptsElse:
		other := *requests[s.at]
		other.amount /= 2 // at least, something else
		return other.command(s.timeMs), true
	case passes:
		return at(s.timeMs, mutation(set("pass", by("time", s.timeMs)))), true
	}
	return fsm.Command{}, false
}

// tiny makes a machine forget all the time.
var tiny = fsm.Limits{Entries: 8, ResultBytes: 20, AgedPerCommand: 2}

// violation runs a schedule and says how it broke the promise: no request with
// a UUIDv7 is executed twice, whatever is forgotten, and the sum of what was
// executed once is the value.
func violation(t *testing.T, seed uint64, limits fsm.Limits, alter func(*fsm.Command)) string {
	requests, steps := schedule(seed)
	n := &node{Machine: fsm.NewMachineWithin(fsm.Config{}, limits), t: t, term: 1}
	executed := map[string]bool{}
	sums := map[string]int64{}
	for i, s := range steps {
		if s.kind == restores {
			data := persist(t, n.Machine)
			n.Machine = fsm.NewMachineWithin(fsm.Config{}, limits)
			if err := restore(n.Machine, data); err != nil {
				t.Fatal(err)
			}
		}
		command, ok := s.command(requests)
		if !ok || s.kind == passes {
			continue
		}
		q := requests[s.at]
		alter(&command)
		applied := n.apply(command)
		if applied.Err != nil || applied.Result.Replayed {
			continue
		}
		if executed[q.key] && q.timeMs >= 0 {
			return fmt.Sprintf("step %d: the request under %s is executed for the second time", i, q.key)
		}
		executed[q.key] = true
		sums[q.group()] += command.Mutation.Operations[0].Counters[0].Value
	}
	for group, sum := range sums {
		if got := n.Read(group, nil).Counters[0].Value; got != sum {
			return fmt.Sprintf("what was executed in %q sums up to %d, and the value is %d", group, sum, got)
		}
	}
	return ""
}

const schedules = 300

// TestOnce holds the promise over many schedules.
func TestOnce(t *testing.T) {
	for seed := range uint64(schedules) {
		if broken := violation(t, seed, tiny, func(*fsm.Command) {}); broken != "" {
			t.Errorf("seed %d: %s", seed, broken)
		}
	}
}

// TestOnceFindsMistakes runs the schedules on machines that are wrong. A test
// that takes them for right tests nothing.
func TestOnceFindsMistakes(t *testing.T) {
	inLogOrder := tiny
	inLogOrder.IgnoreKeyTimes = true
	for _, c := range []struct {
		name   string
		limits fsm.Limits
		alter  func(*fsm.Command)
	}{
		{"without the table", tiny, func(c *fsm.Command) { c.Mutation.IdempotencyKey = "" }},
		{"forgetting in the order of the log", inLogOrder, func(*fsm.Command) {}},
		{"forgetting in the order of the log, without the mark", tiny, func(c *fsm.Command) { c.Mutation.IdempotencyKey += " bare" }},
	} {
		found := 0
		for seed := range uint64(schedules) {
			if violation(t, seed, c.limits, c.alter) != "" {
				found++
			}
		}
		if found < schedules/10 {
			t.Errorf("%s: %d of %d schedules find the mistake", c.name, found, schedules)
		}
		t.Logf("%s: found by %d of %d schedules", c.name, found, schedules)
	}
}

// modelTable is what the idempotency table should be: a sorted slice.
type modelTable struct {
	limits  fsm.Limits
	entries []modelEntry
	timeMs  int64
	mark    int64
	sums    map[string]int64
}

type modelEntry struct {
	timeMs  int64
	rank    string // decides between entries of one time
	caller  string // user and key
	amount  int64
	refused bool
	value   int64 // the first result, or what the counter was when it was refused
}

// size is how many bytes the result takes.
func (e modelEntry) size() int {
	size := len(binary.AppendVarint(nil, e.value))
	if e.refused {
		size += 3
	}
	return size
}

func (m *modelTable) forget() {
	m.mark = max(m.mark, m.entries[0].timeMs)
	m.entries = m.entries[1:]
}

func (m *modelTable) size() (size int) {
	for _, e := range m.entries {
		size += e.size()
	}
	return size
}

// pass lets time come to a stamp.
func (m *modelTable) pass(timeMs int64) {
	m.timeMs = max(m.timeMs, timeMs)
	for range m.limits.AgedPerCommand {
		if len(m.entries) > 0 && m.entries[0].timeMs <= m.timeMs-10*minute {
			m.forget()
		}
	}
}

// rank is the first 128 bits of the SHA-256 of caller and key.
func rank(q *request) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%c%s", len(q.user), q.user)
	if q.timeMs < 0 {
		fmt.Fprintf(&text, "\x01%c%s", len(q.key), q.key)
	} else {
		id, _ := counter.ParseUUIDv7(q.key)
		fmt.Fprintf(&text, "\x07%s", id[:])
	}
	sum := sha256.Sum256([]byte(text.String()))
	return string(sum[:16])
}

// apply returns what should become of an attempt: "executed", "replayed",
// "reused" or "expired", and the value that is answered.
func (m *modelTable) apply(q *request) (outcome string, e modelEntry) {
	caller := q.user + " " + q.key
	if at := slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.caller == caller }); at >= 0 {
		if e = m.entries[at]; e.amount != q.amount {
			return "reused", e
		}
		return "replayed", e
	}
	e = modelEntry{timeMs: q.timeMs, rank: rank(q), caller: caller, amount: q.amount}
	if q.timeMs < 0 {
		e.timeMs = m.timeMs
	} else if q.timeMs <= max(m.mark, m.timeMs-10*minute) || q.timeMs > m.timeMs+60*second {
		return "expired", e
	}
	sum := m.sums[q.group()]
	e.refused = sum+q.amount < sum
	if e.value = sum; !e.refused {
		e.value += q.amount
		m.sums[q.group()] = e.value
	}
	m.entries = append(m.entries, e)
	slices.SortFunc(m.entries, func(a, b modelEntry) int {
		return cmp.Or(cmp.Compare(a.timeMs, b.timeMs), cmp.Compare(a.rank, b.rank))
	})
	for len(m.entries) > m.limits.Entries || m.size() > m.limits.ResultBytes {
		m.forget()
	}
	return "executed", e
}

// judge says what became of an attempt.
func judge(applied *fsm.Applied) (outcome string, refused bool) {
	refused = applied.Err != nil
	switch {
	case refused && errors.Is(applied.Err, counter.IdempotencyKeyReused):
		return "reused", refused
	case refused && errors.Is(applied.Err, counter.IdempotencyKeyExpired):
		return "expired", refused
	case refused && applied.Err.Replayed, applied.Result.Replayed:
		return "replayed", refused
	}
	return "executed", refused
}

// TestOnceAgainstTheModel compares every answer with that of a table that was
// written without a thought for speed, and what Lookup says before it; and ends
// with two replicas, one of which had the log in batches and one from a snapshot.
func TestOnceAgainstTheModel(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(schedules) {
		requests, steps := schedule(seed)
		n := &node{Machine: fsm.NewMachineWithin(fsm.Config{}, tiny), t: t, term: 1}
		m := modelTable{limits: tiny, sums: map[string]int64{}}
		late := fsm.NewMachineWithin(fsm.Config{}, tiny)
		var log, lateLog []*raft.Log
		for i, s := range steps {
			if s.kind == restores {
				late, lateLog = fsm.NewMachineWithin(fsm.Config{}, tiny), nil
				if err := restore(late, persist(t, n.Machine)); err != nil {
					t.Fatal(err)
				}
			}
			command, ok := s.command(requests)
			if !ok {
				continue
			}
			looked, known := n.Lookup(&command.Mutation)
			entry := n.entry(command)
			log, lateLog = append(log, entry), append(lateLog, entry)
			applied := n.Apply(entry).(*fsm.Applied)
			m.pass(s.timeMs)
			if s.kind == passes {
				continue
			}
			q := *requests[s.at]
			q.amount = command.Mutation.Operations[0].Counters[0].Value
			want, e := m.apply(&q)
			got, refused := judge(applied)
			seen[fmt.Sprint(got, " refused:", refused)]++
			if got != want || (got == "executed" || got == "replayed") && (refused != e.refused || !refused && applied.Result.Outcomes[0].Counters[0].Value != e.value) {
				t.Fatalf("seed %d, step %d: %+v, %+v, want %s with %d", seed, i, applied.Result, applied.Err, want, e.value)
			}
			compareLookup(t, fmt.Sprintf("seed %d, step %d", seed, i), looked, known, applied)
			if entries, bytes := n.Remembered(); entries != len(m.entries) || bytes != m.size() {
				t.Fatalf("seed %d, step %d: %d entries of %d bytes, want %d of %d", seed, i, entries, bytes, len(m.entries), m.size())
			}
		}
		late.ApplyBatch(lateLog)
		batches := fsm.NewMachineWithin(fsm.Config{}, tiny)
		for r := rand.New(rand.NewPCG(seed, 2)); len(log) > 0; {
			length := 1 + r.IntN(len(log))
			batches.ApplyBatch(log[:length])
			log = log[length:]
		}
		want := persist(t, n.Machine)
		if !bytes.Equal(persist(t, late), want) || !bytes.Equal(persist(t, batches), want) {
			t.Fatalf("seed %d: the replicas differ", seed)
		}
	}
	for _, outcome := range []string{"executed refused:false", "executed refused:true", "replayed refused:false", "replayed refused:true", "reused refused:true", "expired refused:true"} {
		if seen[outcome] < schedules/10 {
			t.Errorf("%s: %d times: the test does not test", outcome, seen[outcome])
		}
	}
	t.Log(seen)
}

// compareLookup checks that what was known before an attempt is what it is
// answered, unless its entry was forgotten in that very moment.
func compareLookup(t *testing.T, where string, looked *fsm.Applied, known bool, applied *fsm.Applied) {
	t.Helper()
	got, _ := judge(applied)
	if !known {
		if got == "replayed" || got == "reused" {
			t.Errorf("%s: %s, and Lookup did not know it", where, got)
		}
		return
	}
	want, _ := judge(looked)
	forgotten := got == "expired" || got == "executed" && applied.Err == nil
	if got != want && !forgotten || want == "expired" && got != want {
		t.Errorf("%s: Lookup says %s, and it is %s", where, want, got)
	}
	if got == want && want == "replayed" {
		wantApplied(t, where, applied, looked)
	}
}
