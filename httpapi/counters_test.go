package httpapi_test

import (
	"testing"

	"tally/counter"
)

func TestCounters(t *testing.T) {
	a := newAPI(t)
	for _, step := range []struct{ method, target, body, want string }{
		{"PUT", "/v1/groups/g/counters", `{"counters":{"b":2,"a":1}}`, `{"group":"g","revision":101,"counters":{"b":2,"a":1}}`},
		{"GET", "/v1/groups/g/counters", "", `{"group":"g","revision":101,"modRevision":101,"counters":{"a":1,"b":2}}`},
		{"GET", "/v1/groups/g/counters?key=b&key=none", "", `{"group":"g","revision":101,"modRevision":101,"counters":{"b":2}}`},
		{"GET", "/v1/groups/g/counters?consistency=stale&int64=string", "", `{"group":"g","revision":101,"modRevision":101,"counters":{"a":"1","b":"2"}}`},
		{"GET", "/v1/groups/g/counters/a?consistency=linearizable", "", `{"group":"g","revision":101,"modRevision":101,"key":"a","value":1}`},
		{"GET", "/v1/groups/g/counters/a?int64=string", "", `{"group":"g","revision":101,"modRevision":101,"key":"a","value":"1"}`},
		{"PUT", "/v1/groups/g/counters/a", `{"value":5}`, `{"group":"g","revision":102,"key":"a","value":5,"counters":{"a":5}}`},
		{"POST", "/v1/groups/g/counters/a/increase", `{"value":"2"}`, `{"group":"g","revision":103,"key":"a","value":7,"counters":{"a":7}}`},
		{"POST", "/v1/groups/g/counters/a/increase", "", `{"group":"g","revision":104,"key":"a","value":8,"counters":{"a":8}}`},
		{"POST", "/v1/groups/g/counters/a/decrease?int64=string", "", `{"group":"g","revision":105,"key":"a","value":"7","counters":{"a":"7"}}`},
		{"POST", "/v1/groups/g/counters/a/decrease", `{"value":-3}`, `{"group":"g","revision":106,"key":"a","value":10,"counters":{"a":10}}`},
		{"POST", "/v1/groups/g/increase", `{"counters":{"a":2,"c":0}}`, `{"group":"g","revision":107,"counters":{"a":12,"c":0}}`},
		{"POST", "/v1/groups/g/decrease", ` {"counters" : {"a":"2"}}` + "\n", `{"group":"g","revision":108,"counters":{"a":10}}`},
		{"DELETE", "/v1/groups/g/counters/c", "", `{"group":"g","revision":109,"deleted":["c"]}`},
		{"DELETE", "/v1/groups/g/counters/c", "", `{"group":"g","revision":110,"deleted":[]}`},
		{"DELETE", "/v1/groups/g/counters?key=b&key=c", "", `{"group":"g","revision":111,"deleted":["b"]}`},
		{"POST", "/v1/batch", `{"operations":[{"op":"increase","group":"g","counters":{"a":1}},{"op":"set","group":"h","counters":{"x":1,"y":-1}},
			{"op":"delete","group":"h","keys":["y"]},{"op":"decrease","group":"h","counters":{"x":1}},{"op":"delete","group":"g","all":true}]}`,
			`{"revision":112,"results":[{"group":"g","counters":{"a":11}},{"group":"h","counters":{"x":1,"y":-1}},{"group":"h","deleted":["y"]},{"group":"h","counters":{"x":0}},{"group":"g","deleted":["a"]}]}`},
		{"DELETE", "/v1/groups/h/counters", "", `{"group":"h","revision":113,"deleted":["x"]}`},
		{"GET", "/v1/groups/h/counters", "", `{"group":"h","revision":113,"modRevision":0,"counters":{}}`},
	} {
		a.do(step.method, step.target, step.body).is(200, step.want+"\n")
	}
}

