package checker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tally/counter"
	"tally/fsm"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
)

// replay is the model fed the committed log, entry by entry.
type replay struct {
	log     *committedLog
	history *history.History
	result  *Result

	state  groups
	timeMs int64 // log time
	// remembered are the last executions of requests by user and key. The model
	// forgets nothing: whether the nodes may have is asked of the table.
	remembered map[string]*entry
	table      table

	of     map[uint64][]*entry        // the entries of each invocation
	events map[string][]history.Event // of the groups that are watched, all there were
}

// query asks for the state of a group at a revision.
type query struct {
	revision uint64
	group    string
	answer   func(group)
}

// runReplay replays the log, answers the queries on the way, and holds the
// nodes' answers against the model's.
func runReplay(l *committedLog, h *history.History, watched []string, queries []query, result *Result) *replay {
	r := &replay{
		log: l, history: h, result: result,
		state: groups{}, remembered: map[string]*entry{},
		of: map[uint64][]*entry{}, events: map[string][]history.Event{},
	}
	for _, name := range watched {
		r.events[name] = nil
	}
	slices.SortStableFunc(queries, func(a, b query) int { return int(int64(a.revision - b.revision)) })
	for _, e := range l.entries {
		queries = r.answerBelow(queries, e.index)
		r.apply(e)
	}
	for _, q := range queries {
		q.answer(r.state[q.group])
	}
	return r
}

// answerBelow answers the queries for states before an index.
func (r *replay) answerBelow(queries []query, index uint64) []query {
	for len(queries) > 0 && queries[0].revision < index {
		queries[0].answer(r.state[queries[0].group])
		queries = queries[1:]
	}
	return queries
}

func (r *replay) apply(e *entry) {
	r.timeMs = max(r.timeMs, e.command.TimeMs)
	e.timeMs = r.timeMs
	if e.command.Type != fsm.TypeMutation {
		return
	}
	m := &e.command.Mutation
	r.attribute(e, m)
	if m.IdempotencyKey != "" && !r.mayExecute(e, m) {
		return
	}
	e.executed = true
	outcomes, code := r.state.change(e.parts, e.index)
	e.outcomes = outcomes
	if want := answerOf(outcomes, code, e); !sameAnswer(e.answer, want) {
		r.result.violation("entry %d (request %q): the model answers %s, %s answered %s", e.index, m.RequestID, answerText(want), e.node, answerText(e.answer))
	}
	if m.IdempotencyKey != "" {
		r.remembered[rememberedKey(m)] = e
		r.table.executed(e.timeMs)
	}
	if code == "" {
		r.publish(e)
	}
}

// attribute finds the invocation that an entry is of, and sees that it asked for
// what the entry does.
func (r *replay) attribute(e *entry, m *counter.Mutation) {
	id, err := strconv.ParseUint(m.RequestID, 10, 64)
	if err != nil || id == 0 || id > uint64(len(r.history.Operations)) {
		r.result.violation("entry %d is of request %q, which nobody invoked", e.index, m.RequestID)
		return
	}
	r.of[id] = append(r.of[id], e)
	op := &r.history.Operations[id-1].Op
	if op.User != m.User || op.Key != m.IdempotencyKey || !slices.EqualFunc(op.Parts, e.parts, history.Part.Equal) {
		r.result.violation("entry %d says of request %d %v by %q under key %q; it asked for %v by %q under %q", e.index, id, e.parts, m.User, m.IdempotencyKey, op.Parts, op.User, op.Key)
	}
}

func rememberedKey(m *counter.Mutation) string {
	return m.User + "\x00" + strings.ToLower(m.IdempotencyKey)
}

