package node_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
)

// The watchers of these tests wander from node to node while the cluster has
// faults. Every change that is made is the same: it increases g/a, g/b and h/a by
// one, atomically. So the three have always the same value, and the value that
// an event carries is the number of the change in the committed log. Whoever
// is told of 1, 2, 3, ... has been told of all of them, once, and in order.

const change = `{"operations":[{"op":"increase","group":"g","counters":{"a":1,"b":1}},{"op":"increase","group":"h","counters":{"a":1}}]}`

// told is what watchers have been told together: at which revision each change
// was made, and what the state was at the revisions of resets.
type told struct {
	mu      sync.Mutex
	changes map[int64]uint64 // number of the change -> revision
	resets  map[uint64]int64 // revision -> number of changes by then
	count   int              // of resets, the first of each watcher not counted
	streams int              // that told something
	broken  int              // of them, those that ended before their reader had enough
}

func newTold() *told { return &told{changes: make(map[int64]uint64), resets: make(map[uint64]int64)} }

// change takes note of one, and says if somebody was told otherwise.
func (l *told) change(number int64, revision uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, known := l.changes[number]; known && other != revision {
		return fmt.Errorf("change %d is of revision %d for one and of %d for another", number, other, revision)
	}
	l.changes[number] = revision
	return nil
}

func (l *told) reset(revision uint64, number int64, first bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, known := l.resets[revision]; known && other != number {
		return fmt.Errorf("the state at revision %d is that after change %d for one and %d for another", revision, other, number)
	}
	l.resets[revision] = number
	if !first {
		l.count++
	}
	return nil
}

// streamed takes note of a stream.
func (l *told) streamed(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams++
	if broken {
		l.broken++
	}
}

// check holds all that was told together: revisions grow with the changes, and
// each reset was the state at its revision.
func (l *told) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := slices.Sorted(maps.Keys(l.changes))
	for i := 1; i < len(numbers); i++ {
		if l.changes[numbers[i-1]] >= l.changes[numbers[i]] {
			t.Errorf("change %d is of revision %d, change %d of %d", numbers[i-1], l.changes[numbers[i-1]], numbers[i], l.changes[numbers[i]])
		}
	}
	for revision, number := range l.resets {
		made, known := l.changes[number]
		next, nextKnown := l.changes[number+1]
		if known && made > revision || nextKnown && next <= revision {
			t.Errorf("a reset at revision %d shows change %d, which is of revision %d, the next of %d", revision, number, made, next)
		}
	}
}

// wanderer is one watcher.
type wanderer struct {
	form wandererForm
	told *told
	rand *rand.Rand

	position string           // what the next request goes on after, "" at the beginning; of a stream the last ID
	seen     map[string]int64 // counter -> the last value of which it was told

	mu   sync.Mutex
	last int64 // the last change of which it was told, of all its counters
	err  error
}

// wandererForm is what a wanderer asks for.
type wandererForm struct {
	name     string
	counters []string // which it is told of, as group/key
	request  func(n *clustertest.Node, position string) clustertest.Reply
	stream   string // the path, of those that do not poll but read a stream
}

func wandererForms() []wandererForm {
	get := func(path, parameter string) func(*clustertest.Node, string) clustertest.Reply {
		return func(n *clustertest.Node, position string) clustertest.Reply {
			if position == "" {
				return n.Do("GET", path, "")
			}
			return n.Do("GET", path+"&"+parameter+"="+position, "")
		}
	}
	return []wandererForm{
		{name: "a stream of a group", counters: []string{"g/a", "g/b"}, stream: "/v1/groups/g/watch"},
		{name: "a stream of a key", counters: []string{"g/b"}, stream: "/v1/groups/g/watch?key=b"},
		{name: "a stream of groups", counters: []string{"g/a", "g/b", "h/a"}, stream: "/v1/watch?group=g&group=h"},
		{name: "group", counters: []string{"g/a", "g/b"}, request: get("/v1/groups/g/watch?wait=2s", "after")},
		{name: "key", counters: []string{"g/b"}, request: get("/v1/groups/g/watch?wait=2s&key=b", "after")},
		{name: "groups", counters: []string{"g/a", "g/b", "h/a"}, request: get("/v1/watch?group=g&group=h&wait=3s", "cursor")},
		{name: "groups and keys", counters: []string{"g/b", "h/a"}, request: func(n *clustertest.Node, position string) clustertest.Reply {
			body := `{"groups":[{"group":"h"},{"group":"g","keys":["b"]}]`
			if position != "" {
				body += `,"cursor":"` + position + `"`
			}
			return n.Do("POST", "/v1/watch?wait=1s", body+"}")
		}},
	}
}

