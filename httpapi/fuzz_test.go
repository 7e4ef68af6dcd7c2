package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"tally/counter"
)

// Whatever a caller sends, the answer is a success or a refusal that is as
// described, and a refusal changes nothing. The oracle is api.send.

func FuzzBody(f *testing.F) {
	targets := []string{
		"PUT /v1/groups/g/counters", "PUT /v1/groups/g/counters/a", "POST /v1/groups/g/counters/a/increase", "POST /v1/groups/g/decrease",
		"POST /v1/batch", "POST /v1/cluster/members", "POST /v1/cluster/leader",
	}
	for i := range targets {
		for _, body := range []string{
			"", "{}", `{"counters":{"a":1,"b":"-2"}}`, `{"value":9223372036854775807}`, `{"value":1e3}`, `{"value":{"a":[1]}}`, `{"id":"n4","peerAddr":"h:1","voter":false}`,
			`{"operations":[{"op":"set","group":"g","counters":{"a":1}},{"op":"delete","group":"g","keys":["a","b"]},{"op":"delete","group":"h","all":true}]}`,
			`{"counters":{"\u0061":1,"a":2}}`, `{"v`, "\xff", `{"value":1}{}`, `[[[[[[[[`, `{"operations":[{"op":"increse"}]}`,
		} {
			f.Add(uint8(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, choice uint8, body string) {
		method, target, _ := strings.Cut(targets[int(choice)%len(targets)], " ")
		refusedOrDone(t, func() *http.Request {
			r := httptest.NewRequest(method, target, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			return r
		}, body)
	})
}

func FuzzQuery(f *testing.F) {
	targets := []string{"GET /v1/groups/g/counters", "DELETE /v1/groups/g/counters", "GET /v1/groups/g/counters/a", "GET /v1/groups", "GET /readyz"}
	for i := range targets {
		for _, query := range []string{
			"", "key=a&key=b", "key=", "key", "&&", "consistency=stale", "int64=string&consistency=linearizable", "limit=5&prefix=a&cursor=YiAy", "verbose",
			"key=%zz", "key=%ff", "=", "k%65y=a", "key=a+b", "cursor=%21", "kex=1", "key=a;b",
		} {
			f.Add(uint8(i), query)
		}
	}
	f.Fuzz(func(t *testing.T, choice uint8, query string) {
		method, target, _ := strings.Cut(targets[int(choice)%len(targets)], " ")
		refusedOrDone(t, func() *http.Request {
			r := httptest.NewRequest(method, target, nil)
			r.URL.RawQuery = query
			return r
		}, "")
	})
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "//", "/v1/groups/g/counters/a", "/v1/groups/%2e%2e/counters/%2F", "/v1/groups/a%252Fb/counters", "/v1/cluster/members/a/b", "/v1/groups/:group/counters/*", "/v1/%67roups"} {
		f.Add("GET", path)
		f.Add("DELETE", path)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Path == "" || u.Path[0] != '/' || method == "" {
			t.Skip() // never reaches a handler
		}
		u.RawQuery = ""
		refusedOrDone(t, func() *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			r.Method, r.URL, r.RequestURI = method, u, path
			return r
		}, "")
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add(`"1"`, "*", "k", "r-1", "zoë", "text/plain;q=0.5, */*", "https://a.example")
	f.Add("W/\"1\"", "\"\"", "", "\xff", "\x00", ";;q=,", "null")
	f.Fuzz(func(t *testing.T, match, noneMatch, key, id, user, accept, origin string) {
		refusedOrDone(t, func() *http.Request {
			r := httptest.NewRequest("PUT", "/v1/groups/g/counters", strings.NewReader(`{"counters":{"a":1}}`))
			r.Header = http.Header{"Content-Type": {"application/json"}}
			for name, value := range map[string]string{
				"If-Match": match, "If-None-Match": noneMatch, "Idempotency-Key": key, "X-Request-Id": id, "X-Tally-User": user, "Accept": accept, "Origin": origin,
			} {
				if value != "" {
					r.Header[name] = []string{value}
				}
			}
			return r
		}, `{"counters":{"a":1}}`)
	})
}

// refusedOrDone sends the request to a group that has something to lose.
func refusedOrDone(t *testing.T, request func() *http.Request, body string) {
	a := newAPI(t)
	a.backend.give("g", map[string]int64{"a": 1, "b": largest})
	before := a.backend.dump()
	got := a.send(request(), body)
	switch {
	case got.status < 300:
		return
	case got.status >= 500:
		t.Errorf("got %d %s", got.status, got.body)
	}
	var p problem
	for _, info := range counter.Codes() {
		if strings.Contains(got.body, `"code":"`+string(info.Code)+`"`) {
			p = got.problem(info.Code)
		}
	}
	if p.Code == "" || !p.Definite || a.backend.dump() != before {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
