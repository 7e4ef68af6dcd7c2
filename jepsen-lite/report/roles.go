package report

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tally/jepsen-lite/history"
)

// timeline is what one machine's nodes were, in order.
type timeline struct {
	machine string
	spans   []span
}

// span is a time in one role.
type span struct {
	role       role
	term       uint64 // while it led, 0 if the log does not tell
	begin, end time.Duration
}

type role int

const (
	follower  role = 1
	candidate role = 2
	leader    role = 3
)

// The lines of a node's log that tell of its role. The first three are
// hashicorp/raft's, the last is written when a leader is ready.
var (
	roleLine = regexp.MustCompile(`^(\S+) \[[A-Z]+\] +\S*raft: entering (follower|candidate|leader) state`)
	bornLine = regexp.MustCompile(`^(\S+) \[[A-Z]+\] +\S*raft: initial configuration:`)
	termLine = regexp.MustCompile(`^\S+ \[[A-Z]+\] +\S*(?:raft: election won:|cluster: leading:).*\bterm=(\d+)`)
	anyLine  = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\S+) \[`)
)

// readRoles reads the logs of all machines. Without a begin of the history the
// times of the logs mean nothing, and there are no timelines.
func readRoles(dir string, began time.Time, h *history.History) ([]timeline, error) {
	if dir == "" || began.IsZero() {
		return nil, nil
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	var list []timeline
	for _, path := range paths {
		t, err := readTimeline(path, began, h)
		if err != nil {
			return nil, fmt.Errorf("read who led from %s: %w", path, err)
		}
		list = append(list, t)
	}
	return list, nil
}

func readTimeline(path string, began time.Time, h *history.History) (t timeline, err error) {
	file, err := os.Open(path)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	t.machine = strings.TrimSuffix(filepath.Base(path), ".log")
	r := roleReader{timeline: &t, began: began, end: h.Duration, deaths: deathsOf(h, t.machine)}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.line(lines.Text())
	}
	r.close(r.lastWord)
	return t, lines.Err()
}

// roleReader follows one log.
type roleReader struct {
	timeline *timeline
	began    time.Time
	end      time.Duration
	deaths   []time.Duration // when faults began that may have ended the process
	lastWord time.Duration   // time of the last line
	open     bool
}

func (r *roleReader) line(text string) {
	switch {
	case bornLine.MatchString(text):
		// The process before it has said nothing of its end: it was when a fault
		// hit the machine, or after its last word.
		r.close(r.death())
	case roleLine.MatchString(text):
		m := roleLine.FindStringSubmatch(text)
		if at, ok := r.at(m[1]); ok {
			r.begin(roleOf(m[2]), at)
		}
	case r.open && termLine.MatchString(text):
		if s := r.last(); s.role == leader || s.role == candidate {
			s.term, _ = strconv.ParseUint(termLine.FindStringSubmatch(text)[1], 10, 64)
		}
	}
	if m := anyLine.FindStringSubmatch(text); m != nil {
		if at, ok := r.at(m[1]); ok {
			r.lastWord = at
		}
	}
}

func (r *roleReader) last() *span { return &r.timeline.spans[len(r.timeline.spans)-1] }

// at returns a time of the log on the clock of the run.
func (r *roleReader) at(text string) (time.Duration, bool) {
	t, err := time.Parse("2006-01-02T15:04:05.000Z07:00", text)
	return t.Sub(r.began), err == nil
}

// death returns when the process ended that spoke last.
func (r *roleReader) death() time.Duration {
	for _, at := range slices.Backward(r.deaths) {
		if at >= r.lastWord-time.Second && at <= r.lastWord+time.Minute {
			return max(at, r.lastWord)
		}
	}
	return r.lastWord
}

// begin ends the span before and begins another one. A leader has the term in
// which it was elected.
func (r *roleReader) begin(as role, at time.Duration) {
	s := span{role: as, begin: at}
	if as == leader && r.open {
		s.term = r.last().term
	}
	r.close(at)
	r.timeline.spans = append(r.timeline.spans, s)
	r.open = true
}

// close ends the current span.
func (r *roleReader) close(at time.Duration) {
	if !r.open {
		return
	}
	r.open = false
	r.last().end = min(at, r.end)
}

// deathsOf returns when faults hit a machine.
func deathsOf(h *history.History, machine string) []time.Duration {
	var times []time.Duration
	for _, f := range h.Faults {
		if f.What.Phase == history.Begin && slices.ContainsFunc(f.What.Targets, func(target string) bool { return strings.HasSuffix(target, "@"+machine) }) {
			times = append(times, f.At)
		}
	}
	return times
}

func roleOf(word string) role {
	switch word {
	case "leader":
		return leader
	case "candidate":
		return candidate
	}
	return follower
}