// mayExecute says whether a request with a key was executed, going by what the
// nodes answered, and whether that was right. What is forgotten when is the
// nodes' affair within the limits that hold for everybody.
func (r *replay) mayExecute(e *entry, m *counter.Mutation) bool {
	before, known := r.remembered[rememberedKey(m)]
	id, timed := counter.ParseUUIDv7(m.IdempotencyKey)
	switch {
	case e.answer.Replayed:
		if !known {
			r.result.violation("entry %d replays the request with key %q, which was never executed", e.index, m.IdempotencyKey)
		} else if want := replayedAnswer(before); !slices.EqualFunc(before.parts, e.parts, history.Part.Equal) || !sameAnswer(e.answer, want) {
			r.result.violation("entry %d replays entry %d with %s, which was answered %s", e.index, before.index, answerText(e.answer), answerText(want))
		}
		return false
	case string(e.answer.Code) == keyReused:
		if !known || slices.EqualFunc(before.parts, e.parts, history.Part.Equal) {
			r.result.violation("entry %d is refused as %s, but no other request has the key %q", e.index, keyReused, m.IdempotencyKey)
		}
		return false
	case string(e.answer.Code) == keyExpired:
		if !timed || !r.table.mayHaveForgotten(id.TimeMs(), r.timeMs) && id.TimeMs() <= r.timeMs+aheadMaxMs {
			r.result.violation("entry %d is refused as %s with the key %q at log time %d", e.index, keyExpired, m.IdempotencyKey, r.timeMs)
		}
		return false
	case known && timed:
		r.result.violation("the request with key %q is executed twice, by entry %d and entry %d", m.IdempotencyKey, before.index, e.index)
	case known && !r.table.mayHaveForgotten(before.timeMs, r.timeMs):
		r.result.violation("the request with key %q is executed twice, by entry %d and entry %d, %d ms later", m.IdempotencyKey, before.index, e.index, r.timeMs-before.timeMs)
	}
	return true
}

func answerOf(outcomes []history.Outcome, code string, e *entry) journal.Line {
	line := journal.Line{Revision: e.index, Code: counter.Code(code)}
	for i, o := range outcomes {
		values := []int64{}
		for _, c := range o.Counters {
			values = append(values, c.Value)
		}
		line.Values = append(line.Values, values)
		if e.parts[i].Kind == history.Delete {
			if line.Deleted == nil {
				line.Deleted = make([][]string, len(outcomes))
			}
			line.Deleted[i] = o.Deleted
		}
	}
	return line
}

func replayedAnswer(e *entry) journal.Line {
	line := e.answer
	line.Replayed = true
	return line
}

// publish notes the events of an entry for the groups that are watched.
func (r *replay) publish(e *entry) {
	for i, p := range e.parts {
		list, watched := r.events[p.Group]
		if !watched {
			continue
		}
		event := history.Event{Revision: e.index, Type: string(p.Kind), Group: p.Group, User: e.command.Mutation.User, TimeMs: e.timeMs}
		for k, c := range e.outcomes[i].Counters {
			event.Key, event.Value, event.Delta = c.Key, &e.outcomes[i].Counters[k].Value, nil
			if p.Kind != history.Set {
				event.Delta = &p.Counters[k].Value
			}
			list = append(list, event)
		}
		for _, key := range e.outcomes[i].Deleted {
			event.Key, event.Value, event.Delta = key, nil, nil
			list = append(list, event)
		}
		r.events[p.Group] = list
	}
}

// readQueries returns a query for each reading that a client got.
func readQueries(h *history.History, result *Result) []query {
	var queries []query
	for i := range h.Operations {
		o := &h.Operations[i]
		if !o.OK() || !o.Op.Kind.IsRead() {
			continue
		}
		queries = append(queries, query{o.Reply.Revision, o.Op.Parts[0].Group, func(g group) {
			got, want := o.Reply.Outcomes[0].Counters, g.selected(o.Op.Parts[0].Keys)
			if o.Reply.Outcomes[0].Group != o.Op.Parts[0].Group || o.Reply.ModRevision != g.modRevision || !slices.Equal(got, want) {
				result.violation("%s read %v of modRevision %d; at revision %d it was %v of %d", describe(o), got, o.Reply.ModRevision, o.Reply.Revision, want, g.modRevision)
			}
		}})
	}
	return queries
}

