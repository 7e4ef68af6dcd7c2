package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tally/client"
	"tally/counter"
)

// watching are the flags of watch.
type watching struct {
	keys   []string
	after  string
	cursor string
	count  int
}

func (p *program) watchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch GROUP...",
		Short: "Show every change of groups as it happens",
		Long: `Show the state of groups and then every change, once and in order, until Ctrl-C.
Broken connections and lost nodes do not show: the watch goes on through another node where it was.
If it was away for longer than nodes remember changes, it shows the state again.

In the plain form each line has, separated by tabs: revision, type (reset, set, increase, decrease,
delete), group, key, value, delta, user and the time in Unix milliseconds. A reset has one line for
each counter, or one without a key if there is none. In the json and yaml forms an event is one line
or one document, and "cursor" is what --cursor takes to go on behind it.`,
		Example: `  tally watch room
  tally watch room lobby -o json
  tally watch room --key likes --key gifts
  tally watch room --after now --count 10
  tally watch room --after 1742`,
		Args:              arguments(1, -1, "GROUP..."),
		ValidArgsFunction: p.completeGroups,
	}
	var w watching
	c.Flags().StringArrayVar(&w.keys, "key", nil, "only this `counter`, of one group; repeatable")
	c.Flags().StringVar(&w.after, "after", "", "begin behind this `revision` of one group, or \"now\"; otherwise with the state")
	c.Flags().StringVar(&w.cursor, "cursor", "", "go on behind the event that had this `cursor`, in a watch of the same groups")
	c.Flags().IntVar(&w.count, "count", 0, "end after so many `events`; 0 never")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := exclusive(c, "after", "cursor"); err != nil {
			return err
		}
		if w.count < 0 {
			return usagef("--count must not be less than 0")
		}
		return p.with(func(calls *client.Client) error {
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			events, err := w.begin(ctx, calls, args)
			if err != nil {
				return err
			}
			return p.showEvents(ctx, events, w.count)
		})
	}
	return c
}

// begin starts the watch that the flags describe.
func (w *watching) begin(ctx context.Context, calls *client.Client, groups []string) (iter.Seq2[client.Event, error], error) {
	if len(groups) == 1 {
		var options []client.WatchOption
		if len(w.keys) > 0 {
			options = append(options, client.Keys(w.keys...))
		}
		switch {
		case w.after == "now":
			options = append(options, client.FromNow())
		case w.after != "":
			revision, err := strconv.ParseUint(w.after, 10, 64)
			if err != nil {
				return nil, usagef("--after %q is neither a revision nor \"now\"", w.after)
			}
			options = append(options, client.After(revision))
		case w.cursor != "":
			options = append(options, client.From(w.cursor))
		}
		return calls.Watch(ctx, groups[0], options...), nil
	}
	if w.after != "" || len(w.keys) > 0 {
		return nil, usagef("--after and --key are for the watch of one group; several go on with --cursor")
	}
	selections := make([]client.Selection, len(groups))
	for i, group := range groups {
		selections[i].Group = group
	}
	var options []client.WatchOption
	if w.cursor != "" {
		options = append(options, client.From(w.cursor))
	}
	return calls.WatchGroups(ctx, selections, options...), nil
}

// showEvents prints events until there are enough, or until it is told to end.
func (p *program) showEvents(ctx context.Context, events iter.Seq2[client.Event, error], count int) error {
	show := p.eventPrinter()
	shown := 0
	for event, err := range events {
		if err != nil {
			if errors.Is(err, context.Canceled) && ctx.Err() != nil {
				return nil // Ctrl-C is how a watch ends
			}
			return err
		}
		if err := show(p.Stdout, event); err != nil {
			return err
		}
		if shown++; shown == count {
			return nil
		}
	}
	return nil
}

