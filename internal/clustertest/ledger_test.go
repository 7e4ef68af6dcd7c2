package clustertest_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"tally/internal/clustertest"
)

// outcome is what a client knows of its operation afterwards.
type outcome int

const (
	acknowledged outcome = iota
	refused              // definitely nothing happened
	unknown              // it may have happened, or may still
)

// operation is one request of a client. Every change increases, in one atomic
// batch, a counter that many share and one that no other operation touches; the
// second tells afterwards whether and how often the change was made.
type operation struct {
	client         int
	read           bool
	counter        string // the group of the shared counter
	own            string // the group of the operation's own counter
	value          int64  // of the shared counter, where acknowledged
	outcome        outcome
	invoked, ended int64 // numbers in the order of events
}

// operationsMax is how many operations share a counter: the search for a
// linearization takes exponential time in the worst case.
const operationsMax = 150

// ledger is the history of a run.
type ledger struct {
	mu         sync.Mutex
	clock      int64
	operations []*operation
}

// begin notes an operation before it is sent.
func (l *ledger) begin(client int, read bool) *operation {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	number := len(l.operations)
	op := &operation{
		client:  client,
		read:    read,
		counter: fmt.Sprintf("shared:%d", number/operationsMax),
		own:     fmt.Sprintf("own:%d", number),
		outcome: unknown,
		invoked: l.clock,
	}
	l.operations = append(l.operations, op)
	return op
}

// end notes what the client heard.
func (l *ledger) end(op *operation, o outcome, value int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	op.outcome, op.value, op.ended = o, value, l.clock
}

// count returns how many changes and reads ended so.
func (l *ledger) count(o outcome) (changes, reads int) {
	for _, op := range l.operations {
		switch {
		case op.outcome != o:
		case op.read:
			reads++
		default:
			changes++
		}
	}
	return changes, reads
}

// change sends the operation to the node.
func (op *operation) change(n *clustertest.Node) (outcome, int64) {
	reply := n.Do(http.MethodPost, "/v1/batch", fmt.Sprintf(`{"operations":[
		{"op":"increase","group":%q,"counters":{"n":1}},
		{"op":"increase","group":%q,"counters":{"n":1}}]}`, op.counter, op.own))
	switch {
	case reply.OK():
		var content struct {
			Results []struct {
				Counters map[string]int64 `json:"counters"`
			} `json:"results"`
		}
		if err := json.Unmarshal(reply.Body, &content); err != nil || len(content.Results) != 2 {
			panic(fmt.Sprintf("a batch of two was answered with %s", reply.Body))
		}
		return acknowledged, content.Results[0].Counters["n"]
	case reply.Definite:
		return refused, 0
	}
	return unknown, 0
}

// verdict says everything that is wrong with the history, given what the
// cluster holds in the end.
func (l *ledger) verdict(final func(group string) int64) []string {
	var wrong []string
	made := map[string]int64{}
	for _, op := range l.operations {
		if op.read {
			continue
		}
		times := final(op.own)
		made[op.counter] += times
		switch {
		case op.outcome == acknowledged && times != 1:
			wrong = append(wrong, fmt.Sprintf("%s was acknowledged and made %d times", op.own, times))
		case op.outcome == refused && times != 0:
			wrong = append(wrong, fmt.Sprintf("%s was definitely refused and made %d times", op.own, times))
		case times < 0 || times > 1:
			wrong = append(wrong, fmt.Sprintf("%s was made %d times", op.own, times))
		}
	}
	for counter, want := range made {
		if got := final(counter); got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %d after %d changes", counter, got, want))
		}
	}
	return wrong
}

// linearizable says whether each shared counter behaved as if every operation
// had happened at one moment between its invocation and its end. Whether an
// operation of unknown outcome happened is known from its own counter; when, is not.
func (l *ledger) linearizable(final func(group string) int64) porcupine.CheckResult {
	histories := map[string][]porcupine.Operation{}
	for _, op := range l.operations {
		ended := op.ended
		if op.outcome != acknowledged {
			if op.read || final(op.own) == 0 {
				continue
			}
			ended = math.MaxInt64
		}
		histories[op.counter] = append(histories[op.counter], porcupine.Operation{
			ClientId: op.client, Input: op.read, Output: output{op.value, op.outcome == acknowledged}, Call: op.invoked, Return: ended,
		})
	}
	for _, history := range histories {
		if result := porcupine.CheckOperationsTimeout(counterModel, history, time.Minute); result != porcupine.Ok {
			return result
		}
	}
	return porcupine.Ok
}

// output is what a client saw of the counter, if it saw anything.
type output struct {
	value int64
	known bool
}

// counterModel is a counter that is read (input true) or increased by 1 (false).
var counterModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, out any) (bool, any) {
		value, seen := state.(int64), out.(output)
		if !input.(bool) {
			value++
		}
		return !seen.known || seen.value == value, value
	},
}
