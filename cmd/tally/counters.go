package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tally/client"
	"tally/counter"
)

func (p *program) getCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "get GROUP [KEY...]",
		Short: "Read counters of a group",
		Long: `Read some or all counters of a group: everything that was acknowledged before, on any node.

In the plain form one named counter is its value and nothing else; several are lines of key and value.`,
		Example: `  tally get room
  tally get room likes gifts
  tally get room likes --stale
  tally get room -o json`,
		Args:              arguments(1, -1, "GROUP [KEY...]"),
		ValidArgsFunction: p.completeGroupAndKeys,
	}
	stale := c.Flags().Bool("stale", false, "read what one node has at once; it may lag behind")
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.with(func(calls *client.Client) error {
			read := calls.Get
			if *stale {
				read = calls.GetStale
			}
			reading, err := read(c.Context(), args[0], args[1:]...)
			if err != nil {
				return err
			}
			if len(args) == 2 && len(reading.Counters) == 0 {
				return counter.Errorf(counter.CounterNotFound, "the group %q has no counter %q; see what it has: tally get %s", args[0], args[1], args[0])
			}
			return p.print(readingDocument(reading, len(args) == 2))
		})
	}
	return c
}

// readingDocument shows a reading; alone says that one counter was asked for.
func readingDocument(r counter.Reading, alone bool) document {
	d := document{
		value: struct {
			Group       string   `json:"group"`
			Revision    uint64   `json:"revision"`
			ModRevision uint64   `json:"modRevision"`
			Counters    counters `json:"counters"`
		}{r.Group, r.Revision, r.ModRevision, r.Counters},
		header: []string{"KEY", "VALUE"},
		rows:   counterRows(r.Counters),
	}
	if len(r.Counters) == 0 {
		d.note = fmt.Sprintf("The group %q has no counters.", r.Group)
	}
	if alone {
		d.plain = [][]string{{strconv.FormatInt(r.Counters[0].Value, 10)}}
	}
	return d
}

func counterRows(all []counter.Counter) [][]string {
	rows := make([][]string, len(all))
	for i, c := range all {
		rows[i] = []string{c.Key, strconv.FormatInt(c.Value, 10)}
	}
	return rows
}

func (p *program) setCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set GROUP KEY=VALUE...",
		Short: "Set counters of a group; others of it stay",
		Example: `  tally set room likes=0 gifts=0
  tally set room seats=40 --if-absent
  tally set room seats=39 --if-revision 1742`,
		Args:              arguments(2, -1, "GROUP KEY=VALUE..."),
		ValidArgsFunction: p.completeGroupAndKeys,
	}
	revision := c.Flags().Uint64("if-revision", 0, "only if the group's modRevision is still this `one`")
	absent := c.Flags().Bool("if-absent", false, "only if the group has no counters")
	once := idempotencyFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := exclusive(c, "if-revision", "if-absent"); err != nil {
			return err
		}
		values, err := parseAssignments(args[1:], false)
		if err != nil {
			return err
		}
		options := once.options()
		if c.Flags().Changed("if-revision") {
			options = append(options, client.IfRevision(*revision))
		}
		if *absent {
			options = append(options, client.IfAbsent())
		}
		return p.change(func(calls *client.Client) (counter.Result, error) {
			return calls.Set(c.Context(), args[0], values, options...)
		}, len(values) == 1)
	}
	return c
}

func (p *program) increaseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "increase GROUP KEY[=BY]...",
		Short: "Increase counters of a group, by 1 unless said otherwise",
		Long: `Increase counters of a group, all or none. A counter that does not exist starts at 0.
It is sent under an idempotency key, again and again until it is answered, and counts once.`,
		Example: `  tally increase room likes
  tally increase room likes=5 gifts=2`,
	}
	p.addition(c, (*client.Client).Increase)
	return c
}

func (p *program) decreaseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "decrease GROUP KEY[=BY]...",
		Short: "Decrease counters of a group, by 1 unless said otherwise",
		Long: `Decrease counters of a group, all or none. A counter that does not exist starts at 0.
It is sent under an idempotency key, again and again until it is answered, and counts once.`,
		Example: `  tally decrease room seats
  tally decrease room seats=2`,
	}
	p.addition(c, (*client.Client).Decrease)
	return c
}

// addition completes increase and decrease.
func (p *program) addition(c *cobra.Command, call func(*client.Client, context.Context, string, map[string]int64, ...client.CallOption) (counter.Result, error)) {
	c.Args = arguments(2, -1, "GROUP KEY[=BY]...")
	c.ValidArgsFunction = p.completeGroupAndKeys
	once := idempotencyFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		deltas, err := parseAssignments(args[1:], true)
		if err != nil {
			return err
		}
		return p.change(func(calls *client.Client) (counter.Result, error) {
			return call(calls, c.Context(), args[0], deltas, once.options()...)
		}, len(deltas) == 1)
	}
}