func TestValuesKeepEveryDigit(t *testing.T) {
	a := newAPI(t)
	a.do("PUT", "/v1/groups/g/counters", `{"counters":{"max":9223372036854775807,"min":"-9223372036854775808"}}`).
		is(200, `{"group":"g","revision":101,"counters":{"max":9223372036854775807,"min":-9223372036854775808}}`+"\n")
	a.get("/v1/groups/g/counters/min", "Accept", "text/plain").is(200, "-9223372036854775808\n")
}

func TestPlainText(t *testing.T) {
	a := newAPI(t)
	a.backend.give("g", map[string]int64{"a": 7})
	for accept, plain := range map[string]bool{
		"text/plain":                        true,
		"text/plain;q=0.9, */*;q=0.1":       true,
		"application/json;q=0.5,text/plain": true,
		"":                                  false,
		"*/*":                               false,
		"application/json, text/plain, */*": false,
		"text/html":                         false,
		"text/plain;q=0":                    false,
		";;;":                               false,
	} {
		got := a.get("/v1/groups/g/counters/a", "Accept", accept)
		if (got.body == "7\n") != plain {
			t.Errorf("Accept: %s gave %s", accept, got.body)
		}
		if got.header.Get("Vary") != "Accept" {
			t.Errorf("Vary: %q", got.header.Get("Vary"))
		}
	}
}

func TestConditions(t *testing.T) {
	a := newAPI(t)
	const target, body = "/v1/groups/g/counters", `{"counters":{"a":1}}`
	a.do("PUT", target, body, "If-None-Match", "*").is(200, `{"group":"g","revision":101,"counters":{"a":1}}`+"\n")
	if p := a.do("PUT", target, body, "If-None-Match", "*").problem(counter.RevisionMismatch); p.Revision != 102 || !p.Definite {
		t.Errorf("got %+v", p)
	}
	etag := a.get(target).header.Get("ETag")
	if etag != `"101"` {
		t.Errorf("ETag %s", etag)
	}
	a.do("PUT", target, body, "If-Match", etag).is(200, `{"group":"g","revision":103,"counters":{"a":1}}`+"\n")
	a.do("PUT", target, body, "If-Match", etag).problem(counter.RevisionMismatch)
	a.do("PUT", "/v1/groups/new/counters", body, "If-Match", `"0"`).is(200, `{"group":"new","revision":105,"counters":{"a":1}}`+"\n")
}

func TestListGroups(t *testing.T) {
	a := newAPI(t)
	for _, name := range []string{"b/1", "a", "b 2", "c"} {
		a.backend.give(name, map[string]int64{"x": 1})
	}
	a.get("/v1/groups").is(200, `{"groups":[{"group":"a","size":1,"modRevision":102},{"group":"b 2","size":1,"modRevision":103},{"group":"b/1","size":1,"modRevision":101},{"group":"c","size":1,"modRevision":104}]}`+"\n")
	a.get("/v1/groups?prefix=b&limit=1").is(200, `{"groups":[{"group":"b 2","size":1,"modRevision":103}],"next":"YiAy"}`+"\n")
	a.get("/v1/groups?prefix=b&limit=1&cursor=YiAy").is(200, `{"groups":[{"group":"b/1","size":1,"modRevision":101}]}`+"\n")
	a.get("/v1/groups?prefix=zz").is(200, `{"groups":[]}`+"\n")
}

func TestMutationCarriesTheCaller(t *testing.T) {
	a := newAPI(t)
	a.backend.replay = true
	got := a.do("POST", "/v1/groups/g/counters/a/increase", "", "X-Tally-User", "zoë", "X-Request-Id", "r-1", "Idempotency-Key", "k-1")
	if got.header.Get("Idempotent-Replayed") != "true" || got.header.Get("X-Request-Id") != "r-1" {
		t.Errorf("headers %v", got.header)
	}
	m := a.backend.proposed[0]
	if m.User != "zoë" || m.RequestID != "r-1" || m.IdempotencyKey != "k-1" || m.Batch {
		t.Errorf("proposed %+v", m)
	}
}
