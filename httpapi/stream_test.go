package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tally/counter"
	"tally/httpapi"
	"tally/peer/pipenet"
)

// streams is a server on a network in memory, for watchers that stay. It belongs
// in a bubble.
type streams struct {
	*api
	network *pipenet.Network
	server  *httpapi.Server
	client  *http.Client
}

func serveStreams(t *testing.T, adjust ...func(*httpapi.Config)) *streams {
	t.Helper()
	s := &streams{api: newAPI(t, adjust...), network: pipenet.New()}
	listener, err := s.network.Host("server").Listen("server:80")
	if err != nil {
		t.Fatal(err)
	}
	s.server = httpapi.Open(httpapi.ServerConfig{Handler: s.handler, Listener: listener})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return s.network.Host("client").Dial(ctx, addr)
	}}
	s.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// stream is one event stream as a browser reads it.
type stream struct {
	t      *testing.T
	header http.Header
	lines  *bufio.Scanner
	close  func()
	retry  string // the last that was sent
}

// message is one message of a stream.
type message struct{ event, id, data string }

// open opens an event stream.
func (s *streams) open(t *testing.T, target string, headers ...string) *stream {
	t.Helper()
	r, err := http.NewRequest("GET", "http://server:80"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %d %v", target, response.StatusCode, response.Header)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 16<<20)
	return &stream{t: t, header: response.Header, lines: lines, close: func() { _ = response.Body.Close() }}
}

// next returns the next message; ok is false at the end of the stream.
func (s *stream) next() (m message, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "":
			if m.data != "" {
				return m, true
			}
		case "retry":
			s.retry = value
		case "event":
			m.event = value
		case "id":
			m.id = value
		case "data":
			m.data += value
		default:
			s.t.Errorf("unknown field %q", s.lines.Text())
		}
	}
	return m, false
}

// is checks the next message.
func (s *stream) is(want message) {
	s.t.Helper()
	if got, ok := s.next(); !ok || got != want {
		s.t.Errorf("got  %v %+v\nwant %+v", ok, got, want)
	}
}

// TestStream: its header, one message for each revision, progress, and a resume.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		a.do("PUT", "/v1/groups/g/counters", `{"counters":{"a":1,"b":2}}`).ok()
		a.increase("g", "a")
		s := a.open(t, "/v1/groups/g/watch?after=100")
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Length": ""} {
			if got := s.header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		const (
			first  = `{"revision":101,"type":"set","group":"g","key":"a","value":1,"timeMs":1760000000101},{"revision":101,"type":"set","group":"g","key":"b","value":2,"timeMs":1760000000101}`
			second = `{"revision":102,"type":"increase","group":"g","key":"a","value":2,"delta":1,"timeMs":1760000000102}`
			third  = `{"revision":104,"type":"increase","group":"g","key":"a","value":3,"delta":1,"timeMs":1760000000104}`
		)
		s.is(message{"", "101", `{"group":"g","revision":101,"events":[` + first + `]}`})
		s.is(message{"", "102", `{"group":"g","revision":102,"events":[` + second + `]}`})
		if retry, err := strconv.Atoi(s.retry); err != nil || retry < 1000 || retry >= 3000 {
			t.Errorf("retry: %q", s.retry)
		}
		a.increase("h", "a") // moves the position, and is no event here
		s.is(message{"progress", "103", `{"group":"g","revision":103,"events":[]}`})
		a.increase("g", "a")
		s.is(message{"", "104", `{"group":"g","revision":104,"events":[` + third + `]}`})
		s.close()

		again := a.open(t, "/v1/groups/g/watch?after=100", "Last-Event-ID", "102") // the URL stays what it was
		again.is(message{"", "104", `{"group":"g","revision":104,"events":[` + third + `]}`})
		again.close()
		state := a.open(t, "/v1/groups/g/watch?int64=string&key=a")
		state.is(message{"", "104", `{"group":"g","revision":104,"events":[{"type":"reset","group":"g","revision":104,"counters":{"a":"3"}}]}`})
		state.close()
		synctest.Wait()
		if open := a.metric("tally_watch_watchers"); open != "0" {
			t.Errorf("%s watchers are left of streams that were closed", open)
		}
	})
}

