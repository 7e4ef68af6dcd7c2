package httpapi_test

import (
	"net/url"
	"strings"
	"testing"
)

// TestOddButGood counts under names that invite mistakes, through the path, the
// query and a body; each must be one and the same counter everywhere.
func TestOddButGood(t *testing.T) {
	for _, name := range []string{
		"a/b", "a%2Fb", "a%252Fb", "a?b", "a&b=c", "a b", "a+b", ".", "..", "../..", "/", "//", "🎉", "a#b", "a;b", `a"b\c`, "<b>", ":key", "*",
		"increase", "counters", "é", "e\u0301", "\u2028", strings.Repeat("x", 128), strings.Repeat("ü", 128), "__proto__", "true",
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			path := "/v1/groups/g/counters/" + strings.ReplaceAll(url.PathEscape(name), ".", "%2E")
			a.do("POST", path+"/increase", "").has(200, 1)
			a.do("PUT", path, `{"value":5}`).has(200, 5)
			a.do("POST", "/v1/groups/g/increase", `{"counters":{`+quoted(name)+`:2}}`).ok()
			a.get(path).has(200, 7)
			a.get("/v1/groups/g/counters?key=" + url.QueryEscape(name)).ok()
			if got := a.backend.groups["g"].counters; len(got) != 1 || got[name] != 7 {
				t.Errorf("%q became %v", name, got)
			}
			a.do("DELETE", "/v1/groups/g/counters?key="+url.QueryEscape(name), "").ok()
			if len(a.backend.groups) != 0 {
				t.Errorf("%q was not deleted", name)
			}
		})
	}
}

func TestOddGroups(t *testing.T) {
	for _, name := range []string{"a b", "a/b", "a%2Fb", "...", ".a", "a@TOPIC", "🎉", "counters", ":group", "?", strings.Repeat("x", 128)} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			a.do("POST", "/v1/groups/"+url.PathEscape(name)+"/counters/a/increase", "").has(200, 1)
			a.do("POST", "/v1/batch", `{"operations":[{"op":"increase","group":`+quoted(name)+`,"counters":{"a":1}}]}`).ok()
			if g := a.backend.groups[name]; g == nil || g.counters["a"] != 2 || len(a.backend.groups) != 1 {
				t.Errorf("%q became %v", name, a.backend.groups)
			}
		})
	}
}

// TestPathsAreDecodedOnce spells paths as they come over the wire.
func TestPathsAreDecodedOnce(t *testing.T) {
	for _, c := range []struct{ path, group, key string }{
		{"/v1/groups/a%2Fb/counters/c%252Fd", "a/b", "c%2Fd"},
		{"/v1/groups/a%252Fb/counters/c%2Fd", "a%2Fb", "c/d"},
		{"/v1/groups/a%252Fb/counters/c", "a%2Fb", "c"},
		{"/v1/groups/g/counters/%2E%2E", "g", ".."},
		{"/v1/groups/g/counters/..", "g", ".."},
		{"/v1/groups/g/counters/.", "g", "."},
		{"/v1/groups/g/counters/a%3Fb", "g", "a?b"},
		{"/v1/groups/g/counters/a+b", "g", "a+b"},
		{"/v1/groups/g/counters/%61", "g", "a"},
		{"/v1/groups/g/counters/%E2%82%AC", "g", "€"},
		{"/v1/groups/g/counters/€", "g", "€"},
		{"/v1/groups/g/counters/%25", "g", "%"},
		{"/v1/groups/g/counters/%2525", "g", "%25"},
		{"/v1/groups/%2e%2e%2f/counters/%2f", "../", "/"},
		{"/v1/groups/g%20h/counters/counters%2Fa%2Fincrease", "g h", "counters/a/increase"},
	} {
		a := newAPI(t)
		for _, suffix := range []string{"", "/increase"} {
			method, body := "PUT", `{"value":0}`
			if suffix != "" {
				method, body = "POST", ""
			}
			a.do(method, c.path+suffix, body).ok()
			if g := a.backend.groups[c.group]; g == nil || len(a.backend.groups) != 1 || len(g.counters) != 1 {
				t.Errorf("%s became %v", c.path, a.backend.dump())
			} else if _, found := g.counters[c.key]; !found {
				t.Errorf("%s became %v", c.path, g.counters)
			}
		}
	}
}

func TestBodiesThatAreGood(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "/v1/groups/g/counters/a/increase", `{"value":1}`, "Content-Type", "application/json; charset=UTF-8").has(200, 1)
	a.do("POST", "/v1/groups/g/counters/a/increase", `{"value":1}`, "Content-Type", "Application/JSON").has(200, 2)
	a.do("POST", "/v1/groups/g/counters/a/increase", `{"value":1}`, "Content-Encoding", "identity").has(200, 3)
	a.do("POST", "/v1/groups/g/counters/a/increase", "", "Content-Type", "application/x-www-form-urlencoded").has(200, 4) // curl -d ''
	a.do("POST", "/v1/groups/g/counters/a/increase", "\r\n\t {\n\"\\u0076alue\" : \"\\u0031\" } ").has(200, 5)
	a.do("POST", "/v1/groups/g/counters/a/increase", `{"value":"0"}`, "Accept", "application/json").ok()
	a.do("POST", "/v1/groups/g/counters/a/increase", `{"value":1}`+strings.Repeat(" ", 64<<10-11)).ok()
}

func TestFullRanges(t *testing.T) {
	a := newAPI(t)
	a.do("PUT", "/v1/groups/g/counters/max", `{"value":9223372036854775807}`).has(200, largest)
	a.do("PUT", "/v1/groups/g/counters/min", `{"value":"-9223372036854775808"}`).has(200, smallest)
	a.do("POST", "/v1/groups/g/counters/max/decrease", `{"value":9223372036854775807}`).has(200, 0)
	a.do("POST", "/v1/groups/g/counters/min/increase", `{"value":9223372036854775807}`).has(200, -1)
	a.do("POST", "/v1/groups/g/counters/min/decrease", `{"value":"-9223372036854775808"}`).has(200, largest)
	list := make([]string, 20)
	for i := range list {
		list[i] = quoted(strings.Repeat("k", i+1)) + ":1"
	}
	a.do("PUT", "/v1/groups/full/counters", `{"counters":{`+strings.Join(list, ",")+`}}`).ok()
	a.do("POST", "/v1/batch", `{"operations":[`+strings.Repeat(`{"op":"increase","group":"g","counters":{"a":1}},`, 999)+`{"op":"delete","group":"full","all":true}]}`).ok()
}