// content is the reply to any watch.
type content struct {
	Revision uint64
	Cursor   string
	Events   []event
}

type event struct {
	Revision         uint64
	Type, Group, Key string
	Value            int64
	Counters         map[string]int64
}

// wander watches until the change of the given number has been told, or the
// sequence is wrong.
func (w *wanderer) wander(c *clustertest.Cluster, until func() (int64, bool)) {
	for !w.done(until) {
		running := c.Running()
		if len(running) == 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		served, err := w.watch(running[w.rand.IntN(len(running))], until)
		if err != nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			return
		}
		if !served {
			time.Sleep(10 * time.Millisecond) // the node is down, or going down
		}
	}
}

// watch polls the node once, or reads a stream of it for a while.
func (w *wanderer) watch(n *clustertest.Node, until func() (int64, bool)) (served bool, err error) {
	if w.form.stream != "" {
		return w.follow(n, until)
	}
	reply := w.form.request(n, w.position)
	if !reply.OK() {
		return false, nil
	}
	position, err := w.take(reply.Body)
	if err != nil {
		return true, fmt.Errorf("%w\nin %s\nafter %q", err, reply.Body, w.position)
	}
	w.position = position
	return true, nil
}

// follow reads a stream that goes on after the last ID it was given, on whichever
// node that was, until the stream ends or it has had enough of this node.
func (w *wanderer) follow(n *clustertest.Node, until func() (int64, bool)) (served bool, err error) {
	told, enough := 0, 1+w.rand.IntN(300) // messages
	served = n.Stream(w.form.stream, w.position, func(m clustertest.Message) bool {
		var position string
		if position, err = w.take([]byte(m.Data)); err == nil && position != m.ID {
			err = fmt.Errorf("the ID is %q, and the position %q", m.ID, position)
		}
		if err != nil {
			err = fmt.Errorf("%w\nin %+v\nafter %q", err, m, w.position)
			return false
		}
		w.position = m.ID
		told++
		return told < enough && !w.done(until)
	})
	if told > 0 {
		w.told.streamed(told < enough && !w.done(until))
	}
	return served, err
}

func (w *wanderer) done(until func() (int64, bool)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, known := until()
	return known && w.last >= last
}

// take takes what a poll or a message of a stream tells, and returns the position it ends at.
func (w *wanderer) take(body []byte) (position string, err error) {
	var got content
	if err := json.Unmarshal(body, &got); err != nil {
		return "", err
	}
	for rest := got.Events; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Revision == rest[0].Revision {
			n++
		}
		if err := w.takeRevision(rest[:n]); err != nil {
			return "", err
		}
		rest = rest[n:]
	}
	if got.Cursor != "" {
		return got.Cursor, nil
	}
	return fmt.Sprint(got.Revision), nil
}

// takeRevision takes the events of one revision: resets, or one change whole, or
// first resets of some groups and then what is not in those.
func (w *wanderer) takeRevision(events []event) error {
	named := make(map[string]int64)
	for _, e := range events {
		if e.Type == "reset" {
			if err := w.takeReset(e); err != nil {
				return err
			}
			continue
		}
		name := e.Group + "/" + e.Key
		if _, twice := named[name]; twice || e.Value != w.seen[name]+1 || !slices.Contains(w.form.counters, name) {
			return fmt.Errorf("%s became %d at revision %d, and was %d", name, e.Value, e.Revision, w.seen[name])
		}
		if err := w.told.change(e.Value, e.Revision); err != nil {
			return err
		}
		named[name], w.seen[name] = e.Value, e.Value
	}
	return w.advance()
}

func (w *wanderer) takeReset(e event) error {
	for _, name := range w.form.counters {
		group, key, _ := strings.Cut(name, "/")
		if group != e.Group {
			continue
		}
		value := e.Counters[key]
		if value < w.seen[name] {
			return fmt.Errorf("a reset at revision %d takes %s from %d back to %d", e.Revision, name, w.seen[name], value)
		}
		if err := w.told.reset(e.Revision, value, w.position == ""); err != nil {
			return err
		}
		w.seen[name] = value
	}
	return nil
}

