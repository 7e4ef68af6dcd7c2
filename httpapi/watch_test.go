package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tally/counter"
	"tally/httpapi"
)

// increase makes one more event.
func (a *api) increase(group, key string) {
	a.t.Helper()
	a.do("POST", "/v1/groups/"+url.PathEscape(group)+"/counters/"+url.PathEscape(key)+"/increase", "").ok()
}

// TestWatchReplies: what a long poll says, field by field.
func TestWatchReplies(t *testing.T) {
	a := newAPI(t)
	a.do("PUT", "/v1/groups/g/counters", `{"counters":{"a":5,"b":9223372036854775807}}`, "X-Tally-User", `ann"a`).ok()
	a.do("POST", "/v1/groups/g/counters/a/decrease", `{"value":"-3"}`).ok()
	a.do("POST", "/v1/groups/g/counters/a/increase", `{"value":0}`).ok()
	a.do("DELETE", "/v1/groups/g/counters?key=b&key=none", "").ok()
	const (
		set1   = `{"revision":101,"type":"set","group":"g","key":"a","value":5,"user":"ann\"a","timeMs":1760000000101}`
		set2   = `{"revision":101,"type":"set","group":"g","key":"b","value":9223372036854775807,"user":"ann\"a","timeMs":1760000000101}`
		minus  = `{"revision":102,"type":"decrease","group":"g","key":"a","value":8,"delta":-3,"timeMs":1760000000102}`
		plus   = `{"revision":103,"type":"increase","group":"g","key":"a","value":8,"delta":0,"timeMs":1760000000103}`
		remove = `{"revision":104,"type":"delete","group":"g","key":"b","timeMs":1760000000104}`
	)
	head := func(revision int) string { return fmt.Sprintf(`{"group":"g","revision":%d,"events":[`, revision) }
	for query, want := range map[string]string{
		"?after=0":                    head(104) + set1 + "," + set2 + "," + minus + "," + plus + "," + remove + "]}\n",
		"?after=101":                  head(104) + minus + "," + plus + "," + remove + "]}\n",
		"?after=103&wait=0s":          head(104) + remove + "]}\n",
		"?after=104&wait=0s":          head(104) + "]}\n",
		"?after=1000&wait=0s":         head(1000) + "]}\n",
		"?after=now&wait=0":           head(104) + "]}\n",
		"?after=0&key=b":              head(104) + set2 + "," + remove + "]}\n",
		"?after=101&key=b&wait=0s":    head(104) + remove + "]}\n",
		"?after=102&key=b&key=none":   head(104) + remove + "]}\n",
		"?after=103&key=none&wait=0s": head(104) + "]}\n",
		"":                            head(104) + `{"type":"reset","group":"g","revision":104,"counters":{"a":8}}]}` + "\n",
		"?key=b":                      head(104) + `{"type":"reset","group":"g","revision":104,"counters":{}}]}` + "\n",
		"?int64=string":               head(104) + `{"type":"reset","group":"g","revision":104,"counters":{"a":"8"}}]}` + "\n",
		"?after=101&int64=string&wait=0": head(104) + `{"revision":102,"type":"decrease","group":"g","key":"a","value":"8","delta":"-3","timeMs":1760000000102},` +
			`{"revision":103,"type":"increase","group":"g","key":"a","value":"8","delta":"0","timeMs":1760000000103},` + remove + "]}\n",
	} {
		got := a.get("/v1/groups/g/watch" + query)
		got.is(200, want)
		if got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", query, got.header)
		}
	}
	a.get("/v1/groups/"+url.PathEscape("a/b \"c")+"/watch").is(200, `{"group":"a/b \"c","revision":104,"events":[{"type":"reset","group":"a/b \"c","revision":104,"counters":{}}]}`+"\n")
}

// manyReply is what the watch of many groups replies.
type manyReply struct {
	Cursor string
	Events []json.RawMessage
}

func (r reply) many() manyReply {
	r.t.Helper()
	var got manyReply
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != 200 || got.Cursor == "" {
		r.t.Errorf("%d %s: %v", r.status, r.body, err)
	}
	return got
}

// kinds lists the events as group and type.
func (m manyReply) kinds() string {
	var list []string
	for _, raw := range m.Events {
		var e struct{ Group, Type, Key string }
		if err := json.Unmarshal(raw, &e); err != nil {
			return err.Error()
		}
		list = append(list, strings.TrimSpace(e.Group+" "+e.Type+" "+e.Key))
	}
	return strings.Join(list, ", ")
}

