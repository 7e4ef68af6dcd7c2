package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tally/ratelimit"
)

// schedules is how many random histories of a cluster TestSchedules plays.
const schedules = 10_000

// entry is a command in the replicated log.
type entry struct {
	user string
	atMs int64
}

// member is one node: a limiter that is told what the node has applied.
type member struct {
	limiter  *ratelimit.Limiter
	applied  int   // entries of the log
	offsetMs int64 // of its clock
	nowMs    int64 // what its limiter must take for the time
	late     []entry
}

// schedule is three nodes and their log, of which the first committed entries
// are decided and the rest may be lost with the leader.
type schedule struct {
	*rand.Rand
	config    ratelimit.Config
	timeMs    int64
	members   [3]*member
	leader    *member
	log       []entry
	committed int
	// failing are admitted in this term and failed, but were not returned yet.
	failing []entry

	admitted, refused int
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{Rand: rand.New(rand.NewPCG(seed, 0)), timeMs: start}
	s.config = ratelimit.Config{CallsMax: 1 + s.IntN(20), Window: time.Duration(1+s.IntN(5)) * time.Second}
	for i := range s.members {
		s.members[i] = &member{limiter: newLimiter(t, s.config)}
	}
	s.lead(s.members[0])
	return s
}

// apply brings m up to the first n entries of the log.
func (s *schedule) apply(m *member, n int) {
	for ; m.applied < n; m.applied++ {
		e := s.log[m.applied]
		m.limiter.Note(e.user, e.atMs)
		m.nowMs = max(m.nowMs, e.atMs)
	}
}

// lead elects m, with all that it could have received of the log.
func (s *schedule) lead(m *member) {
	if s.leader != nil {
		s.leader.late = append(s.leader.late, s.failing...)
	}
	s.failing = nil
	s.log = s.log[:s.committed+s.IntN(len(s.log)-s.committed+1)]
	s.committed = len(s.log)
	s.leader = m
	s.apply(m, s.committed)
	m.limiter.BeginTerm()
	m.nowMs++
}

// restart makes m forget everything but the log.
func (s *schedule) restart(t *testing.T, m *member) {
	*m = member{limiter: newLimiter(t, s.config), offsetMs: m.offsetMs}
	if m == s.leader {
		s.failing = nil // whoever would have returned them is gone too
		s.lead(m)
	}
}

// counted are the stamps that a limiter without mistakes counts for user, sorted.
func (s *schedule) counted(user string, nowMs int64) []int64 {
	var stamps []int64
	for _, entries := range [][]entry{s.log, s.failing} {
		for _, e := range entries {
			if e.user == user && e.atMs > nowMs-s.config.Window.Milliseconds() {
				stamps = append(stamps, e.atMs)
			}
		}
	}
	slices.Sort(stamps)
	return stamps
}

// expected is the verdict of such a limiter.
func (s *schedule) expected(user string, nowMs int64) ratelimit.Verdict {
	v := ratelimit.Verdict{AtMs: nowMs}
	stamps := s.counted(user, nowMs)
	if len(stamps) < s.config.CallsMax {
		v.OK = true
		stamps = append(stamps, nowMs)
	}
	v.Remaining = s.config.CallsMax - len(stamps)
	v.RetryAfter = s.config.Window - time.Duration(nowMs-stamps[0])*time.Millisecond
	return v
}

// call makes one call on the leader: it is refused, fails for certain, or gets into the log.
func (s *schedule) call() error {
	user := string(rune('a' + s.IntN(3)))
	given := s.timeMs + s.leader.offsetMs
	s.leader.nowMs = max(s.leader.nowMs, given)
	want := s.expected(user, s.leader.nowMs)
	got := s.leader.limiter.Admit(user, given)
	if got != want {
		return fmt.Errorf("the verdict on %s is %+v, want %+v", user, got, want)
	}
	if !got.OK {
		s.refused++
		return nil
	}
	s.admitted++
	if s.IntN(10) == 0 {
		s.failing = append(s.failing, entry{user, got.AtMs})
	} else {
		s.log = append(s.log, entry{user, got.AtMs})
	}
	return nil
}

// giveBack returns calls that failed: one of this term, and all that the leader
// has left from earlier ones.
func (s *schedule) giveBack() {
	if n := len(s.failing); n > 0 {
		i := s.IntN(n)
		s.leader.limiter.Return(s.failing[i].user, s.failing[i].atMs)
		s.failing = slices.Delete(s.failing, i, i+1)
	}
	for _, e := range s.leader.late {
		s.leader.limiter.Return(e.user, e.atMs)
	}
	s.leader.late = nil
}

func (s *schedule) step(t *testing.T) error {
	m := s.members[s.IntN(len(s.members))]
	switch dice := s.IntN(100); {
	case dice < 50:
		return s.call()
	case dice < 65:
		s.timeMs += int64(s.IntN(200))
	case dice < 67:
		s.timeMs += int64(s.IntN(6000))
	case dice < 75:
		s.committed += s.IntN(len(s.log) - s.committed + 1)
	case dice < 90:
		s.apply(m, m.applied+s.IntN(max(1, s.committed-m.applied+1)))
	case dice < 95:
		s.giveBack()
	case dice < 97:
		s.lead(m)
	case dice < 98:
		s.restart(t, m)
	default:
		m.offsetMs = int64(s.IntN(8000) - 4000)
	}
	return nil
}

// overrun looks for more calls of one user in the log than a window may hold.
func (s *schedule) overrun() error {
	stamps := make(map[string][]int64)
	for _, e := range s.log {
		stamps[e.user] = append(stamps[e.user], e.atMs)
	}
	for user, at := range stamps {
		slices.Sort(at)
		for i := s.config.CallsMax; i < len(at); i++ {
			if width := at[i] - at[i-s.config.CallsMax]; width < s.config.Window.Milliseconds() {
				return fmt.Errorf("%s has %d calls within %d ms", user, s.config.CallsMax+1, width+1)
			}
		}
	}
	return nil
}

// Three nodes of which one leads, proposals that fail or are lost, leaders that
// are killed and come back, clocks that are off and jump: no user ever has more
// calls in a window of the stamps than the limit, and every verdict is that of a
// limiter that keeps all calls and counts them anew each time.
func TestSchedules(t *testing.T) {
	n := schedules
	if testing.Short() {
		n = schedules / 10
	}
	var admitted, refused int
	for seed := range uint64(n) {
		s := newSchedule(t, seed)
		for i := range 200 {
			if err := s.step(t); err != nil {
				t.Fatalf("seed %d, step %d, %+v: %v", seed, i, s.config, err)
			}
		}
		if err := s.overrun(); err != nil {
			t.Fatalf("seed %d, %+v: %v", seed, s.config, err)
		}
		admitted += s.admitted
		refused += s.refused
	}
	if refused < admitted/10 || admitted < refused/10 {
		t.Fatalf("%d calls admitted and %d refused: the schedules test one side only", admitted, refused)
	}
}
