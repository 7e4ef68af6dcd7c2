package httpapi

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"tally/counter"
	"tally/watch"
)

// What a watch is asked for: where to start and how long to wait.

// start is where the watch of a group starts. The zero value is its state now.
type start struct {
	from  watch.Start
	after uint64
}

// setAfter reads after=105 or after=now.
func (q *query) setAfter(text string) (err *counter.Error) {
	if text == "now" {
		q.start = start{from: watch.FromNow}
		return nil
	}
	q.start, err = parsePosition(text)
	return err
}

// parsePosition reads the position after which a watch of one group goes on.
func parsePosition(text string) (start, *counter.Error) {
	position, err := counter.ParseValue(text)
	if err != nil || position < 0 {
		return start{}, counter.Errorf(counter.InvalidRequest, "%s is not a position; take \"revision\" of an earlier reply, or \"now\"", shorten(text))
	}
	return start{from: watch.FromAfter, after: uint64(position)}, nil
}

// setWait reads how long a long poll waits: wait=30s.
func (q *query) setWait(text string) *counter.Error {
	wait, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return counter.Errorf(counter.InvalidRequest, "%s is not a time to wait; write it as 500ms, 30s or 5m", shorten(text))
	case wait < 0 || wait > waitMax:
		return counter.Errorf(counter.InvalidRequest, "%s is not a time from 0s to %s", shorten(text), "5m")
	}
	q.wait = &wait
	return nil
}

// addGroup reads one group=.
func (q *query) addGroup(group string) *counter.Error {
	if err := counter.CheckGroup(group); err != nil {
		return err
	}
	if err := admitGroup(group, slices.Contains(q.groups, group), len(q.groups)); err != nil {
		return err
	}
	q.groups = append(q.groups, group)
	return nil
}

// admitGroup refuses a group that has been named, or comes after too many others.
func admitGroup(group string, named bool, count int) *counter.Error {
	if named {
		return counter.Errorf(counter.InvalidRequest, "the group %s is named twice; name each group once", shorten(group))
	}
	if count >= watchGroupsMax {
		return counter.Errorf(counter.InvalidRequest, "more than %d groups are named; watch the others on another connection", watchGroupsMax)
	}
	return nil
}

// preferredWait reads "wait=30" of the Prefer header, in seconds (RFC 7240,
// section 4.3). A preference is never an error: one that is too long is
// shortened, and one that makes no sense is none.
func preferredWait(lines []string) (time.Duration, bool) {
	for _, preference := range strings.Split(strings.Join(lines, ","), ",") {
		preference, _, _ = strings.Cut(preference, ";") // parameters
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
		if err != nil {
			return 0, false // the first of its name counts (RFC 7240, section 2)
		}
		return min(time.Duration(seconds)*time.Second, waitMax), true
	}
	return 0, false
}
