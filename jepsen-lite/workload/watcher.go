package workload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tally/jepsen-lite/history"
)

// watcher watches one group, or several at once, for the whole run. When its
// connection ends, and from time to time by itself, it goes to another node and
// goes on from the position that it was told last; so what it is told over all
// its connections must be one sequence.
type watcher struct {
	suite    *Suite
	name     string
	form     history.Form
	watch    []history.Part
	random   *rand.Rand
	http     *http.Client
	position string // "" before the first message
	began    bool   // a message was recorded
}

const (
	// pollWait is how long a long poll waits for events.
	pollWait = time.Second
	// streamMax is the longest that a watcher stays on one stream.
	streamMax = 8 * time.Second
	// napMax is the longest that a watcher stays away. At a high rate that is
	// long enough for its position to be forgotten.
	napMax = 4 * time.Second
)

// newWatchers returns watchers of every form, some of a choice of keys.
func newWatchers(s *Suite) []*watcher {
	groups := watchedGroups()
	for _, group := range groups {
		s.groups.keep(group)
	}
	whole := func(names ...string) []history.Part {
		parts := make([]history.Part, len(names))
		for i, name := range names {
			parts[i] = history.Part{Kind: history.Read, Group: name}
		}
		return parts
	}
	keys := func(group string, keys ...string) []history.Part {
		return []history.Part{{Kind: history.Read, Group: group, Keys: keys}}
	}
	var watchers []*watcher
	add := func(form history.Form, watch []history.Part) {
		number := len(watchers)
		watchers = append(watchers, &watcher{
			suite:  s,
			name:   fmt.Sprintf("%s-%d", form, number+1),
			form:   form,
			watch:  watch,
			random: rand.New(rand.NewPCG(s.config.Seed, 1<<63|uint64(number))),
			http:   &http.Client{Transport: s.newTransport()},
		})
	}
	for _, group := range groups {
		add(history.Poll, whole(group))
		add(history.Stream, whole(group))
		add(history.Poll, keys(group, "k1"))
		add(history.Stream, keys(group, "k0", "all"))
	}
	for range 2 {
		add(history.GroupPoll, whole(groups...))
		add(history.GroupStream, whole(groups...))
	}
	return watchers
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	defer w.http.CloseIdleConnections()
	for ctx.Err() == nil && w.suite.config.Recorder.Err() == nil {
		nodes := w.suite.config.Nodes()
		if len(nodes) == 0 {
			sleep(ctx, nodesInterval)
			continue
		}
		node := nodes[w.random.IntN(len(nodes))]
		if err := w.visit(ctx, node); err != nil {
			sleep(ctx, failurePause)
		}
		if w.random.IntN(8) == 0 {
			sleep(ctx, time.Duration(w.random.Int64N(int64(napMax))))
		}
	}
}

// visit watches at one node for a while. The error says that the node does not
// serve.
func (w *watcher) visit(ctx context.Context, node Node) error {
	if w.form == history.Stream || w.form == history.GroupStream {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(w.random.Int64N(int64(streamMax))))
		defer cancel()
		return w.stream(ctx, node)
	}
	for range 1 + w.random.IntN(8) {
		if _, err := w.poll(ctx, node, pollWait); err != nil {
			return err
		}
	}
	return nil
}

// path returns what to ask for, from the position on.
func (w *watcher) path() string {
	query := url.Values{}
	if !w.form.Several() {
		if w.position != "" {
			query.Set("after", w.position)
		}
		query["key"] = w.watch[0].Keys
		return "/v1/groups/" + url.PathEscape(w.watch[0].Group) + "/watch?" + query.Encode()
	}
	for _, part := range w.watch {
		query.Add("group", part.Group)
	}
	if w.position != "" {
		query.Set("cursor", w.position)
	}
	return "/v1/watch?" + query.Encode()
}

// told is a long poll's reply and the data of a stream's message.
type told struct {
	Revision uint64      `json:"revision"`
	Cursor   string      `json:"cursor"`
	Events   []toldEvent `json:"events"`
}

type toldEvent struct {
	history.Event
	Counters map[string]int64 `json:"counters"`
}

func (w *watcher) place(t *told) string {
	if w.form.Several() {
		return t.Cursor
	}
	return fmt.Sprint(t.Revision)
}

// note records a message and goes on from it. after is where the connection began.
func (w *watcher) note(node Node, form history.Form, after string, t *told, final bool) {
	m := history.Message{Watcher: w.name, Node: node.ID, Form: form, After: after, Position: w.place(t), Final: final}
	if !w.began {
		m.Watch = w.watch
	}
	for _, e := range t.Events {
		for key, value := range e.Counters {
			e.Event.Counters = append(e.Event.Counters, history.Counter{Key: key, Value: value})
		}
		history.SortCounters(e.Event.Counters)
		m.Events = append(m.Events, e.Event)
	}
	w.suite.config.Recorder.Message(m)
	w.began, w.position = true, m.Position
}

// poll asks once, and returns how many events there were.
func (w *watcher) poll(ctx context.Context, node Node, wait time.Duration) (events int, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait+w.suite.config.Timeout)
	defer cancel()
	after := w.position
	response, err := w.get(ctx, node, w.path()+"&wait="+wait.String(), "application/json")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	form := history.Poll
	if w.form.Several() {
		form = history.GroupPoll
	}
	t, err := w.read(node, form, body)
	if err != nil {
		return 0, err
	}
	w.note(node, form, after, t, wait == 0 && len(t.Events) == 0)
	return len(t.Events), nil
}

// read understands what came whole, or writes down that it makes no sense.
func (w *watcher) read(node Node, form history.Form, data []byte) (*told, error) {
	var t told
	err := json.Unmarshal(data, &t)
	if err == nil && (t.Cursor == "") == w.form.Several() {
		err = fmt.Errorf("the cursor is %q", t.Cursor)
	}
	if err != nil {
		return nil, w.complain(node, form, fmt.Errorf("%w: %s", err, data))
	}
	return &t, nil
}

// complain writes down what makes no sense, and returns it.
func (w *watcher) complain(node Node, form history.Form, err error) error {
	w.suite.config.Recorder.Message(history.Message{Watcher: w.name, Node: node.ID, Form: form, Malformed: err.Error()})
	return err
}

// get asks for a watch and returns the response to a request that is served.
func (w *watcher) get(ctx context.Context, node Node, path, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.URL+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := w.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s answers %s", node.ID, response.Status), response.Body.Close())
	}
	return response, nil
}

// stream reads one stream until it or ctx ends.
func (w *watcher) stream(ctx context.Context, node Node) error {
	after := w.position
	response, err := w.get(ctx, node, w.path(), "text/event-stream")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	var data, id string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil // what a cut message said is not used
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case field == "data":
			data = value
		case field == "id":
			id = value
		case line == "\n" && data != "":
			t, err := w.read(node, w.form, []byte(data))
			if err != nil {
				return err
			}
			if id != w.place(t) {
				return w.complain(node, w.form, fmt.Errorf("the message %q is of %q", id, w.place(t)))
			}
			w.note(node, w.form, after, t, false)
			after, data, id = "", "", ""
		}
	}
}