func (p *program) deleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete GROUP KEY...",
		Short: "Delete counters of a group",
		Long:  "Delete counters of a group, or all of them with --all. Counters that do not exist are no error.",
		Example: `  tally delete room gifts
  tally delete room --all`,
		Args:              arguments(1, -1, "GROUP KEY..., or GROUP --all"),
		ValidArgsFunction: p.completeGroupAndKeys,
	}
	all := c.Flags().Bool("all", false, "delete every counter of the group")
	once := idempotencyFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *all == (len(args) > 1) {
			return usagef("name the counters to delete, or give --all for every one of the group")
		}
		operation := counter.Operation{Kind: counter.Delete, Group: args[0], Keys: args[1:], All: *all}
		if *all {
			operation.Keys = nil
		}
		return p.change(func(calls *client.Client) (counter.Result, error) {
			return calls.Batch(c.Context(), []counter.Operation{operation}, once.options()...)
		}, false)
	}
	return c
}

// change carries out a change of one group and prints its result; alone says
// that one counter was named, whose value is then all of the plain form.
func (p *program) change(call func(*client.Client) (counter.Result, error), alone bool) error {
	return p.with(func(calls *client.Client) error {
		result, err := call(calls)
		if err != nil {
			return err
		}
		d := outcomeDocument(result.Outcomes[0])
		d.value = changed{Group: result.Outcomes[0].Group, Revision: result.Revision, Replayed: result.Replayed, outcome: asOutcome(result.Outcomes[0])}
		if alone {
			d.plain = [][]string{{strconv.FormatInt(result.Outcomes[0].Counters[0].Value, 10)}}
		}
		if result.Replayed {
			d.note = "This change was made by an earlier attempt; here is its result again."
		}
		return p.print(d)
	})
}

// changed is the JSON of a change of one group.
type changed struct {
	Group    string `json:"group"`
	Revision uint64 `json:"revision"`
	outcome
	Replayed bool `json:"replayed,omitempty"`
}

// outcome is the part of a result that depends on the operation: one of the two.
type outcome struct {
	Counters *counters `json:"counters,omitempty"`
	Deleted  *[]string `json:"deleted,omitempty"`
}

func asOutcome(o counter.Outcome) outcome {
	if o.Counters != nil {
		return outcome{Counters: (*counters)(&o.Counters)}
	}
	deleted := append([]string{}, o.Deleted...)
	return outcome{Deleted: &deleted}
}

func outcomeDocument(o counter.Outcome) document {
	if o.Counters != nil {
		return document{header: []string{"KEY", "VALUE"}, rows: counterRows(o.Counters)}
	}
	d := document{header: []string{"DELETED"}, rows: [][]string{}}
	for _, key := range o.Deleted {
		d.rows = append(d.rows, []string{key})
	}
	if len(o.Deleted) == 0 {
		d.note = "There was nothing to delete."
	}
	return d
}

// counters are an object in JSON, in their own order.
type counters []counter.Counter

// MarshalJSON implements json.Marshaler.
func (c counters) MarshalJSON() ([]byte, error) {
	var out strings.Builder
	out.WriteByte('{')
	for i, one := range c {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quoted(one.Key))
		out.WriteString(":" + strconv.FormatInt(one.Value, 10))
	}
	out.WriteByte('}')
	return []byte(out.String()), nil
}

// idempotencyKey is the flag of commands that change counters.
type idempotencyKey struct {
	flags *pflag.FlagSet
	key   string
}

func idempotencyFlag(c *cobra.Command) *idempotencyKey {
	once := &idempotencyKey{flags: c.Flags()}
	c.Flags().StringVar(&once.key, "idempotency-key", "", "`key` of an earlier attempt of the same command, to repeat it without counting twice (default: a new one)")
	return once
}

// options passes an empty key on too, to be refused: whoever gave it, from a
// variable that is not set, must not be given a new one each time.
func (k *idempotencyKey) options() []client.CallOption {
	if !k.flags.Changed("idempotency-key") {
		return nil
	}
	return []client.CallOption{client.IdempotencyKey(k.key)}
}

// parseAssignments reads KEY=VALUE, or, with one, also KEY alone for 1. A key
// may contain '=': the last one ends it.
func parseAssignments(args []string, one bool) (map[string]int64, error) {
	values := make(map[string]int64)
	for _, arg := range args {
		key, text := arg, "1"
		if i := strings.LastIndexByte(arg, '='); i >= 0 {
			key, text = arg[:i], arg[i+1:]
		} else if !one {
			return nil, usagef("%q is not of the form KEY=VALUE", arg)
		}
		value, refusal := counter.ParseValue(text)
		if refusal != nil {
			return nil, usagef("%s: %s", arg, refusal.Detail)
		}
		if _, twice := values[key]; twice {
			return nil, usagef("%q is named twice", key)
		}
		values[key] = value
	}
	return values, nil
}