// TestWatchManyGroups: a cursor goes on where it was made, for the groups that
// it was made for; others begin with a reset.
func TestWatchManyGroups(t *testing.T) {
	a := newAPI(t)
	a.increase("a", "x")
	first := a.get("/v1/watch?group=a&group=b").many()
	if got := first.kinds(); got != "a reset, b reset" {
		t.Errorf("first: %s", got)
	}
	a.do("POST", "/v1/batch", `{"operations":[{"op":"increase","group":"b","counters":{"x":1}},{"op":"set","group":"a","counters":{"x":7,"y":1}},{"op":"increase","group":"c","counters":{"x":1}},{"op":"delete","group":"b","all":true}]}`).ok()
	for name, c := range map[string]struct{ groups, want string }{
		"as before":      {`{"group":"a"},{"group":"b"}`, "b increase x, a set x, a set y, b delete x"},
		"in other order": {`{"group":"b"},{"group":"a"}`, "b increase x, a set x, a set y, b delete x"},
		"one less":       {`{"group":"a"}`, "a set x, a set y"},
		"one more":       {`{"group":"a"},{"group":"c"},{"group":"b"}`, "c reset, b increase x, a set x, a set y, b delete x"},
		"other keys":     {`{"group":"a","keys":["y"]},{"group":"b"}`, "a reset, b increase x, b delete x"},
		"all others":     {`{"group":"c"},{"group":"d"}`, "c reset, d reset"},
	} {
		got := a.do("POST", "/v1/watch", `{"groups":[`+c.groups+`],"cursor":`+quoted(first.Cursor)+`}`).many()
		if got.kinds() != c.want {
			t.Errorf("%s: got %s, want %s", name, got.kinds(), c.want)
		}
		if next := a.do("POST", "/v1/watch?wait=0s", `{"cursor":`+quoted(got.Cursor)+`,"groups":[`+c.groups+`]}`).many(); next.kinds() != "" {
			t.Errorf("%s: and then %s", name, next.kinds())
		}
	}
	keys := a.do("POST", "/v1/watch?int64=string", `{"groups":[{"group":"a","keys":["y","x"]}]}`)
	if !strings.HasSuffix(keys.body, `,"events":[{"type":"reset","group":"a","revision":102,"counters":{"x":"7","y":"1"}}]}`+"\n") {
		t.Errorf("got %s", keys.body)
	}
	cursor := keys.many().Cursor
	a.increase("a", "z")
	a.increase("a", "y")
	if got := a.do("POST", "/v1/watch", `{"groups":[{"group":"a","keys":["x","y"]}],"cursor":`+quoted(cursor)+`}`).many(); got.kinds() != "a increase y" {
		t.Errorf("chosen keys: %s", got.kinds())
	}
	if got := a.get("/v1/watch?wait=0&group=a&group=b&cursor=" + first.Cursor).many(); got.kinds() != "b increase x, a set x, a set y, b delete x, a increase z, a increase y" {
		t.Errorf("by query: %s", got.kinds())
	}
}

// TestWatchThousandGroups: as many as are allowed, and the size of their cursor.
func TestWatchThousandGroups(t *testing.T) {
	a := newAPI(t)
	var list, query []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf(`{"group":"group:%d"}`, i))
		query = append(query, fmt.Sprintf("group=g%d", i))
	}
	body := func(cursor string) string {
		return `{"groups":[` + strings.Join(list, ",") + `],"cursor":` + quoted(cursor) + `}`
	}
	first := a.do("POST", "/v1/watch", `{"groups":[`+strings.Join(list, ",")+`]}`).many()
	if len(first.Events) != 1000 || len(first.Cursor) > 720 {
		t.Errorf("%d events, a cursor of %d bytes", len(first.Events), len(first.Cursor))
	}
	a.increase("group:777", "x")
	if got := a.do("POST", "/v1/watch", body(first.Cursor)).many(); got.kinds() != "group:777 increase x" {
		t.Errorf("got %s", got.kinds())
	}
	if got := a.get("/v1/watch?" + strings.Join(query, "&")).many(); len(got.Events) != 1000 {
		t.Errorf("%d events", len(got.Events))
	}
}

