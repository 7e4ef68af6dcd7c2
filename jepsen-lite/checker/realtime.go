package checker

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"tally/jepsen-lite/history"
)

// moment is an invocation or a return, or that a watcher was told.
type moment struct {
	at       time.Duration
	isReturn bool
	op       *history.Operation // nil for a watcher
	revision uint64             // for a watcher
}

// checkRealTime holds the order of the log against time. Who is sent after
// another came back must be after it in the log, a reading not before it: every
// request has its place in the one order of the log, so that all of them
// together are as if done one at a time, in the order of time (strict
// serializability), over all groups.
//
// What stale readings and watchers have seen was committed too, so what is sent
// after they came back is not before that either. They may see less themselves.
func checkRealTime(r *replay) Result {
	result := newResult("real time")
	seen := make(map[*history.Operation]uint64) // the greatest revision that had come back to anybody when it was sent
	var known uint64
	for _, m := range moments(r.history) {
		switch {
		case m.op == nil:
			known = max(known, m.revision)
		case !m.isReturn:
			seen[m.op] = known
		default:
			known = max(known, revisionOf(m.op))
		}
	}
	checked := 0
	for i := range r.history.Operations {
		o := &r.history.Operations[i]
		before := seen[o]
		if o.Op.Kind == history.Read && o.OK() {
			checked++
			if o.Reply.Revision < before {
				result.violation("%s is a stale read: it saw revision %d, and %d had been seen before it was sent", describe(o), o.Reply.Revision, before)
			}
			continue
		}
		for _, e := range r.of[o.ID] {
			checked++
			if e.index <= before {
				result.violation("%s is in the log at %d, and revision %d had been seen before it was sent", describe(o), e.index, before)
			}
		}
	}
	result.Checked = checked
	result.summarize("%d readings and entries against %d requests", checked, len(r.history.Operations))
	checkForesight(r, result)
	return *result
}

// moments returns everything that happened in the order of time. Of what
// happened at one time, invocations come first: nothing is held against them.
func moments(h *history.History) []moment {
	list := make([]moment, 0, 2*len(h.Operations)+len(h.Messages))
	for i := range h.Operations {
		o := &h.Operations[i]
		list = append(list, moment{at: o.Invoked, op: o})
		if o.Outcome != "" {
			list = append(list, moment{at: o.Returned, isReturn: true, op: o})
		}
	}
	for _, m := range h.Messages {
		list = append(list, moment{at: m.At, isReturn: true, revision: toldRevision(&m.What)})
	}
	slices.SortStableFunc(list, func(a, b moment) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(boolToInt(a.isReturn), boolToInt(b.isReturn)))
	})
	return list
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// toldRevision returns the greatest revision that a message tells of.
func toldRevision(m *history.Message) uint64 {
	var told uint64
	for _, e := range m.Events {
		told = max(told, e.Revision)
	}
	if !m.Form.Several() {
		position, err := strconv.ParseUint(m.Position, 10, 64)
		if err == nil {
			told = max(told, position)
		}
	}
	return told
}

// revisionOf returns the revision that a reply tells of, 0 for none.
func revisionOf(o *history.Operation) uint64 {
	if o.OK() || decided(o.Reply.Code) {
		return o.Reply.Revision
	}
	return 0
}

// checkForesight sees that nobody was told of a change before it was sent.
func checkForesight(r *replay, result *Result) {
	for _, m := range r.history.Messages {
		for _, event := range m.What.Events {
			e := r.log.at[event.Revision]
			if e == nil || event.Type == "reset" {
				continue
			}
			id, err := strconv.ParseUint(e.command.Mutation.RequestID, 10, 64)
			if err != nil || id == 0 || id > uint64(len(r.history.Operations)) {
				continue // replay tells of it
			}
			if o := &r.history.Operations[id-1]; o.Invoked > m.At {
				result.violation("%s was told at %v of revision %d, whose %s was sent later", m.What.Watcher, m.At, event.Revision, describe(o))
			}
		}
	}
}
