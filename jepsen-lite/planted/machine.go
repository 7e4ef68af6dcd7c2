//go:build jepsen && planted

package planted

import (
	"math"
	"slices"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
)

// machine changes commands before they are applied. What it does to a command
// follows from the log alone, so that all nodes agree; but for differ.
type machine struct {
	*fsm.Machine
	id   string
	rule rule
}

// change is one mutation on its way into the state machine.
type change struct {
	machine  *fsm.Machine
	node     string
	index    uint64
	mutation *counter.Mutation
}

// rule changes a mutation and returns what is to be done to its result, nil for
// nothing.
type rule func(c *change) (after func(*counter.Result))

// Apply applies one entry.
func (m *machine) Apply(entry *raft.Log) any { return m.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch applies entries one by one: a rule may read the state before each.
func (m *machine) ApplyBatch(entries []*raft.Log) []any {
	responses := make([]any, len(entries))
	for i, entry := range entries {
		responses[i] = m.applyOne(entry)
	}
	return responses
}

func (m *machine) applyOne(entry *raft.Log) any {
	if entry.Type != raft.LogCommand {
		return m.Machine.Apply(entry)
	}
	command, err := fsm.DecodeCommand(entry.Data)
	if err != nil || command.Type != fsm.TypeMutation {
		return m.Machine.Apply(entry)
	}
	after := m.rule(&change{m.Machine, m.id, entry.Index, &command.Mutation})
	changed := *entry // Raft keeps the entry, and the journal tells of it
	changed.Data = command.Append(nil)
	response := m.Machine.Apply(&changed)
	if applied, ok := response.(*fsm.Applied); ok && applied.Err == nil && after != nil {
		after(&applied.Result)
	}
	return response
}

// sometimes says yes for one entry of n.
func (c *change) sometimes(n uint64) bool { return c.index%n == 0 }

// only returns the operation of a mutation that has one of the kind.
func (c *change) only(kind counter.Kind) (o *counter.Operation, ok bool) {
	m := c.mutation
	if len(m.Operations) != 1 || m.Operations[0].Kind != kind || m.IdempotencyKey != "" {
		return nil, false
	}
	return &m.Operations[0], true
}

func applyTwice(c *change) func(*counter.Result) {
	o, ok := c.only(counter.Increase)
	if !ok || !c.sometimes(25) {
		return nil
	}
	c.mutation.Operations = []counter.Operation{*o, *o}
	return func(r *counter.Result) { r.Outcomes = r.Outcomes[1:] }
}

func ignoreKey(c *change) func(*counter.Result) {
	c.mutation.IdempotencyKey = ""
	return nil
}

func ignoreCondition(c *change) func(*counter.Result) {
	for i := range c.mutation.Operations {
		c.mutation.Operations[i].Condition = counter.Condition{}
	}
	return nil
}

func wrap(c *change) func(*counter.Result) { return c.beyond(func(sum, _ int64) int64 { return sum }) }

func clamp(c *change) func(*counter.Result) {
	return c.beyond(func(_, operand int64) int64 {
		if operand < 0 {
			return math.MinInt64
		}
		return math.MaxInt64
	})
}

// beyond makes of an increase that does not fit a set to some other number. The
// sum that it is given has wrapped.
func (c *change) beyond(value func(sum, operand int64) int64) func(*counter.Result) {
	o, ok := c.only(counter.Increase)
	if !ok || len(o.Counters) != 1 {
		return nil
	}
	given := o.Counters[0]
	var old int64
	for _, found := range c.machine.Read(o.Group, []string{given.Key}).Counters {
		old = found.Value
	}
	sum := old + given.Value
	if (sum > old) != (given.Value > 0) && given.Value != 0 {
		o.Kind, o.Counters = counter.Set, []counter.Counter{{Key: given.Key, Value: value(sum, given.Value)}}
	}
	return nil
}

func negate(c *change) func(*counter.Result) {
	if o, ok := c.only(counter.Decrease); ok {
		o.Kind, o.Counters = counter.Increase, slices.Clone(o.Counters)
		for i := range o.Counters {
			o.Counters[i].Value = -o.Counters[i].Value
		}
	}
	return nil
}

// leaveKey says that all were deleted, and leaves the last.
func leaveKey(c *change) func(*counter.Result) {
	o, ok := c.only(counter.Delete)
	if !ok || !o.All {
		return nil
	}
	found := c.machine.Read(o.Group, nil).Counters
	if len(found) < 2 {
		return nil
	}
	o.All = false
	for _, each := range found[:len(found)-1] {
		o.Keys = append(o.Keys, each.Key)
	}
	left := found[len(found)-1].Key
	return func(r *counter.Result) { r.Outcomes[0].Deleted = append(r.Outcomes[0].Deleted, left) }
}

// differ adds one more on one node, as a loop over a map, or a clock, would.
func differ(c *change) func(*counter.Result) {
	if o, ok := c.only(counter.Increase); ok && c.node == "n2" && c.sometimes(50) && o.Counters[0].Value < math.MaxInt64 {
		o.Counters = slices.Clone(o.Counters)
		o.Counters[0].Value++
	}
	return nil
}