func (p *program) eventPrinter() func(io.Writer, client.Event) error {
	switch p.form() {
	case formJSON:
		return printEventJSON
	case formYAML:
		return func(out io.Writer, event client.Event) error {
			if _, err := fmt.Fprintln(out, "---"); err != nil {
				return err
			}
			return writeYAML(out, asShown(event))
		}
	case formTable:
		return printEventForPeople
	}
	return printEventPlain
}

// shownEvent is an event as the HTTP API has it, with its cursor.
type shownEvent struct {
	Revision uint64    `json:"revision"`
	Type     string    `json:"type"`
	Group    string    `json:"group"`
	Key      string    `json:"key,omitempty"`
	Value    *int64    `json:"value,omitempty"`
	Delta    *int64    `json:"delta,omitempty"`
	User     string    `json:"user,omitempty"`
	TimeMs   int64     `json:"timeMs,omitempty"`
	Counters *counters `json:"counters,omitempty"`
	Cursor   string    `json:"cursor,omitempty"`
}

// resetWord is the type of an event that shows a state.
const resetWord = "reset"

func asShown(e client.Event) shownEvent {
	if e.Reset != nil {
		return shownEvent{Revision: e.Revision, Type: resetWord, Group: e.Group, Counters: (*counters)(&e.Reset.Counters), Cursor: e.Cursor}
	}
	shown := shownEvent{Revision: e.Revision, Type: e.Kind.String(), Group: e.Group, Key: e.Key, User: e.User, TimeMs: e.TimeMs, Cursor: e.Cursor}
	if e.Kind != counter.Delete {
		shown.Value = &e.Value
	}
	if hasDelta(e) {
		shown.Delta = &e.Delta
	}
	return shown
}

func hasDelta(e client.Event) bool { return e.Kind == counter.Increase || e.Kind == counter.Decrease }

func printEventJSON(out io.Writer, event client.Event) error {
	line, err := json.Marshal(asShown(event))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

func printEventPlain(out io.Writer, e client.Event) error {
	revision := strconv.FormatUint(e.Revision, 10)
	if e.Reset != nil {
		rows := [][]string{}
		for _, c := range e.Reset.Counters {
			rows = append(rows, []string{revision, resetWord, e.Group, c.Key, strconv.FormatInt(c.Value, 10), "", "", ""})
		}
		if len(rows) == 0 {
			rows = append(rows, []string{revision, resetWord, e.Group, "", "", "", "", ""})
		}
		return writePlain(out, rows)
	}
	value, delta := "", ""
	if e.Kind != counter.Delete {
		value = strconv.FormatInt(e.Value, 10)
	}
	if hasDelta(e) {
		delta = strconv.FormatInt(e.Delta, 10)
	}
	return writePlain(out, [][]string{{revision, e.Kind.String(), e.Group, e.Key, value, delta, e.User, strconv.FormatInt(e.TimeMs, 10)}})
}

// printEventForPeople writes a line that reads like a sentence.
func printEventForPeople(out io.Writer, e client.Event) error {
	if e.Reset != nil {
		return printState(out, *e.Reset)
	}
	line := fmt.Sprintf("%s  %s  %s", time.UnixMilli(e.TimeMs).Format("15:04:05.000"), e.Group, e.Key)
	switch e.Kind {
	case counter.Set:
		line += fmt.Sprintf(" = %d", e.Value)
	case counter.Increase:
		line += fmt.Sprintf(" = %d  (%+d)", e.Value, e.Delta)
	case counter.Decrease:
		line += fmt.Sprintf(" = %d  (minus %d)", e.Value, e.Delta)
	case counter.Delete:
		line += " deleted"
	}
	if e.User != "" {
		line += "  by " + e.User
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

func printState(out io.Writer, state counter.Reading) error {
	line := fmt.Sprintf("%s at revision %d", state.Group, state.Revision)
	if len(state.Counters) == 0 {
		line += ": no counters"
	}
	for i, c := range slices.All(state.Counters) {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		line += fmt.Sprintf("%s%s = %d", separator, c.Key, c.Value)
	}
	_, err := fmt.Fprintln(out, line)
	return err
}