// advance holds the counters of each group together: a change is told whole.
func (w *wanderer) advance() error {
	values := make(map[string]int64) // by group
	last := int64(-1)
	for _, name := range w.form.counters {
		group, _, _ := strings.Cut(name, "/")
		if other, known := values[group]; known && other != w.seen[name] {
			return fmt.Errorf("half a change: %v", w.seen)
		}
		values[group] = w.seen[name]
		if last < 0 || w.seen[name] < last {
			last = w.seen[name]
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = last
	return nil
}

// scenario runs wanderers and a writer through what faults does to the cluster,
// and returns what they were told.
func scenario(t *testing.T, c *clustertest.Cluster, seed uint64, faults func(*rand.Rand)) *told {
	t.Helper()
	told := newTold()
	var (
		wanderers []*wanderer
		ended     sync.WaitGroup
		mu        sync.Mutex
		final     int64 = -1 // the number of the last change, when it is known
	)
	until := func() (int64, bool) {
		mu.Lock()
		defer mu.Unlock()
		return final, final >= 0
	}
	for i, form := range append(wandererForms(), wandererForms()...) {
		w := &wanderer{form: form, told: told, rand: rand.New(rand.NewPCG(seed, uint64(i))), seen: make(map[string]int64)}
		wanderers = append(wanderers, w)
		ended.Go(func() { w.wander(c, until) })
	}
	stop := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(written)
		write(c, rand.New(rand.NewPCG(seed, 100)), stop)
	}()
	faults(rand.New(rand.NewPCG(seed, 200)))
	close(stop)
	<-written
	c.WaitAgree()
	last := c.WaitLeader().Read("g").Counters["a"]
	mu.Lock()
	final = last
	mu.Unlock()
	done := make(chan struct{})
	go func() { ended.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
	}
	for _, w := range wanderers {
		w.mu.Lock()
		if w.err != nil || w.last != last {
			t.Errorf("the watcher of %s was told of %d of %d changes: %v", w.form.name, w.last, last, w.err)
		}
		w.mu.Unlock()
	}
	told.check(t)
	t.Logf("%d changes, %d resets, %d streams, %d of them broken", last, told.count, told.streams, told.broken)
	if told.streams < 20 || told.broken == 0 {
		t.Error("streams were hardly tested")
	}
	return told
}

// write makes changes on any node until it is stopped. Some fail, some of those
// are made none the less: the watchers' values tell.
func write(c *clustertest.Cluster, random *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
		}
		if running := c.Running(); len(running) > 0 {
			running[random.IntN(len(running))].Do("POST", "/v1/batch", change)
		}
	}
}

// TestWatchersMissNothing: with the whole log in the ring nobody ever needs a
// reset but the first, whatever happens to leaders, links and processes.
func TestWatchersMissNothing(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
				told := scenario(t, c, seed, func(random *rand.Rand) {
					for range 12 {
						trouble(c, random)
					}
				})
				if told.count > 0 {
					t.Errorf("%d resets that nobody needed", told.count)
				}
			})
		})
	}
}

// TestWanderersNotice: what the others rely on. Each of these is told after the
// changes 1 and 2 of g/a and g/b, and is wrong.
func TestWanderersNotice(t *testing.T) {
	tell := func(revision, a, b int) string {
		return fmt.Sprintf(`{"group":"g","revision":%d,"events":[{"revision":%[1]d,"type":"increase","group":"g","key":"a","value":%d},{"revision":%[1]d,"type":"increase","group":"g","key":"b","value":%d}]}`, revision, a, b)
	}
	for name, c := range map[string]struct {
		body  string
		wrong bool
	}{
		"the next":            {tell(7, 3, 3), false},
		"one is missing":      {tell(7, 4, 4), true},
		"one comes twice":     {tell(6, 2, 2), true},
		"half a change":       {`{"group":"g","revision":7,"events":[{"revision":7,"type":"increase","group":"g","key":"a","value":3}]}`, true},
		"a reset to the past": {`{"group":"g","revision":7,"events":[{"revision":7,"type":"reset","group":"g","counters":{"a":1,"b":1}}]}`, true},
		"of another group":    {`{"group":"g","revision":7,"events":[{"revision":7,"type":"increase","group":"h","key":"a","value":1}]}`, true},
	} {
		w := &wanderer{form: wandererForms()[0], told: newTold(), seen: make(map[string]int64)}
		for i, body := range []string{tell(5, 1, 1), tell(6, 2, 2)} {
			if _, err := w.take([]byte(body)); err != nil {
				t.Fatal(i, err)
			}
		}
		if _, err := w.take([]byte(c.body)); (err != nil) != c.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWatchersAreResetAfterGaps: with a small ring, and with snapshots that
// take the place of the log, watchers get resets, each the state at its revision.
func TestWatchersAreResetAfterGaps(t *testing.T) {
	small := func(config *node.Config) {
		config.WatchEventsMax = 14
		config.SnapshotInterval = 200 * time.Millisecond
		config.SnapshotThreshold = 50
		config.TrailingLogs = 10
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Configure: small}, func(t *testing.T, c *clustertest.Cluster) {
				told := scenario(t, c, seed, func(random *rand.Rand) {
					for range 12 {
						trouble(c, random)
					}
				})
				if told.count == 0 {
					t.Error("nobody needed a reset: this tests nothing")
				}
			})
		})
	}
}

