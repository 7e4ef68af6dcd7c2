package cluster

import "tally/counter"

// Limits are the call limits of users that this node asks. Each may be nil: no
// limit. Callers who are not limited, or have no name, are never passed in.
type Limits struct {
	// Mutations counts while this node leads. It must learn of every limited
	// mutation that the state machine applies, on that goroutine: a leader asks it
	// only when it has applied a command of its term, and so noted all before.
	Mutations MutationLimit
	// Reads counts linearizable reads of the whole cluster while this node leads.
	Reads Limit
	// StaleReads counts those that this node answers by itself.
	StaleReads Limit
}

// Limit decides on calls.
type Limit interface {
	// Admit decides on a call of the user at a time in Unix milliseconds, and
	// counts it if it is admitted.
	Admit(user string, nowMs int64) Verdict
}

// MutationLimit also learns what becomes of the calls it has admitted.
type MutationLimit interface {
	Limit
	// Return takes back a call, by the time of its verdict, that is certainly not
	// and will not be in the log.
	Return(user string, atMs int64)
	// BeginTerm is called before the first Admit of each term of leadership:
	// what was admitted before and is not in the log by now was lost.
	BeginTerm()
}

// Verdict is what becomes of one call.
type Verdict struct {
	// OK: the call is admitted, and counted.
	OK bool
	// AtMs is when it counts, in Unix milliseconds; a mutation is stamped with it.
	AtMs int64
	// Quota is what the user has left.
	Quota counter.Quota
}

// limitNowMs is the time at which the leader counts a call: its clock, unless
// log time is ahead of that.
func (n *Node) limitNowMs() int64 { return max(n.clock.nowMs(), n.machine.TimeMs()) }

// admission is what the leader's limit has given a mutation.
type admission struct {
	verdict Verdict
	counted bool // there is a verdict
}

// quota is what the caller is told, nil if the mutation was not counted.
func (a *admission) quota() *counter.Quota {
	if !a.counted {
		return nil
	}
	return &a.verdict.Quota
}

// admit asks the limit of mutations and returns the time to stamp p with. Only
// the proposer's run calls it, of a leader that is ready.
func (q *proposer) admit(p *proposal) (stampMs int64, refusal *counter.Error) {
	limit := q.node.config.Limits.Mutations
	if limit == nil || p.mutation == nil || !p.mutation.UnderLimit() {
		return q.node.clock.nowMs(), nil
	}
	if term := q.node.machine.AppliedTermCommand(); term != q.limitTerm {
		limit.BeginTerm()
		q.limitTerm = term
	}
	p.admission = admission{verdict: limit.Admit(p.mutation.User, q.node.limitNowMs()), counted: true}
	if verdict := &p.admission.verdict; !verdict.OK {
		q.node.metrics.limited.WithLabelValues(verdict.Quota.Name).Inc()
		return 0, verdict.Quota.Refusal()
	}
	return p.admission.verdict.AtMs, nil
}

// giveBack takes p out of the count when it certainly did not get into the log.
func (q *proposer) giveBack(p *proposal) {
	if a := &p.admission; a.counted && a.verdict.OK {
		q.node.config.Limits.Mutations.Return(p.mutation.User, a.verdict.AtMs)
	}
}

// admitReaders asks the leader's limit of reads for each of the users. It
// returns nil where there is no limit.
func (n *Node) admitReaders(users []string) []Verdict {
	if n.config.Limits.Reads == nil || len(users) == 0 {
		return nil
	}
	verdicts := make([]Verdict, len(users))
	for i, user := range users {
		verdicts[i] = n.admitRead(n.config.Limits.Reads, user)
	}
	return verdicts
}

func (n *Node) admitRead(limit Limit, user string) Verdict {
	verdict := limit.Admit(user, n.limitNowMs())
	if !verdict.OK {
		n.metrics.limited.WithLabelValues(verdict.Quota.Name).Inc()
	}
	return verdict
}

// admitStaleRead asks this node's limit of stale reads.
func (n *Node) admitStaleRead(caller counter.Caller) (*counter.Quota, *counter.Error) {
	if n.config.Limits.StaleReads == nil || !caller.UnderLimit() {
		return nil, nil
	}
	verdict := n.admitRead(n.config.Limits.StaleReads, caller.User)
	if !verdict.OK {
		return nil, verdict.Quota.Refusal()
	}
	return &verdict.Quota, nil
}
