package httpapi

import (
	"slices"
	"strconv"

	"tally/counter"
	"tally/watch"
)

// place is how far a watcher has come when it has had a reply.
type place struct {
	position uint64
	ahead    []watch.GroupPosition // groups that are further
}

// end is the place after all of the batch.
func (w *watcher) end() place { return place{w.batch.Position, w.batch.Ahead} }

// form is what differs between the watch of one group and that of many.
type form interface {
	// appendHead appends the beginning of a reply, before its events.
	appendHead(out []byte, at place) []byte
	// appendID appends what a stream's client says to go on from there.
	appendID(out []byte, at place) []byte
	// message returns the changes that make the first message of a stream, and
	// the place after them: all of the first revision, or more.
	message(changes []watch.Change, end place) ([]watch.Change, place)
	// sent takes note of where the watcher is.
	sent(batch *watch.Batch)
}

// appendData appends {..., "events": [...]}.
func (w *watcher) appendData(out []byte, changes []watch.Change, at place) []byte {
	out = w.form.appendHead(out, at)
	out = append(out, `"events":[`...)
	out = appendChanges(out, changes, w.quoted)
	return append(out, "]}"...)
}

// message returns what the next message of the stream is made of.
func (w *watcher) message(changes []watch.Change) ([]watch.Change, place) {
	return w.form.message(changes, w.end())
}

// appendMessage appends the fields id and data, and the end of the message. JSON
// as it is written here has no line breaks.
func (w *watcher) appendMessage(out []byte, changes []watch.Change, at place) []byte {
	out = append(out, "id: "...)
	out = w.form.appendID(out, at)
	out = append(out, "\ndata: "...)
	out = w.appendData(out, changes, at)
	return append(out, "\n\n"...)
}

// firstRevision returns the changes of the first revision.
func firstRevision(changes []watch.Change) []watch.Change {
	other := slices.IndexFunc(changes, func(c watch.Change) bool { return c.Revision != changes[0].Revision })
	if other < 0 {
		return changes
	}
	return changes[:other]
}

// oneGroup is the form of the watch of one group: its position is a revision.
type oneGroup struct{ group string }

func (f *oneGroup) appendHead(out []byte, at place) []byte {
	out = append(out, `{"group":`...)
	out = appendString(out, f.group)
	out = append(out, `,"revision":`...)
	out = strconv.AppendUint(out, at.position, 10)
	return append(out, ',')
}

func (f *oneGroup) appendID(out []byte, at place) []byte {
	return strconv.AppendUint(out, at.position, 10)
}

func (f *oneGroup) message(changes []watch.Change, _ place) ([]watch.Change, place) {
	first := firstRevision(changes)
	return first, place{position: first[0].Revision}
}

func (f *oneGroup) sent(*watch.Batch) {}

// manyGroups is the form of the watch of many groups: its position is a cursor.
type manyGroups struct {
	selections []watch.Selection
	checks     checks
	// ahead are the groups that are further than the others after what was sent last.
	ahead []watch.GroupPosition
}

func newManyGroups(selections []watch.Selection) *manyGroups {
	return &manyGroups{selections: selections, checks: newChecks(selections)}
}

// resume makes the watch go on from a cursor: the groups that it covers start
// after their position, the others with a reset.
func (f *manyGroups) resume(text string) *counter.Error {
	cursor, ok := decodeWatchCursor(text)
	if !ok {
		return counter.Errorf(counter.InvalidRequest, "%s is not a cursor; take \"cursor\" of an earlier reply as it is", shorten(text))
	}
	for i, known := range cursor.checks.known(f.selections) {
		if !known {
			continue
		}
		s := &f.selections[i]
		s.Start, s.After = watch.FromAfter, cursor.position
		if position, ahead := cursor.ahead[fingerprint(s)]; ahead {
			s.After = position
			f.ahead = append(f.ahead, watch.GroupPosition{Group: s.Group, Position: position})
		}
	}
	return nil
}

func (f *manyGroups) appendHead(out []byte, at place) []byte {
	out = append(out, `{"cursor":"`...)
	out = f.appendID(out, at)
	return append(out, `",`...)
}

func (f *manyGroups) appendID(out []byte, at place) []byte {
	var ahead []aheadGroup
	for _, g := range at.ahead {
		i := slices.IndexFunc(f.selections, func(s watch.Selection) bool { return s.Group == g.Group })
		ahead = append(ahead, aheadGroup{fingerprint(&f.selections[i]), g.Position})
	}
	return f.checks.appendCursor(out, at.position, ahead)
}

// message returns all changes if there is a reset among them: no cursor could
// say that some groups have had theirs and others not.
func (f *manyGroups) message(changes []watch.Change, end place) ([]watch.Change, place) {
	isReset := func(c watch.Change) bool { return c.Reset != nil }
	if slices.ContainsFunc(changes, isReset) {
		return changes, end
	}
	first := firstRevision(changes)
	at := place{position: first[0].Revision}
	for _, g := range f.ahead {
		if g.Position > at.position {
			at.ahead = append(at.ahead, g)
		}
	}
	return first, at
}

func (f *manyGroups) sent(batch *watch.Batch) { f.ahead = batch.Ahead }