func TestWatchBadInput(t *testing.T) {
	a := newAPI(t)
	cursor := a.get("/v1/watch?group=a").many().Cursor
	tooMany := "group=" + strings.Join(strings.Split(strings.Repeat("g", 1001), ""), "&group=")
	for i := range 1001 {
		tooMany = strings.Replace(tooMany, "group=g&", fmt.Sprintf("group=%d&", i), 1)
	}
	const stream = "text/event-stream"
	for _, c := range []struct {
		name, method, target, body string
		header                     []string
		code                       counter.Code
		param                      string
	}{
		{"negative position", "GET", "/v1/groups/g/watch?after=-1", "", nil, counter.InvalidRequest, "after"},
		{"word as position", "GET", "/v1/groups/g/watch?after=x", "", nil, counter.InvalidRequest, "after"},
		{"empty position", "GET", "/v1/groups/g/watch?after=", "", nil, counter.InvalidRequest, "after"},
		{"position with fraction", "GET", "/v1/groups/g/watch?after=1.0", "", nil, counter.InvalidRequest, "after"},
		{"position beyond 64 bits", "GET", "/v1/groups/g/watch?after=9223372036854775808", "", nil, counter.InvalidRequest, "after"},
		{"two positions", "GET", "/v1/groups/g/watch?after=1&after=2", "", nil, counter.InvalidRequest, "after"},
		{"long wait", "GET", "/v1/groups/g/watch?wait=1h", "", nil, counter.InvalidRequest, "wait"},
		{"a little too long", "GET", "/v1/groups/g/watch?wait=5m1ns", "", nil, counter.InvalidRequest, "wait"},
		{"negative wait", "GET", "/v1/groups/g/watch?wait=-1s", "", nil, counter.InvalidRequest, "wait"},
		{"wait without unit", "GET", "/v1/groups/g/watch?wait=30", "", nil, counter.InvalidRequest, "wait"},
		{"empty wait", "GET", "/v1/groups/g/watch?wait=", "", nil, counter.InvalidRequest, "wait"},
		{"wait of a stream", "GET", "/v1/groups/g/watch?wait=1s", "", []string{"Accept", stream}, counter.InvalidRequest, "wait"},
		{"unknown parameter", "GET", "/v1/groups/g/watch?afer=1", "", nil, counter.InvalidRequest, "afer"},
		{"cursor of many", "GET", "/v1/groups/g/watch?cursor=" + cursor, "", nil, counter.InvalidRequest, "cursor"},
		{"empty key", "GET", "/v1/groups/g/watch?key=", "", nil, counter.InvalidKey, "key"},
		{"same key", "GET", "/v1/groups/g/watch?key=a&key=a", "", nil, counter.InvalidRequest, "key"},
		{"group of dots", "GET", "/v1/groups/%2E%2E/watch", "", nil, counter.InvalidGroup, "group"},
		{"topic", "GET", "/v1/groups/g@TOPIC%23t/watch", "", nil, counter.UnsupportedGroup, "group"},
		{"method", "POST", "/v1/groups/g/watch", "", nil, counter.MethodNotAllowed, ""},
		{"body", "GET", "/v1/groups/g/watch", "{}", nil, counter.InvalidRequest, ""},
		{"condition", "GET", "/v1/groups/g/watch", "", []string{"If-Match", `"1"`}, counter.InvalidRequest, "If-Match"},
		{"event ID", "GET", "/v1/groups/g/watch", "", []string{"Accept", stream, "Last-Event-ID", "now"}, counter.InvalidRequest, "Last-Event-ID"},
		{"event ID of many", "GET", "/v1/groups/g/watch", "", []string{"Accept", stream, "Last-Event-ID", cursor}, counter.InvalidRequest, "Last-Event-ID"},

		{"no group", "GET", "/v1/watch", "", nil, counter.InvalidRequest, "group"},
		{"1,001 groups", "GET", "/v1/watch?" + tooMany, "", nil, counter.InvalidRequest, "group"},
		{"same group", "GET", "/v1/watch?group=a&group=b&group=a", "", nil, counter.InvalidRequest, "group"},
		{"empty group", "GET", "/v1/watch?group=", "", nil, counter.InvalidGroup, "group"},
		{"topic among many", "GET", "/v1/watch?group=a&group=g@TOPIC%23t", "", nil, counter.UnsupportedGroup, "group"},
		{"position of many", "GET", "/v1/watch?group=a&after=1", "", nil, counter.InvalidRequest, "after"},
		{"keys of many", "GET", "/v1/watch?group=a&key=x", "", nil, counter.InvalidRequest, "key"},
		{"foreign cursor", "GET", "/v1/watch?group=a&cursor=100", "", nil, counter.InvalidRequest, "cursor"},
		{"empty cursor", "GET", "/v1/watch?group=a&cursor=", "", nil, counter.InvalidRequest, "cursor"},
		{"shortened cursor", "GET", "/v1/watch?group=a&cursor=" + cursor[:len(cursor)-1], "", nil, counter.InvalidRequest, "cursor"},
		{"changed cursor", "GET", "/v1/watch?group=a&cursor=" + strings.Replace(cursor, "AAAA", "AAAB", 1), "", nil, counter.InvalidRequest, "cursor"},
		{"padded cursor", "GET", "/v1/watch?group=a&cursor=" + cursor + "==", "", nil, counter.InvalidRequest, "cursor"},
		{"long wait for many", "GET", "/v1/watch?group=a&wait=301s", "", nil, counter.InvalidRequest, "wait"},
		{"event ID that is no cursor", "GET", "/v1/watch?group=a", "", []string{"Accept", stream, "Last-Event-ID", "100"}, counter.InvalidRequest, "Last-Event-ID"},

		{"no body", "POST", "/v1/watch", "", nil, counter.InvalidRequest, ""},
		{"empty body", "POST", "/v1/watch", "{}", nil, counter.InvalidRequest, "groups"},
		{"empty list", "POST", "/v1/watch", `{"groups":[]}`, nil, counter.InvalidRequest, "groups"},
		{"list of names", "POST", "/v1/watch", `{"groups":["a"]}`, nil, counter.InvalidRequest, "groups"},
		{"nameless", "POST", "/v1/watch", `{"groups":[{"keys":["a"]}]}`, nil, counter.InvalidRequest, "group"},
		{"unknown field", "POST", "/v1/watch", `{"groups":[{"group":"a","key":"x"}]}`, nil, counter.InvalidRequest, "key"},
		{"unknown outer field", "POST", "/v1/watch", `{"groups":[{"group":"a"}],"curser":""}`, nil, counter.InvalidRequest, "curser"},
		{"cursor as number", "POST", "/v1/watch", `{"groups":[{"group":"a"}],"cursor":1}`, nil, counter.InvalidRequest, "cursor"},
		{"bad cursor in body", "POST", "/v1/watch", `{"groups":[{"group":"a"}],"cursor":""}`, nil, counter.InvalidRequest, "cursor"},
		{"same group in body", "POST", "/v1/watch", `{"groups":[{"group":"a"},{"group":"a","keys":["x"]}]}`, nil, counter.InvalidRequest, "groups"},
		{"bad group in body", "POST", "/v1/watch", `{"groups":[{"group":".."}]}`, nil, counter.InvalidGroup, "groups"},
		{"topic in body", "POST", "/v1/watch", `{"groups":[{"group":"@TOPIC#"}]}`, nil, counter.UnsupportedGroup, "groups"},
		{"no key", "POST", "/v1/watch", `{"groups":[{"group":"a","keys":[]}]}`, nil, counter.InvalidRequest, "keys"},
		{"bad key", "POST", "/v1/watch", `{"groups":[{"group":"a","keys":[""]}]}`, nil, counter.InvalidKey, "keys"},
		{"same key in body", "POST", "/v1/watch", `{"groups":[{"group":"a","keys":["x","x"]}]}`, nil, counter.InvalidRequest, "keys"},
		{"groups in the query", "POST", "/v1/watch?group=a", `{"groups":[{"group":"a"}]}`, nil, counter.InvalidRequest, "group"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.t = t
			got := a.do(c.method, c.target, c.body, c.header...).problem(c.code)
			if got.Param != c.param || !got.Definite {
				t.Errorf("param %q, want %q; definite %v: %s", got.Param, c.param, got.Definite, got.Detail)
			}
		})
	}
	a.t = t
	if open := a.metric("tally_watch_watchers"); open != "0" {
		t.Errorf("%s are still watched", open)
	}
}

