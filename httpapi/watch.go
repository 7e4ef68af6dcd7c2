package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"tally/counter"
	"tally/watch"
)

// The calls that wait for events: a long poll, which is answered once, or with
// "Accept: text/event-stream" a stream; each for one group or for many.

// watchGroupsMax is how many groups one watch can be for.
const watchGroupsMax = 1000

func (c *call) watchGroup() *counter.Error {
	if err := c.handler.checkGroup(c.group); err != nil {
		return err.WithParam("group")
	}
	start := c.query.start
	if id := c.lastEventID(); id != "" {
		var err *counter.Error
		if start, err = parsePosition(id); err != nil {
			return err.WithParam("Last-Event-ID")
		}
	}
	selection := watch.Selection{Group: c.group, Keys: c.query.keys, Start: start.from, After: start.after}
	return c.watch(&oneGroup{group: c.group}, []watch.Selection{selection})
}

func (c *call) watchGroups() *counter.Error {
	selections := make([]watch.Selection, len(c.query.groups))
	for i, group := range c.query.groups {
		if err := c.handler.checkGroup(group); err != nil {
			return err.WithParam("group")
		}
		selections[i].Group = group
	}
	if len(selections) == 0 {
		return counter.Errorf(counter.InvalidRequest, "no group is named; add group=, once for each").WithParam("group")
	}
	return c.watchMany(selections, c.query.cursor)
}

func (c *call) watchGroupsByBody() *counter.Error {
	selections, cursor, err := c.decodeWatch()
	if err != nil {
		return err
	}
	return c.watchMany(selections, cursor)
}

// watchMany goes on from a cursor, nil for none.
func (c *call) watchMany(selections []watch.Selection, cursor *string) *counter.Error {
	param := "cursor"
	if id := c.lastEventID(); id != "" {
		cursor, param = &id, "Last-Event-ID"
	}
	groups := newManyGroups(selections)
	if cursor != nil {
		if err := groups.resume(*cursor); err != nil {
			return err.WithParam(param)
		}
	}
	return c.watch(groups, selections)
}

// decodeWatch reads {"groups": [{"group": "a", "keys": ["x"]}, ...], "cursor": "C"}.
func (c *call) decodeWatch() (selections []watch.Selection, cursor *string, err *counter.Error) {
	named := make(map[string]bool)
	err = c.decodeObject(func(name []byte) *counter.Error {
		switch string(name) {
		case "groups":
			return c.elements("groups", func(int) *counter.Error {
				selection, err := c.selection()
				if err == nil {
					err = c.admitSelection(&selection, named)
				}
				selections = append(selections, selection)
				return err
			})
		case "cursor":
			text, err := c.word("cursor")
			cursor = &text
			return err
		}
		return unknownField(name, "groups", "cursor")
	})
	if err == nil && len(selections) == 0 {
		err = counter.Errorf(counter.InvalidRequest, "no group is named; list them in \"groups\"").WithParam("groups")
	}
	return selections, cursor, err
}

// admitSelection refuses a group that cannot be watched or is named already.
func (c *call) admitSelection(s *watch.Selection, named map[string]bool) *counter.Error {
	if err := c.handler.checkGroup(s.Group); err != nil {
		return err.WithParam("groups")
	}
	if err := admitGroup(s.Group, named[s.Group], len(named)); err != nil {
		return err.WithParam("groups")
	}
	named[s.Group] = true
	return nil
}

// selection reads {"group": "a"} or {"group": "a", "keys": ["x", "y"]}.
func (c *call) selection() (s watch.Selection, err *counter.Error) {
	given := false
	err = c.members("groups", "an element of \"groups\"", func(name []byte) (err *counter.Error) {
		switch string(name) {
		case "group":
			given = true
			s.Group, err = c.word("group")
		case "keys":
			s.Keys, err = c.selectedKeys()
		default:
			err = unknownField(name, "group", "keys")
		}
		return err
	})
	if err == nil && !given {
		err = missingField("group")
	}
	return s, err
}

// selectedKeys reads a list of keys that names at least one.
func (c *call) selectedKeys() (keys []string, err *counter.Error) {
	err = c.elements("keys", func(int) *counter.Error {
		key, err := c.word("keys")
		if err == nil {
			keys, err = appendKey(keys, key)
		}
		if err != nil {
			err.Param = "keys"
		}
		return err
	})
	if err == nil && len(keys) == 0 {
		err = counter.Errorf(counter.InvalidRequest, "\"keys\" is empty; name the keys to watch, or leave it out for all").WithParam("keys")
	}
	return keys, err
}

