package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"tally/counter"
	"tally/docs"
	"tally/httpapi"
)

func TestReady(t *testing.T) {
	a := newAPI(t)
	a.get("/livez").is(200, "ok\n")
	a.get("/readyz").is(200, "ok\n")
	a.get("/readyz?verbose").is(200, "[+]leader n1\n[+]caught_up applied 100, committed 100\nok\n")
	a.backend.checks = []counter.Check{{Name: "leader", OK: true}, {Name: "caught_up", Detail: "applied 10, committed 500"}}
	a.get("/readyz").is(503, "[-]caught_up applied 10, committed 500\nnot ready\n")
	a.get("/readyz?verbose=true").is(503, "[+]leader\n[-]caught_up applied 10, committed 500\nnot ready\n")
	a.get("/readyz?verbose=false").is(503, "[-]caught_up applied 10, committed 500\nnot ready\n")
	a.get("/livez").is(200, "ok\n")
}

func TestDescriptionIsServed(t *testing.T) {
	got := newAPI(t).get("/openapi.yaml")
	got.is(200, docs.OpenAPI)
	if got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("Content-Type: %s", got.header.Get("Content-Type"))
	}
}

func TestWelcome(t *testing.T) {
	body := newAPI(t).get("/").body
	if strings.Count(body, "\ncurl ") != 5 || strings.Count(body, "http://127.0.0.1:8101/") != 5 || !strings.Contains(body, "1.0.0") {
		t.Errorf("got %s", body)
	}
	// Without an address of its own the node takes the one by which it was reached.
	body = newAPI(t, func(c *httpapi.Config) { c.ListenURL = "" }).get("/").body
	if strings.Count(body, "http://example.com/") != 5 {
		t.Errorf("got %s", body)
	}
}

// TestWelcomeLinesWork pastes what GET / shows.
func TestWelcomeLinesWork(t *testing.T) {
	a := newAPI(t)
	for _, line := range strings.Split(strings.TrimSpace(a.get("/").body), "\n")[1:] {
		a.curl(line).ok()
	}
	if got := a.backend.groups["room"].counters; got["likes"] != 10 || got["views"] != 100 {
		t.Errorf("counted %v", got)
	}
}

func TestMetrics(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "/v1/groups/g/counters/a/increase", "")
	a.do("POST", "/v1/groups/h/counters/b/increase", "")
	a.do("POST", "/v1/groups/g/counters/a/increase", `{"value":1.5}`)
	a.get("/nowhere")
	a.do("COUNT", "/v1/groups", "")
	a.backend.fail = func(context.Context) error { panic("at the backend") }
	a.get("/v1/cluster")
	got := a.get("/metrics").body
	for _, line := range []string{
		`tally_http_requests_total{method="POST",route="increaseCounter",status="200"} 2`,
		`tally_http_requests_total{method="POST",route="increaseCounter",status="400"} 1`,
		`tally_http_requests_total{method="GET",route="none",status="404"} 1`,
		`tally_http_requests_total{method="other",route="none",status="405"} 1`,
		`tally_http_requests_total{method="GET",route="readCluster",status="500"} 1`,
		`tally_http_request_seconds_count{route="increaseCounter"} 3`,
		`tally_http_requests_in_flight 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
}

func TestNoMetricsWithoutGatherer(t *testing.T) {
	newAPI(t, func(c *httpapi.Config) { c.Gatherer = nil }).get("/metrics").problem(counter.RouteNotFound)
}

func TestCluster(t *testing.T) {
	a := newAPI(t)
	const head = `{"clusterId":"0197c5b152f37a3e9b645be6a4d7f2c1","node":"n1",`
	const n1 = `{"id":"n1","url":"http://127.0.0.1:8101","peerAddr":"127.0.0.1:9101","role":"leader","voter":true,"reachable":true,"lastIndex":100,"commitIndex":100,"appliedIndex":100,"stateHash":{"index":100,"hash":"7d2f0a519be4c836"}}`
	const n2 = `{"id":"n2","peerAddr":"127.0.0.1:9102","voter":true,"reachable":false,"lastIndex":0,"commitIndex":0,"appliedIndex":0}`
	const n4 = `{"id":"n4","peerAddr":"10.0.0.4:9101","role":"follower","voter":false,"reachable":true,"lastIndex":0,"commitIndex":0,"appliedIndex":0}`
	const led = `"leader":{"id":"n1","url":"http://127.0.0.1:8101"},"term":3,`
	a.get("/v1/cluster").is(200, head+led+`"members":[`+n1+`,`+n2+`]}`+"\n")
	a.do("POST", "/v1/cluster/members", `{"id":"n4","peerAddr":"10.0.0.4:9101","voter":false}`).is(200, head+led+`"members":[`+n1+`,`+n2+`,`+n4+`]}`+"\n")
	a.do("DELETE", "/v1/cluster/members/n2", "").is(200, head+led+`"members":[`+n1+`,`+n4+`]}`+"\n")
	a.do("POST", "/v1/cluster/members", `{"id":"a <b>","peerAddr":"[::1]:9101"}`).ok()
	if got := a.backend.cluster.Members[0]; got.ID != "a <b>" || !got.Voter {
		t.Errorf("added %+v", got)
	}
	a.do("POST", "/v1/cluster/leader", `{"id":"n4"}`).ok()
	a.do("POST", "/v1/cluster/leader", "").ok()
	if a.backend.cluster.Term != 5 {
		t.Errorf("term %d", a.backend.cluster.Term)
	}
	a.do("POST", "/v1/cluster/leader", `{"id":"n9"}`).problem(counter.InvalidRequest)
	a.backend.cluster = counter.Cluster{Node: "n1"}
	a.get("/v1/cluster").is(200, `{"clusterId":"","node":"n1","term":0,"members":[]}`+"\n")
}

// TestHead: every GET has its HEAD, with the same headers and nothing after them.
func TestHead(t *testing.T) {
	a := newAPI(t)
	a.backend.give("g", map[string]int64{"a": 1})
	for _, target := range []string{"/v1/groups/g/counters", "/v1/groups/g/counters/a", "/v1/groups", "/v1/cluster", "/livez", "/readyz", "/openapi.yaml", "/"} {
		get, head := a.get(target), a.do("HEAD", target, "")
		if head.body != "" || head.status != 200 || head.header.Get("Content-Length") != get.header.Get("Content-Length") {
			t.Errorf("HEAD %s: %d %v %s", target, head.status, head.header, head.body)
		}
	}
}

func TestOptions(t *testing.T) {
	a := newAPI(t)
	for target, allow := range map[string]string{
		"/v1/groups/g/counters":       "GET, HEAD, PUT, DELETE, OPTIONS",
		"/v1/groups/g/counters/":      "GET, HEAD, PUT, DELETE, OPTIONS",
		"/v1/batch":                   "POST, OPTIONS",
		"/v1/cluster/members/n1":      "DELETE, OPTIONS",
		"/readyz":                     "GET, HEAD, OPTIONS",
		"/v1/groups/..%2F/counters/a": "GET, HEAD, PUT, DELETE, OPTIONS",
	} {
		got := a.do("OPTIONS", target, "")
		if got.status != http.StatusNoContent || got.header.Get("Allow") != allow || got.body != "" {
			t.Errorf("OPTIONS %s: %d %v", target, got.status, got.header)
		}
	}
	a.do("OPTIONS", "/nowhere", "").problem(counter.RouteNotFound)
}