// metric returns the value of a metric.
func (a *api) metric(name string) string {
	a.t.Helper()
	for line := range strings.Lines(a.get("/metrics").body) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	a.t.Errorf("there is no metric %s", name)
	return ""
}

func TestTooManyWatchers(t *testing.T) {
	groups := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"group":"%d"}`, i))
		}
		return `{"groups":[` + strings.Join(list, ",") + `]}`
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		waiting := a.poll("/v1/groups/g/watch?after=now&wait=10s")
		synctest.Wait()
		got := a.do("POST", "/v1/watch", groups(watchersMax))
		if got.problem(counter.TooManyWatchers); got.header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %v", got.header)
		}
		a.do("POST", "/v1/watch", groups(watchersMax-1)).ok()
		<-waiting
		a.do("POST", "/v1/watch", groups(watchersMax)).ok()
		if refused := a.metric("tally_watch_refused_total"); refused != "1" {
			t.Errorf("refused %s", refused)
		}
	})
}

// TestNoHubNoWatch: a handler without a hub has no such paths.
func TestNoHubNoWatch(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) { c.Hub = nil })
	a.get("/v1/watch?group=a").problem(counter.RouteNotFound)
	a.get("/v1/groups/g/watch").problem(counter.RouteNotFound)
}

func TestWatchHeadAndOptions(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) { c.CORSOrigins = []string{"https://example.org"} })
	for _, target := range []string{"/v1/groups/g/watch?after=now", "/v1/groups/g/watch", "/v1/watch?group=a"} {
		if got := a.do("HEAD", target, "", "Origin", "https://example.org"); got.status != 200 || got.body != "" || got.header.Get("Access-Control-Allow-Origin") != "https://example.org" {
			t.Errorf("HEAD %s: %d %v %s", target, got.status, got.header, got.body)
		}
		got := a.do("HEAD", target, "", "Accept", "text/event-stream")
		if got.status != 200 || got.body != "" || got.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("HEAD %s: %d %v %s", target, got.status, got.header, got.body)
		}
	}
	for target, allow := range map[string]string{"/v1/groups/g/watch": "GET, HEAD, OPTIONS", "/v1/watch": "GET, HEAD, POST, OPTIONS"} {
		got := a.do("OPTIONS", target, "", "Origin", "https://example.org", "Access-Control-Request-Method", "GET")
		if got.header.Get("Allow") != allow || !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "Last-Event-ID") {
			t.Errorf("OPTIONS %s: %v", target, got.header)
		}
	}
	a.do("POST", "/v1/watch", `{"groups":[{"group":"a"}]}`, "Origin", "https://elsewhere.org", "Sec-Fetch-Site", "cross-site").problem(counter.Forbidden)
	a.do("POST", "/v1/watch", `{"groups":[{"group":"a"}]}`, "Origin", "https://example.org", "Sec-Fetch-Site", "cross-site").ok()
}

// TestWatchFormIsNegotiated: what is preferred, a stream or JSON.
func TestWatchFormIsNegotiated(t *testing.T) {
	a := newAPI(t)
	for accept, want := range map[string]string{
		"":                       "application/json",
		"*/*":                    "application/json",
		"application/json":       "application/json",
		"text/event-stream":      "text/event-stream",
		"text/event-stream, */*": "text/event-stream",
		"text/event-stream;q=0.5, application/json":  "application/json",
		"application/json;q=0.5, text/event-stream":  "text/event-stream",
		"text/event-stream;q=0":                      "application/json",
		"text/html, application/xhtml+xml,*/*;q=0.8": "application/json",
	} {
		got := a.do("HEAD", "/v1/groups/g/watch", "", "Accept", accept)
		if got.header.Get("Content-Type") != want || !strings.Contains(strings.Join(got.header.Values("Vary"), ", "), "Accept") {
			t.Errorf("%q: %v", accept, got.header)
		}
	}
}

// pollReply is a long poll that is under way.
type pollReply struct {
	reply
	took time.Duration
}

// poll sends a long poll and returns where its reply will arrive.
func (a *api) poll(target string, headers ...string) <-chan pollReply {
	replies := make(chan pollReply, 1)
	go func() {
		started := time.Now()
		got := a.get(target, headers...)
		replies <- pollReply{got, time.Since(started)}
	}()
	return replies
}

// TestPollWaits: until there is an event, and no longer than was asked for.
func TestPollWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		a.increase("g", "x")
		waiting := a.poll("/v1/groups/g/watch?after=101")
		synctest.Wait()
		time.Sleep(7 * time.Second)
		a.increase("h", "x") // of no interest
		synctest.Wait()
		if len(waiting) > 0 {
			t.Fatalf("got %+v", <-waiting)
		}
		a.increase("g", "x")
		if got := <-waiting; got.took != 7*time.Second || !strings.HasPrefix(got.body, `{"group":"g","revision":103,"events":[{"revision":103,`) {
			t.Errorf("after %v: %s", got.took, got.body)
		}

		took := make(map[time.Duration]bool)
		for range 20 {
			got := <-a.poll("/v1/groups/g/watch?after=now")
			got.is(200, `{"group":"g","revision":103,"events":[]}`+"\n")
			if took[got.took] = true; got.took < 30*time.Second || got.took > 32*time.Second {
				t.Errorf("waited %v", got.took)
			}
		}
		if len(took) < 10 {
			t.Errorf("all come back at the same times: %v", took)
		}
		for target, want := range map[string]time.Duration{"wait=5m": 5 * time.Minute, "wait=1500ms": 1500 * time.Millisecond, "wait=0": 0} {
			if got := <-a.poll("/v1/groups/g/watch?after=now&" + target); got.took < want || got.took > want+want/16 {
				t.Errorf("%s waited %v", target, got.took)
			}
		}
		if got := <-a.poll("/v1/watch?group=g&wait=10s&cursor=" + a.get("/v1/watch?group=g").many().Cursor); got.took < 10*time.Second || len(got.many().Events) > 0 {
			t.Errorf("waited %v: %s", got.took, got.body)
		}
	})
}

func TestPreferWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		for _, c := range []struct {
			prefer, query string
			want          time.Duration
			applied       string
		}{
			{"wait=2", "", 2 * time.Second, "wait=2"},
			{`respond-async, Wait = "3" ; x=y`, "", 3 * time.Second, "wait=3"},
			{"wait=99999", "", 5 * time.Minute, "wait=300"},
			{"wait=2", "&wait=4s", 4 * time.Second, ""},
			{"wait=-1", "", 30 * time.Second, ""},
			{"wait", "", 30 * time.Second, ""},
			{"wait=0", "", 0, "wait=0"},
			{"return=minimal", "", 30 * time.Second, ""},
		} {
			got := <-a.poll("/v1/groups/g/watch?after=now"+c.query, "Prefer", c.prefer)
			if got.took < c.want || got.took > c.want+c.want/16 || got.header.Get("Preference-Applied") != c.applied {
				t.Errorf("Prefer: %s%s waited %v, applied %q", c.prefer, c.query, got.took, got.header.Get("Preference-Applied"))
			}
		}
	})
}

// TestPositionNotReached: a position that this node has not come to is waited
// for, and what happens up to it is not given.
func TestPositionNotReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		waiting := a.poll("/v1/groups/g/watch?after=103")
		for range 3 {
			synctest.Wait()
			time.Sleep(time.Second)
			a.increase("g", "x") // 101 to 103
		}
		synctest.Wait()
		if len(waiting) > 0 {
			t.Fatalf("got %s", (<-waiting).body)
		}
		a.increase("g", "x")
		if got := <-waiting; !strings.HasPrefix(got.body, `{"group":"g","revision":104,"events":[{"revision":104,`) {
			t.Errorf("got %s", got.body)
		}
	})
}

// TestPollIsAnsweredAtShutdown: at once, with a position to go on from; who
// comes back is sent to another node.
func TestPollIsAnsweredAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		a.increase("g", "x")
		waiting := a.poll("/v1/groups/g/watch?after=now")
		synctest.Wait()
		time.Sleep(time.Second)
		a.hub.Close()
		got := <-waiting
		got.is(200, `{"group":"g","revision":101,"events":[]}`+"\n")
		if got.took != time.Second || got.header.Get("Connection") != "close" {
			t.Errorf("after %v: %v", got.took, got.header)
		}
		next := a.get("/v1/groups/g/watch?after=101")
		if next.problem(counter.ShuttingDown); next.header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %v", next.header)
		}
	})
}

// TestReadAndWatchLeaveNoGap: the revision of a reply is where to watch from.
func TestReadAndWatchLeaveNoGap(t *testing.T) {
	a := newAPI(t)
	for range 50 {
		a.increase("g", "x")
		var read struct {
			Revision uint64
			Counters map[string]int64
		}
		if err := json.Unmarshal([]byte(a.get("/v1/groups/g/counters").body), &read); err != nil {
			t.Fatal(err)
		}
		a.increase("h", "x")
		a.increase("g", "x")
		var watched struct{ Events []struct{ Value int64 } }
		if err := json.Unmarshal([]byte(a.get(fmt.Sprint("/v1/groups/g/watch?after=", read.Revision)).body), &watched); err != nil {
			t.Fatal(err)
		}
		if len(watched.Events) != 1 || watched.Events[0].Value != read.Counters["x"]+1 {
			t.Fatalf("read %+v, then %+v", read, watched)
		}
	}
}

// TestWatchIsNoLatency: how long a watch waits is not in the histogram.
func TestWatchIsNoLatency(t *testing.T) {
	a := newAPI(t)
	a.get("/v1/groups/g/watch").ok()
	a.get("/v1/groups/g/watch?after=now&wait=1ms").ok()
	metrics := a.get("/metrics").body
	if strings.Contains(metrics, `tally_http_request_seconds_count{route="watchGroup"}`) {
		t.Error("a watch is in the histogram of latencies")
	}
	for _, line := range []string{
		`tally_http_requests_total{method="GET",route="watchGroup",status="200"} 2`,
		`tally_http_watch_replies_total{form="poll"} 1`,
		`tally_http_watches_open{form="poll"} 0`,
		`tally_http_requests_in_flight 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
}

func FuzzWatchQuery(f *testing.F) {
	cursor := newAPI(f).get("/v1/watch?group=a&group=b").many().Cursor
	for _, query := range []string{
		"", "after=0", "after=now", "after=-1", "after=x", "wait=1h", "wait=-1s", "wait=0.5s", "key=a&key=b", "group=a&group=b", "group=a&cursor=" + cursor,
		"group=a&group=a", "int64=string&after=100", "after=%30", "group=%ff", "wait=1ns&wait=2ns", "cursor=", "after=9223372036854775807",
	} {
		f.Add(query, "application/json", "", "wait=1")
		f.Add(query, "text/event-stream", "5", "")
		f.Add(query, "text/event-stream", cursor, "")
	}
	f.Fuzz(func(t *testing.T, query, accept, id, prefer string) {
		a := newAPI(t)
		a.increase("g", "x")
		for _, path := range []string{"/v1/groups/g/watch", "/v1/watch"} {
			r := httptest.NewRequest("GET", path, nil)
			r.URL.RawQuery = query
			r.Header = http.Header{"Accept": {accept}, "Last-Event-Id": {id}, "Prefer": {prefer}}
			a.glance(r, "")
		}
	})
}

func FuzzWatchBody(f *testing.F) {
	cursor := newAPI(f).get("/v1/watch?group=a&group=b").many().Cursor
	for _, body := range []string{
		`{"groups":[{"group":"a"},{"group":"b","keys":["x","y"]}]}`, `{"groups":[{"group":"a"}],"cursor":"` + cursor + `"}`, `{"cursor":null}`, `{"groups":{}}`,
		`{"groups":[{"group":"a","group":"b"}]}`, `{"groups":[[]]}`, `{"groups":[{"keys":[1]}]}`, `{"groups":[`, "",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/v1/watch", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		newAPI(t).glance(r, body)
	})
}

// glance sends a watch whose client does not wait: it gets what there is, a
// refusal, or nothing.
func (a *api) glance(r *http.Request, body string) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	recorder := httptest.NewRecorder()
	a.handler.ServeHTTP(recorder, r.WithContext(ctx))
	got := reply{t: a.t, status: recorder.Code, header: recorder.Result().Header, body: recorder.Body.String()}
	if got.status >= 500 || got.status == 200 && got.body == "" {
		if got.status != 200 {
			a.t.Errorf("got %d %s", got.status, got.body)
		}
		return
	}
	if err := hold(r, body, got); err != nil {
		a.t.Errorf("%s %s: %v\n%d %s", r.Method, r.URL, err, got.status, got.body)
	}
}