// watch begins to watch. What there is already is sent at once; for the rest it
// leaves a watcher behind.
func (c *call) watch(form form, selections []watch.Selection) *counter.Error {
	header := c.w.Header()
	header.Add("Vary", "Accept")
	header.Add("Vary", "Prefer")
	stream := c.wantsStream()
	wait, err := c.waitingTime(stream)
	if err != nil {
		return err
	}
	if stream && c.r.Method == http.MethodHead {
		setStreamHeader(header)
		return c.reply(http.StatusOK, nil)
	}
	cursor, failure := c.handler.config.Hub.Watch(selections...)
	if failure != nil {
		return c.asError(failure)
	}
	w := &watcher{
		form: form, quoted: c.query.quoted, cursor: cursor, pacer: c.pacer(stream), expires: c.expires,
		handler: c.handler, w: c.w, gone: c.r.Context().Done(),
	}
	if failure := w.first(); failure != nil {
		cursor.Close()
		return c.asError(failure)
	}
	if !stream && (wait == 0 || len(w.batch.Changes) > 0) {
		cursor.Close()
		if len(w.batch.Changes) > 0 {
			c.handler.metrics.polls.replies.Inc()
		}
		c.out = w.appendReply(c.out)
		return c.replyJSON()
	}
	w.stream, w.wait = stream, w.untilExpiry(wait)
	c.watcher, c.status = w, http.StatusOK
	return nil
}

// waitingTime returns how long a long poll waits, with a random part at its end
// so that a crowd that came at once does not come back at once.
func (c *call) waitingTime(stream bool) (time.Duration, *counter.Error) {
	if c.query.wait != nil && stream {
		return 0, counter.Errorf(counter.InvalidRequest, "a stream has no end to wait for; leave wait out").WithParam("wait")
	}
	wait := defaultWait
	if c.query.wait != nil {
		wait = *c.query.wait
	} else if preferred, ok := preferredWait(c.r.Header["Prefer"]); ok && !stream {
		wait = preferred
		c.w.Header()["Preference-Applied"] = []string{"wait=" + strconv.FormatInt(int64(wait/time.Second), 10)}
	}
	if c.r.Method == http.MethodHead {
		wait = 0 // there are no events to wait for in a header
	}
	return wait + jitter(wait/waitJitter), nil
}

func (c *call) wantsStream() bool { return prefers(c.r.Header, "text/event-stream") }

// lastEventID is how a stream says how far it has come; browsers add it to the
// same URL, so it wins over what that says.
func (c *call) lastEventID() string {
	if !c.wantsStream() {
		return ""
	}
	return c.r.Header.Get("Last-Event-ID")
}

// pacer returns the pace of a stream, or that of the connection of a long poll.
func (c *call) pacer(stream bool) *pacer {
	if p, ok := c.r.Context().Value(pacerKey{}).(*pacer); ok && !stream {
		return p
	}
	return new(pacer)
}

// watcher is one watch on its way from its first look at the hub to its end.
type watcher struct {
	form   form
	quoted bool // values as strings
	stream bool
	wait   time.Duration // how long a long poll waits
	cursor *watch.Cursor
	batch  watch.Batch // what came last, to be sent
	pacer  *pacer
	// expires is when the caller's word ends to count, and the watch with it;
	// zero for never.
	expires time.Time

	handler *Handler
	w       http.ResponseWriter
	gone    <-chan struct{} // closed when the client has gone

	// writeDeadline is when the write that is under way, or the next, is given up.
	writeDeadline time.Time
}

// first looks for what there is at the beginning.
func (w *watcher) first() (err error) {
	if !w.keepPace() {
		return counter.Errorf(counter.InvalidRequest, "the caller has gone")
	}
	w.batch, err = w.cursor.Poll()
	return err
}

// serve waits and replies until the watch is over.
func (w *watcher) serve() {
	defer w.cursor.Close()
	figures := &w.handler.metrics.polls
	if w.stream {
		figures = &w.handler.metrics.streams
	}
	figures.open.Inc()
	defer figures.open.Dec()
	if w.stream {
		w.serveStream()
	} else {
		w.servePoll()
	}
}

// keepPace waits until the next reply may be sent; false means that the client
// has gone meanwhile.
func (w *watcher) keepPace() bool {
	delay := w.pacer.delay(time.Now(), w.handler.config.WatchInterval)
	return delay <= 0 || w.sleep(w.untilExpiry(delay))
}

// countReply lets the reply after this one wait its turn. A batch that is only a
// part of what there is does not count: a watcher that comes back late is to
// have its backlog as fast as it reads.
func (w *watcher) countReply() {
	if len(w.batch.Changes) > 0 && !w.batch.More {
		w.pacer.replied(time.Now(), w.handler.config.WatchInterval)
	}
}

// sleep is false if the client has gone meanwhile.
func (w *watcher) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.gone:
		return false
	}
}
