package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"tally/counter"
)

// Watch tells of every change of a group's counters, once and in order, with no
// gap: across broken connections, nodes that end, and new leaders it goes on
// where it was, on any node. If it was away for longer than nodes remember, a
// reset tells the state instead: see [Event].
//
// It begins with a reset unless [After], [FromNow] or [From] says otherwise. It
// ends when the loop over it does, when ctx ends, or with a refusal that will
// not pass, such as counter.Forbidden; then an error is the last thing it
// yields. While no node answers, it goes on trying.
func (c *Client) Watch(ctx context.Context, group string, options ...WatchOption) iter.Seq2[Event, error] {
	var o watchOptions
	for _, option := range options {
		option(&o)
	}
	return func(yield func(Event, error) bool) {
		if err := checkWatch(group, o.keys); err != nil {
			yield(Event{}, err)
			return
		}
		w := &watch{client: c, position: o.position, request: func(position string) *request {
			query := url.Values{"key": o.keys}
			if position != "" {
				query.Set("after", position)
			}
			return &request{method: http.MethodGet, path: groupPath(group, "watch", query), header: streamHeader()}
		}}
		w.run(ctx, yield)
	}
}

// WatchGroups is Watch for up to 1,000 groups on one connection, each of which
// begins with a reset. Changes of different groups come in the order in which
// they were made, and those of one batch together. Of the options only [From]
// applies: the groups of the watch that gave the cursor go on, others begin with
// a reset.
func (c *Client) WatchGroups(ctx context.Context, groups []Selection, options ...WatchOption) iter.Seq2[Event, error] {
	var o watchOptions
	for _, option := range options {
		option(&o)
	}
	return func(yield func(Event, error) bool) {
		for _, one := range groups {
			if err := checkNames(one.Group, one.Keys); err != nil {
				yield(Event{}, err)
				return
			}
		}
		w := &watch{client: c, position: o.position, request: func(position string) *request {
			return &request{method: http.MethodPost, path: "/v1/watch", header: streamHeader(), body: appendSelections(nil, groups, position)}
		}}
		w.run(ctx, yield)
	}
}

// checkWatch refuses a watch that no node would take.
func checkWatch(group string, keys []string) error {
	if err := checkNames(group, keys); err != nil {
		return err
	}
	if length := len(url.Values{"key": keys}.Encode()); length > watchQueryBytesMax {
		return invalid(counter.Errorf(counter.InvalidRequest, "the keys take %d bytes of a URL, and nodes take %d; name fewer keys, or none to watch them all", length, watchQueryBytesMax).WithParam("key"))
	}
	return nil
}

// watchQueryBytesMax leaves room in the 64 KiB that nodes read of a header.
const watchQueryBytesMax = 48 << 10

func streamHeader() http.Header { return http.Header{"Accept": {"text/event-stream"}} }

// appendSelections appends {"groups": [{"group": "a", "keys": ["x"]}], "cursor": "C"}.
func appendSelections(out []byte, groups []Selection, cursor string) []byte {
	out = append(out, `{"groups":[`...)
	for i, one := range groups {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(append(out, `{"group":`...), one.Group)
		if len(one.Keys) > 0 {
			out = appendStrings(append(out, `,"keys":`...), one.Keys)
		}
		out = append(out, '}')
	}
	out = append(out, ']')
	if cursor != "" {
		out = appendString(append(out, `,"cursor":`...), cursor)
	}
	return append(out, '}')
}

// watch is one watch across its connections.
type watch struct {
	client  *Client
	request func(position string) *request
	// position is where the next connection goes on: behind the last message that
	// came whole, so that nothing comes twice and nothing is left out.
	position string
	failures int           // connections in a row that brought nothing
	wait     time.Duration // what the last refusal asked for
}

// errStopped says that the loop over the watch has ended.
var errStopped = errors.New("the loop has ended")

func (w *watch) run(ctx context.Context, yield func(Event, error) bool) {
	for {
		err := w.client.open()
		if err == nil {
			err = w.connect(ctx, yield)
		}
		if err == errStopped {
			return
		}
		if err == nil && !w.pause(ctx) {
			err = fmt.Errorf("client: %w", ctx.Err())
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
	}
}

// pause waits before the next connection, longer each time: not all who lost
// theirs should come at once.
func (w *watch) pause(ctx context.Context) bool {
	return sleep(ctx, max(w.wait, backoff(w.failures, restMin, restMax)))
}

// connect watches through one connection. It returns nil if another should be
// tried, else why not.
func (w *watch) connect(ctx context.Context, yield func(Event, error) bool) error {
	to, wait := w.client.endpoints.pickAny()
	if !sleep(ctx, wait) {
		return fmt.Errorf("client: %w", ctx.Err())
	}
	w.failures++
	w.wait = 0
	connection, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(w.client.config.attemptTimeout, cancel)
	defer silence.Stop()
	response, _, failed := w.client.send(connection, to, w.request(w.position))
	silence.Stop()
	if failed != nil {
		w.client.note(ctx, to, failed)
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	body := &patient{body: response.Body, silence: silence}
	if response.StatusCode != http.StatusOK {
		return w.refused(ctx, to, response, body)
	}
	w.client.note(ctx, to, nil)
	err := w.read(body, yield)
	if err == errStopped {
		return err
	}
	w.client.note(ctx, to, &failure{err: err, definite: true})
	return nil
}

// refused ends the watch unless the refusal will pass.
func (w *watch) refused(ctx context.Context, to *endpoint, response *http.Response, from io.Reader) error {
	body, err := readBounded(from, replyBytesMax)
	if err != nil {
		w.client.note(ctx, to, &failure{err: err, definite: true})
		return nil
	}
	f := refused(to, &request{}, response, body)
	w.client.note(ctx, to, f)
	if f.refusal == nil {
		return nil
	}
	if passing(f.refusal.Code) {
		w.wait = f.refusal.RetryAfter
		return nil
	}
	return fmt.Errorf("client: %w", f.refusal)
}

// read passes on what the stream brings until it ends.
func (w *watch) read(from io.Reader, yield func(Event, error) bool) error {
	messages := newStream(from)
	for {
		m, err := messages.next()
		if err != nil {
			return err
		}
		if m.event != "" && m.event != "message" && m.event != "progress" {
			// No event of a counter. That the token has expired, for one, the next
			// connection is told too.
			continue
		}
		if m.id == "" || len(m.data) == 0 {
			return errors.New("a message has no position or no data")
		}
		events, err := decodeEvents(m.data, m.id)
		if err != nil {
			return err
		}
		w.position, w.failures = m.id, 0
		for _, e := range events {
			if !yield(e, nil) {
				return errStopped
			}
		}
	}
}

// silenceMax is how long a stream may be silent: a node sends something at least
// every 10 seconds.
const silenceMax = 25 * time.Second

// patient reads a stream, and ends it when it is silent for too long. The time
// that the reader takes between two reads does not count.
type patient struct {
	body    io.Reader
	silence *time.Timer
}

func (p *patient) Read(into []byte) (int, error) {
	p.silence.Reset(silenceMax)
	defer p.silence.Stop()
	return p.body.Read(into)
}
