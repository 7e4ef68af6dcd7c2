package checker

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"tally/jepsen-lite/history"
)

// Partition is what porcupine looks at by itself: the groups that are changed
// together, which have one name but for what follows the dot.
type Partition struct {
	Name       string
	Operations []porcupine.Operation
	Result     porcupine.CheckResult
	// Info is for the page that shows the operations.
	Info porcupine.LinearizationInfo
}

// Visualize writes the page that shows the operations and where they fit into
// no order.
func (p *Partition) Visualize(path string) error {
	return porcupine.VisualizePath(Model(), p.Info, path)
}

// input is what a request asks for.
type input struct {
	kind  history.Kind
	parts []history.Part
}

// output is what it was answered.
type output struct {
	outcomes []history.Outcome
	code     string // of a refusal
	// token is, after a change, the revision of the change, and of a reading the
	// group's modRevision. The model does not know that revisions are numbers
	// with an order: it only knows them again.
	token uint64
}

// Model is the sequential specification of a partition.
func Model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return groups{} },
		Step: func(state, in, out any) (bool, any) { return step(state.(groups), in.(input), out.(output)) },
		Equal: func(a, b any) bool {
			x, y := a.(groups), b.(groups)
			if len(x) != len(y) {
				return false
			}
			for name, g := range x {
				if h, found := y[name]; !found || !g.equal(h) {
					return false
				}
			}
			return true
		},
		Hash:              func(state any) uint64 { return state.(groups).hash() },
		DescribeOperation: func(in, out any) string { return describeStep(in.(input), out.(output)) },
		DescribeState:     func(state any) string { return describeState(state.(groups)) },
	}
}

func step(state groups, in input, out output) (bool, groups) {
	if in.kind == history.Read {
		g := state[in.parts[0].Group]
		return g.modRevision == out.token && slices.Equal(g.selected(in.parts[0].Keys), out.outcomes[0].Counters), state
	}
	if out.code == "" && (len(out.outcomes) != len(in.parts) || !state.mayAnswer(&in.parts[0], &out.outcomes[0])) {
		return false, state
	}
	after := make(groups, len(state)+len(in.parts))
	for name, g := range state {
		after[name] = g
	}
	outcomes, code := after.change(in.parts, out.token)
	return code == out.code && slices.EqualFunc(outcomes, out.outcomes, history.Outcome.Equal), after
}

// mayAnswer says whether the first operation of a request can have its outcome
// in this state. Most requests cannot be next most of the time, and to find that
// out must be cheap: it is what porcupine does all day.
func (s groups) mayAnswer(p *history.Part, o *history.Outcome) bool {
	g := s[p.Group]
	if p.IfRevision != nil && *p.IfRevision != g.modRevision {
		return false
	}
	for i := range min(len(p.Counters), len(o.Counters)) {
		var old int64
		if at, found := g.find(p.Counters[i].Key); found {
			old = g.counters[at].Value
		}
		if value, fits := compute(p.Kind, old, p.Counters[i].Value); !fits || value != o.Counters[i].Value {
			return false
		}
	}
	return true
}

// hash is equal for equal states.
func (s groups) hash() uint64 {
	var sum uint64
	for _, g := range s {
		sum += (g.modRevision + 1) * 0x9e3779b97f4a7c15 // the golden ratio: spreads neighbours
	}
	return sum
}

func describeStep(in input, out output) string {
	answer := out.code
	if answer == "" {
		answer = fmt.Sprintf("%v @%d", out.outcomes, out.token)
	}
	return fmt.Sprintf("%s %v -> %s", in.kind, in.parts, answer)
}

func describeState(state groups) string {
	var names []string
	for name := range state {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s %v @%d; ", name, state[name].counters, state[name].modRevision)
	}
	return b.String()
}

// partitionOf returns the partition of a request, "" for none: the watched
// groups live too long for it.
func partitionOf(o *history.Op) string {
	if o.Parts[0].Kind == history.Stale || strings.HasPrefix(o.Parts[0].Group, "watch-") {
		return ""
	}
	name, _, _ := strings.Cut(o.Parts[0].Group, ".")
	return name
}

// partitions returns what porcupine is asked about. What is known of a request
// whose outcome nobody knows is whether the log has it, and with what answer;
// when it came back is not known, so it may have taken effect at any later time.
// The executions of requests with a key are of all their attempts together.
func partitions(r *replay) map[string][]porcupine.Operation {
	byName := map[string][]porcupine.Operation{}
	attempts := map[string][]*history.Operation{}
	for i := range r.history.Operations {
		o := &r.history.Operations[i]
		name := partitionOf(&o.Op)
		if name == "" {
			continue
		}
		if o.Op.Key != "" {
			attempts[name+"\x00"+o.Op.User+"\x00"+o.Op.Key] = append(attempts[name+"\x00"+o.Op.User+"\x00"+o.Op.Key], o)
			continue
		}
		if out, until, known := r.outputOf(o); known {
			byName[name] = append(byName[name], operationOf(o, o.Invoked, until, out))
		}
	}
	for id, tries := range attempts {
		name, _, _ := strings.Cut(id, "\x00")
		byName[name] = append(byName[name], r.executions(tries)...)
	}
	return byName
}