// describe names an operation.
func describe(o *history.Operation) string {
	return fmt.Sprintf("request %d (%v, through %s at %v)", o.ID, o.Op.Parts, o.Op.Node, o.Invoked)
}

// checkAnswers holds what clients were told of their changes against the log, and
// sees that nobody was told nonsense.
func (r *replay) checkAnswers() {
	for i := range r.history.Operations {
		o := &r.history.Operations[i]
		if o.Reply.Malformed {
			r.result.violation("%s was answered, whole, with what makes no sense: %s", describe(o), o.Reply.Error)
		}
		if o.Op.Kind.IsRead() {
			continue
		}
		r.checkExecutions(o)
		switch {
		case o.OK():
			r.checkAcknowledged(o)
		case o.Outcome == history.TypeFail:
			r.checkFailed(o)
		}
	}
}

// checkExecutions sees that a request is in the log once. One with a key may be
// there again: the nodes repeat it themselves while its outcome is unknown.
func (r *replay) checkExecutions(o *history.Operation) {
	executed := 0
	for _, e := range r.of[o.ID] {
		if e.executed {
			executed++
		}
	}
	entries := len(r.of[o.ID])
	if executed > 1 || entries > 1 && o.Op.Key == "" {
		r.result.violation("%s is in the log %d times and was executed %d times", describe(o), entries, executed)
	}
}

func (r *replay) checkAcknowledged(o *history.Operation) {
	e := r.log.at[o.Reply.Revision]
	switch {
	case e == nil:
		r.result.violation("%s was acknowledged at revision %d, and there is no such entry: it is lost", describe(o), o.Reply.Revision)
	case !r.isOf(e, o):
		r.result.violation("%s was acknowledged at revision %d, where the log has request %q: it is lost", describe(o), o.Reply.Revision, e.command.Mutation.RequestID)
	case !e.executed || e.answer.Code != "":
		r.result.violation("%s was acknowledged at revision %d, where it was not executed: %s", describe(o), o.Reply.Revision, answerText(e.answer))
	case !o.Reply.Replayed && e.command.Mutation.RequestID != strconv.FormatUint(o.ID, 10):
		r.result.violation("%s was answered, as if for the first time, what request %q had done at revision %d", describe(o), e.command.Mutation.RequestID, o.Reply.Revision)
	case !slices.EqualFunc(o.Reply.Outcomes, e.outcomes, history.Outcome.Equal):
		r.result.violation("%s was answered %v; at revision %d it was %v", describe(o), o.Reply.Outcomes, o.Reply.Revision, e.outcomes)
	}
}

// isOf says that an entry is of this request, or of another attempt of it.
func (r *replay) isOf(e *entry, o *history.Operation) bool {
	m := &e.command.Mutation
	if o.Op.Key == "" {
		return m.RequestID == strconv.FormatUint(o.ID, 10)
	}
	return m.IdempotencyKey == o.Op.Key && m.User == o.Op.User && slices.EqualFunc(e.parts, o.Op.Parts, history.Part.Equal)
}

// decided says that a refusal is the state machine's, which is in the log.
func decided(code string) bool {
	return code == outOfRange || code == tooManyCounters || code == revisionMismatch
}

// checkFailed sees that a request that certainly did nothing did nothing.
func (r *replay) checkFailed(o *history.Operation) {
	code := o.Reply.Code
	if decided(code) && o.Reply.Revision != 0 {
		e := r.log.at[o.Reply.Revision]
		if e == nil || !r.isOf(e, o) || string(e.answer.Code) != code {
			r.result.violation("%s was refused as %s at revision %d, where the log does not", describe(o), code, o.Reply.Revision)
		}
		return
	}
	for _, e := range r.of[o.ID] {
		if e.executed || code != keyReused && code != keyExpired {
			r.result.violation("%s failed (%s %s), and is in the log at %d all the same", describe(o), code, o.Reply.Error, e.index)
		}
	}
}