// TestStreamOfMany: each message has a cursor that goes on right after it.
func TestStreamOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		a.increase("a", "x")
		s := a.open(t, "/v1/watch?group=a&group=b")
		ids := []string{s.many("a reset, b reset")}
		a.do("POST", "/v1/batch", `{"operations":[{"op":"increase","group":"b","counters":{"x":1}},{"op":"set","group":"a","counters":{"x":7}}]}`).ok()
		ids = append(ids, s.many("b increase x, a set x"))
		a.increase("b", "y")
		a.increase("a", "y")
		ids = append(ids, s.many("b increase y"), s.many("a increase y"))
		s.close()
		for i, want := range []string{"b increase x, a set x", "b increase y", "a increase y"} {
			again := a.open(t, "/v1/watch?group=a&group=b&cursor="+ids[0], "Last-Event-ID", ids[i])
			again.many(want)
			again.close()
		}
		last := a.open(t, "/v1/watch?group=a&group=b", "Last-Event-ID", ids[3])
		if m, ok := last.next(); !ok || m.event != "progress" {
			t.Errorf("got %v %+v", ok, m)
		}
		last.close()
	})
}

// TestGroupAheadOfOthers: a reset can show what the hub has yet to publish. That
// is not told again, neither in the stream nor after a resume at any message.
func TestGroupAheadOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		a.increase("a", "x")
		cursor := a.get("/v1/watch?group=a").many().Cursor
		a.backend.publisher = nil // applied, and on the way to the hub
		a.increase("a", "x")
		a.do("POST", "/v1/batch", `{"operations":[{"op":"increase","group":"a","counters":{"y":1}},{"op":"increase","group":"b","counters":{"y":1}}]}`).ok()
		event := func(revision uint64, group, key string) counter.Event {
			return counter.Event{Revision: revision, Kind: counter.Increase, Group: group, Key: key, Value: 1, Delta: 1}
		}
		s := a.open(t, "/v1/watch?group=a&group=b&cursor="+cursor)
		ids := []string{s.many("b reset")}
		early := a.get("/v1/watch?wait=0&group=a&group=b&cursor=" + ids[0]).many()
		a.hub.Publish(102, []counter.Event{event(102, "a", "x")})
		ids = append(ids, s.many("a increase x"))
		a.hub.Publish(103, []counter.Event{event(103, "a", "y"), event(103, "b", "y")})
		ids = append(ids, s.many("a increase y"))
		a.hub.Publish(104, []counter.Event{event(104, "b", "z")})
		ids = append(ids, s.many("b increase z"))
		s.close()
		again := a.open(t, "/v1/watch?group=a&group=b", "Last-Event-ID", ids[0])
		if id := again.many("a increase x"); id != ids[1] {
			t.Errorf("after a resume the same message has the ID %s, and had %s", id, ids[1])
		}
		again.close()
		want := []string{"a increase x, a increase y, b increase z", "a increase y, b increase z", "b increase z", ""}
		for i, id := range append(ids, early.Cursor) {
			if got := a.get("/v1/watch?wait=0&group=a&group=b&cursor=" + id).many(); got.kinds() != want[i%len(ids)] {
				t.Errorf("after message %d: %s, want %s", i, got.kinds(), want[i%len(ids)])
			}
		}
	})
}

// many checks the next message of a stream of many groups and returns its ID.
func (s *stream) many(kinds string) string {
	s.t.Helper()
	m, _ := s.next()
	got := reply{t: s.t, status: 200, body: m.data}.many()
	if got.kinds() != kinds || got.Cursor != m.id || m.event != "" {
		s.t.Errorf("got %+v, want %s", m, kinds)
	}
	return m.id
}