const never = time.Duration(math.MaxInt64)

func operationOf(o *history.Operation, from, until time.Duration, out output) porcupine.Operation {
	return porcupine.Operation{
		ClientId: o.Process,
		Input:    input{o.Op.Kind, o.Op.Parts},
		Call:     int64(from),
		Output:   out,
		Return:   int64(until),
	}
}

// outputOf returns the answer to a request without a key and until when it took
// effect, unless it had none.
func (r *replay) outputOf(o *history.Operation) (out output, until time.Duration, known bool) {
	switch {
	case o.OK() && o.Op.Kind == history.Read:
		return output{outcomes: o.Reply.Outcomes, token: o.Reply.ModRevision}, o.Returned, true
	case o.OK():
		return output{outcomes: o.Reply.Outcomes, token: o.Reply.Revision}, o.Returned, true
	case o.Outcome == history.TypeFail && decided(o.Reply.Code) && o.Reply.Revision != 0:
		return output{code: o.Reply.Code, token: o.Reply.Revision}, o.Returned, true
	case o.Unknown() && !o.Op.Kind.IsRead():
		for _, e := range r.of[o.ID] {
			return output{outcomes: e.outcomes, code: string(e.answer.Code), token: e.index}, never, true
		}
	}
	return output{}, 0, false
}

// executions returns the executions of one request with a key.
func (r *replay) executions(attempts []*history.Operation) []porcupine.Operation {
	var list []porcupine.Operation
	seen := map[uint64]bool{}
	for _, o := range attempts {
		revision := revisionOf(o)
		if revision != 0 && !seen[revision] {
			seen[revision] = true
			list = append(list, r.execution(attempts, o, revision, o.Reply))
		}
	}
	for _, o := range attempts {
		for _, e := range r.of[o.ID] {
			if e.executed && !seen[e.index] {
				seen[e.index] = true
				reply := history.Reply{Outcomes: e.outcomes, Code: string(e.answer.Code)}
				list = append(list, r.execution(attempts, o, e.index, reply))
			}
		}
	}
	return list
}

// execution returns one execution: from the first attempt on, until the first
// answer that tells of it.
func (r *replay) execution(attempts []*history.Operation, o *history.Operation, revision uint64, reply history.Reply) porcupine.Operation {
	until := never
	for _, other := range attempts {
		if revisionOf(other) == revision {
			until = min(until, other.Returned)
		}
	}
	return operationOf(o, attempts[0].Invoked, until, output{outcomes: reply.Outcomes, code: reply.Code, token: revision})
}

// checkLinear asks porcupine about every partition, as many at once as there are
// processors.
func checkLinear(r *replay, timeout time.Duration) (Result, []Partition) {
	result := newResult("linear")
	byName := partitions(r)
	names := make(chan string)
	var (
		mu      sync.Mutex
		failed  []Partition
		workers sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for name := range names {
				p := Partition{Name: name, Operations: byName[name]}
				p.Result = porcupine.CheckOperationsTimeout(Model(), p.Operations, timeout)
				if p.Result == porcupine.Ok {
					continue
				}
				numberClients(p.Operations)
				_, p.Info = porcupine.CheckOperationsVerbose(Model(), p.Operations, timeout)
				mu.Lock()
				failed = append(failed, p)
				mu.Unlock()
			}
		})
	}
	largest := 0
	for name, operations := range byName {
		result.Checked += len(operations)
		largest = max(largest, len(operations))
		names <- name
	}
	close(names)
	workers.Wait()
	slices.SortFunc(failed, func(a, b Partition) int { return strings.Compare(a.Name, b.Name) })
	for _, p := range failed {
		if p.Result == porcupine.Illegal {
			result.violation("the %d operations of %s fit into no order", len(p.Operations), p.Name)
		} else {
			result.unknown("the %d operations of %s were not decided within %v", len(p.Operations), p.Name, timeout)
		}
	}
	result.summarize("%d operations of %d partitions, at most %d of one", result.Checked, len(byName), largest)
	return *result, failed
}

// numberClients gives the processes of a partition small numbers, so that its
// page has a row for each of them and none for others.
func numberClients(operations []porcupine.Operation) {
	slices.SortStableFunc(operations, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	numbers := map[int]int{}
	for i := range operations {
		process := operations[i].ClientId
		if _, known := numbers[process]; !known {
			numbers[process] = len(numbers)
		}
		operations[i].ClientId = numbers[process]
	}
}