// trouble does one thing to the cluster and lets it recover.
func trouble(c *clustertest.Cluster, random *rand.Rand) {
	nodes := c.Nodes()
	victim := nodes[random.IntN(len(nodes))]
	switch random.IntN(3) {
	case 0:
		c.WaitLeader().TransferLeadership("")
	case 1:
		c.Isolate(victim)
		time.Sleep(time.Duration(random.IntN(4000)) * time.Millisecond)
		c.Heal()
	case 2:
		victim.Crash()
		time.Sleep(time.Duration(random.IntN(4000)) * time.Millisecond)
		victim.Disk().Heal()
		victim.Start()
	}
	c.WaitLeader()
	time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
}

// TestRestartedNodeResumes: a position that was reported before a node's restart
// is good after it, on the same node, with and without a snapshot.
func TestRestartedNodeResumes(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 1}, func(t *testing.T, c *clustertest.Cluster) {
		n := c.Node("n1")
		first := n.Increase("g", "a", 1).Revision
		second := n.Increase("g", "a", 1).Revision
		n.Restart()
		c.WaitLeader()
		var got content
		reply := n.Do("GET", fmt.Sprintf("/v1/groups/g/watch?after=%d", first), "")
		if err := json.Unmarshal(reply.Body, &got); err != nil || len(got.Events) != 1 || got.Events[0].Revision != second || got.Events[0].Type != "increase" {
			t.Errorf("got %v", reply)
		}
	})
}

// TestFollowerIsWaitedFor: a follower that is behind does not answer a position
// that it has not reached.
func TestFollowerIsWaitedFor(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		behind := c.Others(leader)[0]
		c.WaitAgree()
		c.Isolate(behind)
		leader.Increase("g", "a", 1)
		read := leader.Read("g")
		replies := make(chan clustertest.Reply, 1)
		go func() { replies <- behind.Do("GET", fmt.Sprintf("/v1/groups/g/watch?after=%d", read.Revision), "") }()
		time.Sleep(5 * time.Second)
		if len(replies) > 0 {
			t.Fatalf("an answer from behind: %v", <-replies)
		}
		c.Heal()
		c.WaitAgree()
		last := c.WaitLeader().Increase("g", "a", 1)
		var got content
		reply := <-replies
		if err := json.Unmarshal(reply.Body, &got); err != nil || len(got.Events) != 1 || got.Events[0].Revision != last.Revision || got.Events[0].Value != 2 {
			t.Errorf("got %v, want the change of revision %d", reply, last.Revision)
		}
	})
}

// TestStopSendsWatchersAway: a clean stop answers who waits at once.
func TestStopSendsWatchersAway(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 1}, func(t *testing.T, c *clustertest.Cluster) {
		n := c.Node("n1")
		revision := n.Increase("g", "a", 1).Revision
		answered := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			// Past the connection, whose end would come in the same moment.
			w := httptest.NewRecorder()
			n.Process().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/groups/g/watch?after=now&wait=5m", nil))
			answered <- w
		}()
		time.Sleep(time.Second)
		began := time.Now()
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		w := <-answered
		want := fmt.Sprintf(`{"group":"g","revision":%d,"events":[]}`+"\n", revision)
		if took := time.Since(began); w.Code != 200 || w.Body.String() != want || took > 100*time.Millisecond {
			t.Errorf("after %v: %d %s", took, w.Code, w.Body)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if got := n.Do("GET", "/v1/groups/g/watch?after=now", ""); got.OK() {
			t.Errorf("a stopped node answers: %v", got)
		}
	})
}