// TestStreamLivesLong: longer than any request may take, with a sign of life at
// least every ten seconds, and with events as they come.
func TestStreamLivesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		a.increase("g", "x")
		s := a.open(t, "/v1/groups/g/watch?after=now")
		s.is(message{"progress", "101", `{"group":"g","revision":101,"events":[]}`})
		silence := time.Now()
		for end := time.Now().Add(time.Hour); time.Now().Before(end); {
			m, ok := s.next()
			if quiet := time.Since(silence); !ok || m.event != "progress" || quiet > 10*time.Second || quiet < time.Second {
				t.Fatalf("after %v: %v %+v", quiet, ok, m)
			}
			silence = time.Now()
		}
		sent := time.Now()
		a.increase("g", "x")
		if m, ok := s.next(); !ok || m.id != "102" || time.Since(sent) != 0 {
			t.Errorf("after %v: %v %+v", time.Since(sent), ok, m)
		}
		s.close()
	})
}

// TestProgressKeepsItsDistance: no progress while there are events.
func TestProgressKeepsItsDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		s := a.open(t, "/v1/groups/g/watch?after=now")
		s.next()
		for range 60 {
			time.Sleep(time.Second)
			a.increase("g", "x")
			if m, ok := s.next(); !ok || m.event != "" {
				t.Errorf("got %v %+v", ok, m)
			}
		}
		s.close()
	})
}

// TestShutdownEndsStreams: at once, so that the server's shutdown does not wait.
func TestShutdownEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		s := a.open(t, "/v1/groups/g/watch?after=now")
		s.next()
		time.Sleep(time.Second)
		began := time.Now()
		a.hub.Close()
		if m, ok := s.next(); ok || time.Since(began) > 0 {
			t.Errorf("after %v: %+v", time.Since(began), m)
		}
		s.close()
		if err := a.server.Shutdown(t.Context()); err != nil || time.Since(began) > time.Second {
			t.Errorf("shutdown took %v: %v", time.Since(began), err)
		}
	})
}

// TestStoppedReader: it is dropped, the writer does not wait for it, and other
// watchers hear of everything in the moment in which it happens.
func TestStoppedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		stopped := a.open(t, "/v1/groups/g/watch?after=now")
		reading := a.open(t, "/v1/groups/g/watch?after=now")
		reading.next()
		key := strings.Repeat("k", 120)
		const changes = 20000 // some megabytes, far more than the network takes
		for i := range changes {
			began := time.Now()
			a.backend.mustIncrease(t, "g", key)
			if m, ok := reading.next(); !ok || m.id != strconv.Itoa(101+i) {
				t.Fatalf("got %v %+v", ok, m)
			}
			if waited := time.Since(began); waited > httpapi.DefaultWatchInterval {
				t.Fatalf("waited %v", waited)
			}
		}
		time.Sleep(25 * time.Second) // in which the reader that goes on is told of its progress
		synctest.Wait()
		if dropped := a.metric("tally_http_streams_dropped_total"); dropped != "1" {
			t.Errorf("dropped %s", dropped)
		}
		if open := a.metric(`tally_http_watches_open{form="stream"}`); open != "1" {
			t.Errorf("%s streams are open", open)
		}
		reading.close()
		stopped.close()
	})
}

// TestBusyRepliesCoalesce: a watcher of a group that changes all the time gets
// few replies with many messages, and misses nothing.
func TestBusyRepliesCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t, func(c *httpapi.Config) { c.WatchInterval = 50 * time.Millisecond })
		s := a.open(t, "/v1/groups/g/watch?after=100")
		var came atomic.Int64
		ended := make(chan bool)
		go func() {
			defer close(ended)
			for {
				m, ok := s.next()
				if !ok {
					return
				}
				if m.event != "" {
					continue
				}
				var content struct{ Events []struct{ TimeMs int64 } }
				if err := json.Unmarshal([]byte(m.data), &content); err != nil || m.id != strconv.FormatInt(100+came.Add(1), 10) {
					t.Errorf("message %d: %+v %v", came.Load(), m, err)
				}
			}
		}()
		const changes = 2000
		for range changes { // for two seconds
			a.backend.mustIncrease(t, "g", "x")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s.close()
		<-ended
		replies, err := strconv.Atoi(a.metric(`tally_http_watch_replies_total{form="stream"}`))
		if came.Load() != changes || err != nil || replies > 2000/50+10+1 || replies < 2000/50 {
			t.Errorf("%d messages in %d replies", came.Load(), replies)
		}
	})
}

