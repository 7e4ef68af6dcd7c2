package checker

import (
	"math/big"
	"slices"

	"tally/counter"
	"tally/jepsen-lite/history"
)

// request is all attempts of one request with a key.
type request struct {
	attempts []*history.Operation
	timed    bool // its key is a UUIDv7: it counts once for ever
}

// checkOnce sees that requests with a key counted once, without a look at the
// log: all answers to the attempts of one request are the same, and at the end
// each counter is what the acknowledged requests make it, give or take those
// that nobody knows of.
func checkOnce(h *history.History) Result {
	result := newResult("once")
	requests := requestsOf(h)
	sums := map[string]*bounds{}
	for _, r := range requests {
		r.checkAnswers(result)
		op := &r.attempts[0].Op
		group := op.Parts[0].Group
		if sums[group] == nil {
			sums[group] = &bounds{}
		}
		r.add(sums[group], deltaOf(op))
	}
	readings, read := 0, map[string]bool{}
	for i := range h.Operations {
		o := &h.Operations[i]
		if group := workloadGroup(&o.Op, "retry"); group != "" && o.Op.Final && o.Op.Kind == history.Read && o.OK() && sums[group] != nil {
			readings++
			read[group] = true
			checkBound(o, sums[group], result)
		}
	}
	if len(read) < len(sums) {
		result.unknown("of %d sums only %d were read at the end", len(sums), len(read))
	}
	result.Checked = len(requests)
	result.summarize("%d requests under keys, %d final readings of %d sums", len(requests), readings, len(sums))
	return *result
}

// requestsOf returns the requests with a key, each with its attempts in the
// order in which they were sent.
func requestsOf(h *history.History) []*request {
	var list []*request
	byKey := map[string]*request{}
	for i := range h.Operations {
		o := &h.Operations[i]
		adds := o.Op.Kind == history.Increase || o.Op.Kind == history.Decrease
		if o.Op.Key == "" || !adds || workloadGroup(&o.Op, "retry") == "" {
			continue
		}
		r := byKey[o.Op.User+"\x00"+o.Op.Key]
		if r == nil {
			_, timed := counter.ParseUUIDv7(o.Op.Key)
			r = &request{timed: timed}
			byKey[o.Op.User+"\x00"+o.Op.Key] = r
			list = append(list, r)
		}
		r.attempts = append(r.attempts, o)
	}
	return list
}

// checkAnswers holds the answers to the attempts against each other. One whose
// key carries no time may be executed again when it is forgotten, and answered
// anew: the same answer has the same revision.
func (r *request) checkAnswers(result *Result) {
	var first *history.Operation
	for _, o := range r.attempts {
		if !o.OK() {
			continue
		}
		switch {
		case first == nil:
			first = o
		case o.Reply.Revision != first.Reply.Revision && r.timed,
			o.Reply.Revision == first.Reply.Revision && !slices.EqualFunc(o.Reply.Outcomes, first.Reply.Outcomes, history.Outcome.Equal):
			result.violation("%s was answered %v at %d and, as request %d, %v at %d", describe(first), first.Reply.Outcomes, first.Reply.Revision, o.ID, o.Reply.Outcomes, o.Reply.Revision)
		}
	}
}

// add adds to the bounds what the request adds to its counter: once if it was
// acknowledged, and possibly once if nobody knows. Without a time in its key, it
// may have counted once for each revision that it was answered with, and once
// more for each attempt that nobody knows of.
func (r *request) add(b *bounds, delta *big.Int) {
	revisions := map[uint64]bool{}
	unknown := 0
	for _, o := range r.attempts {
		switch {
		case o.OK():
			revisions[o.Reply.Revision] = true
		case o.Unknown():
			unknown++
		}
	}
	certain, possible := len(revisions), len(revisions)+unknown
	if r.timed {
		certain, possible = min(certain, 1), min(possible, 1)
	}
	least, greatest := new(big.Int).Mul(delta, big.NewInt(int64(certain))), new(big.Int).Mul(delta, big.NewInt(int64(possible)))
	if delta.Sign() < 0 {
		least, greatest = greatest, least
	}
	b.least.Add(&b.least, least)
	b.greatest.Add(&b.greatest, greatest)
}
