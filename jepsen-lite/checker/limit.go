package checker

import "tally/jepsen-lite/history"

// The call limit of one user, as it is by default.
const (
	limitCalls    = 20
	limitWindowMs = 5000
)

// checkLimit sees that no user got more than limitCalls changes into the log
// within any limitWindowMs of log time. A leader that got its state from a
// snapshot does not know the calls of the seconds before it: such windows are
// counted and left out, as docs/consistency.md says.
func checkLimit(r *replay) Result {
	result := newResult("limit")
	calls := map[string][]*entry{}
	excused := 0
	for _, e := range r.log.entries {
		user := e.command.Mutation.User
		if user == "" || !e.executed {
			continue
		}
		result.Checked++
		list := append(calls[user], e)
		calls[user] = list
		if len(list) <= limitCalls {
			continue
		}
		first := list[len(list)-1-limitCalls]
		switch {
		case e.timeMs-first.timeMs >= limitWindowMs:
		case r.log.forgot(first.index, e.index):
			excused++
		default:
			result.violation("user %s got %d changes into the log within %d ms, from entry %d to %d", user, limitCalls+1, e.timeMs-first.timeMs, first.index, e.index)
		}
	}
	refused := 0
	for i := range r.history.Operations {
		if r.history.Operations[i].Reply.Code == "rate_limited" {
			refused++
		}
	}
	if used := usesWorkload(r.history, "limit"); used && refused == 0 {
		result.unknown("nobody was ever refused: the limit was not reached")
	}
	result.summarize("%d changes of %d users, %d calls refused, %d windows left out after a snapshot", result.Checked, len(calls), refused, excused)
	return *result
}

func usesWorkload(h *history.History, name string) bool {
	for i := range h.Operations {
		if h.Operations[i].Op.Workload == name {
			return true
		}
	}
	return false
}

// forgot says that some node had the entry at first from a snapshot and began
// from there before the entry at last, and so may have led and let it pass. A node
// that began later had no part in it.
func (l *committedLog) forgot(first, last uint64) bool {
	for _, r := range l.restores {
		if first <= r.base && r.base < last {
			return true
		}
	}
	return false
}