// TestQuietWatcherHearsAtOnce: two events close together are not delayed.
func TestQuietWatcherHearsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		s := a.open(t, "/v1/groups/g/watch?after=now")
		s.next()
		for i := range 8 {
			began := time.Now()
			a.increase("g", "x")
			if m, ok := s.next(); !ok || time.Since(began) > 0 {
				t.Errorf("event %d after %v: %v %+v", i, time.Since(began), ok, m)
			}
			time.Sleep(time.Millisecond)
		}
		s.close()
	})
}

// TestBusyPollsCoalesce: long polls on one connection keep the same pace.
func TestBusyPollsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					a.backend.mustIncrease(t, "g", "x")
				}
			}
		}()
		position, polls := uint64(100), 0
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); polls++ {
			var got struct {
				Revision uint64
				Events   []struct{ Revision uint64 }
			}
			response, err := a.client.Get(fmt.Sprint("http://server:80/v1/groups/g/watch?after=", position))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(json.NewDecoder(response.Body).Decode(&got), response.Body.Close()); err != nil {
				t.Fatal(err)
			}
			for _, e := range got.Events {
				if position++; e.Revision != position {
					t.Fatalf("got %d after %d", e.Revision, position-1)
				}
			}
		}
		close(stop)
		if polls > 2000/20+10+1 || polls < 2000/20 {
			t.Errorf("%d polls in two seconds", polls)
		}
	})
}

// TestPollOutlivesReadTimeout: the time for reading a request does not end a
// request that waits.
func TestPollOutlivesReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		go func() {
			time.Sleep(4 * time.Minute)
			a.backend.mustIncrease(t, "g", "x")
		}()
		response, err := a.client.Post("http://server:80/v1/watch?wait=5m", "application/json",
			strings.NewReader(`{"groups":[{"group":"g"}],"cursor":`+quoted(a.get("/v1/watch?group=g").many().Cursor)+`}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if got := (reply{t: t, status: response.StatusCode, body: string(body)}).many(); err != nil || got.kinds() != "g increase x" {
			t.Errorf("got %s %v", body, err)
		}
	})
}

// TestClientThatGoes: nothing of its watch is left.
func TestClientThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		for _, target := range []string{"/v1/groups/g/watch?after=now", "/v1/watch?group=g&cursor=" + a.get("/v1/watch?group=g").many().Cursor} {
			ctx, cancel := context.WithCancel(context.Background())
			r, err := http.NewRequestWithContext(ctx, "GET", "http://server:80"+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() {
				_, err := a.client.Do(r)
				ended <- err
			}()
			synctest.Wait()
			if open := a.metric("tally_watch_watchers"); open != "1" {
				t.Errorf("%s: %s watchers", target, open)
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", target, err)
			}
			synctest.Wait()
			if open := a.metric("tally_watch_watchers"); open != "0" {
				t.Errorf("%s: %s watchers are left", target, open)
			}
		}
	})
}

// TestLateStreamIsReplayed: many events that were missed come in pieces.
func TestLateStreamIsReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveStreams(t)
		const changes = 10000
		for range changes {
			a.backend.mustIncrease(t, "g", "x")
		}
		opened := time.Now()
		s := a.open(t, "/v1/groups/g/watch?after=100")
		for i := range changes {
			if m, ok := s.next(); !ok || m.id != strconv.Itoa(101+i) {
				t.Fatalf("got %v %+v, want %d", ok, m, 101+i)
			}
		}
		// A backlog is sent as fast as it is read: the pace is for what is new.
		if took := time.Since(opened); took > 0 {
			t.Errorf("the replay was held back for %v", took)
		}
		s.close()
	})
}
