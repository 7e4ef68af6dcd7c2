package checker

import (
	"math/big"
	"strings"

	"tally/jepsen-lite/history"
)

// The checks of this file know nothing of the log: they hold answers against
// what was sent and acknowledged, as Jepsen's counter and unique-ids checkers
// do. Sums are big.Ints, which cannot overflow.

// workloadGroup returns the group of an operation of a workload, "" for others.
// Final readings are of the workload that the group is named after.
func workloadGroup(o *history.Op, workload string) string {
	if len(o.Parts) == 1 && strings.HasPrefix(o.Parts[0].Group, workload+"-") {
		return o.Parts[0].Group
	}
	return ""
}

// tally is the sums of the changes of one counter.
type tally struct {
	// Acknowledged and sent, increases and decreases apart: a change counts as
	// sent from its invocation on, and as acknowledged from its return on.
	ackUp, ackDown, sentUp, sentDown big.Int
}

// bounds are the least and the greatest value that a reading may have.
type bounds struct{ least, greatest big.Int }

// deltaOf returns what a change adds to its counter.
func deltaOf(o *history.Op) *big.Int {
	d := big.NewInt(o.Parts[0].Counters[0].Value)
	if o.Parts[0].Kind == history.Decrease {
		d.Neg(d)
	}
	return d
}

// checkBounds sees that each reading of a counter that is only increased and
// decreased is between two sums. Jepsen's counter knows increases only: the
// least value is the sum of all that were acknowledged when the reading was
// sent, the greatest that of all that had been sent when it came back. With
// decreases, those that may have happened count for the least value, and only
// those that certainly have for the greatest.
func checkBounds(h *history.History) Result {
	result := newResult("bounds")
	tallies := map[string]*tally{}
	reads := map[*history.Operation]*bounds{}
	counters := 0
	for _, m := range moments(h) {
		if m.op == nil {
			continue
		}
		group := workloadGroup(&m.op.Op, "counter")
		if group == "" || m.op.Op.Kind == history.Stale || m.op.Outcome == history.TypeFail {
			continue
		}
		t := tallies[group]
		if t == nil {
			t = &tally{}
			tallies[group] = t
			counters++
		}
		switch kind := m.op.Op.Kind; {
		case kind == history.Increase || kind == history.Decrease:
			t.count(m)
		case kind != history.Read:
			result.unknown("%s does more to the counter than to increase or decrease it", describe(m.op))
		case !m.isReturn:
			b := &bounds{}
			b.least.Set(&t.ackUp)
			b.greatest.Set(&t.ackDown)
			reads[m.op] = b
		case m.op.OK():
			result.Checked++
			reads[m.op].close(t)
			checkBound(m.op, reads[m.op], result)
		}
	}
	result.summarize("%d readings of %d counters", result.Checked, counters)
	return *result
}

// count adds a change to the sums.
func (t *tally) count(m moment) {
	delta := deltaOf(&m.op.Op)
	up, down := &t.sentUp, &t.sentDown
	if m.isReturn {
		if !m.op.OK() {
			return
		}
		up, down = &t.ackUp, &t.ackDown
	}
	if delta.Sign() < 0 {
		up = down
	}
	up.Add(up, delta)
}

// close adds what was sent while the reading was under way, or before.
func (b *bounds) close(t *tally) {
	b.least.Add(&b.least, &t.sentDown)
	b.greatest.Add(&b.greatest, &t.sentUp)
}

func checkBound(o *history.Operation, b *bounds, result *Result) {
	value := big.NewInt(0)
	for _, c := range o.Reply.Outcomes[0].Counters {
		value.SetInt64(c.Value)
	}
	if value.Cmp(&b.least) < 0 || value.Cmp(&b.greatest) > 0 {
		result.violation("%s read %v, which is not between %v and %v", describe(o), value, &b.least, &b.greatest)
	}
}

// checkTickets sees that every caller got a number of its own, and a greater one
// than anybody who had one before the caller asked.
func checkTickets(h *history.History) Result {
	result := newResult("tickets")
	holders := map[string]map[int64]*history.Operation{} // by group and number
	highest := map[string]int64{}
	before := map[*history.Operation]int64{}
	for _, m := range moments(h) {
		if m.op == nil || workloadGroup(&m.op.Op, "ticket") == "" || m.op.Op.Kind != history.Increase {
			continue
		}
		group := m.op.Op.Parts[0].Group
		if !m.isReturn {
			before[m.op] = highest[group]
			continue
		}
		if !m.op.OK() || len(m.op.Reply.Outcomes[0].Counters) != 1 {
			continue // replay tells of an answer without a number
		}
		result.Checked++
		number := m.op.Reply.Outcomes[0].Counters[0].Value
		if holders[group] == nil {
			holders[group] = map[int64]*history.Operation{}
		}
		if other := holders[group][number]; other != nil {
			result.violation("%s and %s both got the number %d", describe(m.op), describe(other), number)
		}
		if number <= before[m.op] {
			result.violation("%s got the number %d, and %d had been given before it asked", describe(m.op), number, before[m.op])
		}
		holders[group][number] = m.op
		highest[group] = max(highest[group], number)
	}
	result.summarize("%d numbers of %d counters", result.Checked, len(holders))
	return *result
}
