package httpapi_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tally/counter"
)

// TestBadInput sends what must be refused; nothing may have changed afterwards,
// and nothing but what only the state machine can know may have reached it.
func TestBadInput(t *testing.T) {
	const (
		group = "/v1/groups/g/counters"
		one   = "/v1/groups/g/counters/a"
		up    = one + "/increase"
		down  = one + "/decrease"
		batch = "/v1/batch"
	)
	long := strings.Repeat("k", 129)
	set := func(counters string) string { return `{"counters":{` + counters + `}}` }
	value := func(text string) string { return `{"value":` + text + `}` }
	operation := func(text string) string {
		return `{"operations":[{"op":"increase","group":"g","counters":{"a":1}},` + text + `]}`
	}
	numbered := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"k%d":1`, i))
		}
		return strings.Join(list, ",")
	}

	type bad struct {
		name, method, target, body string
		headers                    []string
		code                       counter.Code
		param                      string
	}
	cases := []bad{
		// Keys.
		{"empty key in the path", "PUT", group + "/", value("1"), nil, counter.InvalidKey, "key"},
		{"empty key to delete", "DELETE", group + "/", "", nil, counter.InvalidKey, "key"},
		{"empty key to increase", "POST", group + "//increase", "", nil, counter.InvalidKey, "key"},
		{"empty key to read", "GET", group + "/", "", nil, counter.InvalidKey, "key"},
		{"empty key in the query", "DELETE", group + "?key=", "", nil, counter.InvalidKey, "key"},
		{"bare key in the query", "DELETE", group + "?key", "", nil, counter.InvalidKey, "key"},
		{"empty key in a body", "PUT", group, set(`"":1`), nil, counter.InvalidKey, "key"},
		{"long key in the path", "POST", group + "/" + long + "/increase", "", nil, counter.InvalidKey, "key"},
		{"long key in the query", "GET", group + "?key=" + long, "", nil, counter.InvalidKey, "key"},
		{"long key in a body", "PUT", group, set(`"` + long + `":1`), nil, counter.InvalidKey, "key"},
		{"key of 129 emoji", "PUT", group + "/" + strings.Repeat("%F0%9F%8E%89", 129), value("1"), nil, counter.InvalidKey, "key"},
		{"key not UTF-8 in the path", "PUT", group + "/%FF", value("1"), nil, counter.InvalidKey, "key"},
		{"key not UTF-8 in the query", "DELETE", group + "?key=%FF", "", nil, counter.InvalidKey, "key"},
		{"key not UTF-8 in a body", "PUT", group, set("\"\xff\":1"), nil, counter.InvalidRequest, ""},
		{"key with half a surrogate pair", "PUT", group, set(`"\ud800":1`), nil, counter.InvalidRequest, ""},
		{"NUL in a key in the path", "PUT", group + "/a%00b", value("1"), nil, counter.InvalidKey, "key"},
		{"NUL in a key in a body", "PUT", group, set(`"a\u0000b":1`), nil, counter.InvalidKey, "key"},
		{"newline in a key", "PUT", group + "/a%0Ab", value("1"), nil, counter.InvalidKey, "key"},
		{"delete character in a key", "PUT", group, set(`"a\u007f":1`), nil, counter.InvalidKey, "key"},
		{"raw control character in a body", "PUT", group, set("\"a\nb\":1"), nil, counter.InvalidRequest, ""},

		// Groups.
		{"empty group", "GET", "/v1/groups//counters", "", nil, counter.InvalidGroup, "group"},
		{"group of 129 bytes", "GET", "/v1/groups/" + long + "/counters", "", nil, counter.InvalidGroup, "group"},
		{"group not UTF-8", "PUT", "/v1/groups/%FF/counters", set(`"a":1`), nil, counter.InvalidGroup, "group"},
		{"NUL in a group", "PUT", "/v1/groups/a%00/counters", set(`"a":1`), nil, counter.InvalidGroup, "group"},
		{"control character in a group", "DELETE", "/v1/groups/a%1F/counters", "", nil, counter.InvalidGroup, "group"},
		{"group .", "GET", "/v1/groups/./counters", "", nil, counter.InvalidGroup, "group"},
		{"group ..", "PUT", "/v1/groups/../counters", set(`"a":1`), nil, counter.InvalidGroup, "group"},
		{"group .. escaped", "PUT", "/v1/groups/%2E%2E/counters", set(`"a":1`), nil, counter.InvalidGroup, "group"},
		{"topic group written", "PUT", "/v1/groups/g@TOPIC%23t/counters", set(`"a":1`), nil, counter.UnsupportedGroup, "group"},
		{"topic group read", "GET", "/v1/groups/g@TOPIC%23t/counters", "", nil, counter.UnsupportedGroup, "group"},
		{"topic group in a batch", "POST", batch, operation(`{"op":"delete","group":"g@TOPIC#","all":true}`), nil, counter.UnsupportedGroup, "group"},

		// Values.
		{"fraction", "PUT", one, value("1.0"), nil, counter.InvalidValue, "value"},
		{"exponent", "POST", up, value("1e3"), nil, counter.InvalidValue, "value"},
		{"largest and one", "PUT", one, value("9223372036854775808"), nil, counter.InvalidValue, "value"},
		{"smallest less one", "POST", down, value("-9223372036854775809"), nil, counter.InvalidValue, "value"},
		{"largest and one as a string", "PUT", one, value(`"9223372036854775808"`), nil, counter.InvalidValue, "value"},
		{"a thousand digits", "PUT", one, value(strings.Repeat("9", 1000)), nil, counter.InvalidValue, "value"},
		{"true", "PUT", one, value("true"), nil, counter.InvalidValue, "value"},
		{"null", "PUT", one, value("null"), nil, counter.InvalidValue, "value"},
		{"empty string", "PUT", one, value(`""`), nil, counter.InvalidValue, "value"},
		{"space before", "PUT", one, value(`" 1"`), nil, counter.InvalidValue, "value"},
		{"space after", "PUT", one, value(`"1 "`), nil, counter.InvalidValue, "value"},
		{"plus sign", "PUT", one, value(`"+1"`), nil, counter.InvalidValue, "value"},
		{"leading zero", "PUT", one, value(`"01"`), nil, counter.InvalidValue, "value"},
		{"minus zero", "PUT", one, value(`"-01"`), nil, counter.InvalidValue, "value"},
		{"minus alone", "PUT", one, value(`"-"`), nil, counter.InvalidValue, "value"},
		{"hexadecimal", "PUT", one, value(`"0x10"`), nil, counter.InvalidValue, "value"},
		{"underscore", "PUT", one, value(`"1_000"`), nil, counter.InvalidValue, "value"},
		{"other digits", "PUT", one, value(`"١"`), nil, counter.InvalidValue, "value"},
		{"object", "PUT", one, value("{}"), nil, counter.InvalidValue, "value"},
		{"array", "PUT", one, value("[1]"), nil, counter.InvalidValue, "value"},
		{"leading zero as a number", "PUT", one, value("01"), nil, counter.InvalidRequest, ""},
		{"plus sign as a number", "PUT", one, value("+1"), nil, counter.InvalidRequest, ""},
		{"NaN", "PUT", one, value("NaN"), nil, counter.InvalidRequest, ""},
		{"a value among several", "POST", "/v1/groups/g/increase", set(`"a":1,"b":1.0`), nil, counter.InvalidValue, "counters.b"},
		{"a value in a batch", "POST", batch, operation(`{"op":"set","group":"g","counters":{"a":true}}`), nil, counter.InvalidValue, "counters.a"},

		// Arithmetic and size, which the state machine refuses.
		{"overflow", "POST", "/v1/groups/g/counters/max/increase", "", nil, counter.OutOfRange, ""},
		{"underflow", "POST", "/v1/groups/g/counters/min/decrease", "", nil, counter.OutOfRange, ""},
		{"decrease by the smallest", "POST", down, value("-9223372036854775808"), nil, counter.OutOfRange, ""},
		{"overflow after another operation", "POST", batch, operation(`{"op":"increase","group":"g","counters":{"max":1}}`), nil, counter.OutOfRange, ""},
		{"overflow beside another key", "POST", "/v1/groups/g/increase", set(`"a":1,"max":1`), nil, counter.OutOfRange, ""},
		{"a 21st key", "POST", "/v1/groups/full/counters/more/increase", "", nil, counter.TooManyCounters, ""},
		{"a set of 21", "PUT", "/v1/groups/new/counters", set(numbered(21)), nil, counter.TooManyCounters, ""},

		// JSON.
		{"duplicate names", "PUT", one, `{"value":1,"value":2}`, nil, counter.InvalidRequest, "value"},
		{"duplicate keys", "PUT", group, set(`"a":1,"a":2`), nil, counter.InvalidRequest, "a"},
		{"duplicate keys, one escaped", "PUT", group, set(`"a":1,"\u0061":2`), nil, counter.InvalidRequest, "a"},
		{"duplicate field in a batch", "POST", batch, operation(`{"op":"set","op":"set","group":"g","counters":{"a":1}}`), nil, counter.InvalidRequest, "op"},
		{"unknown field", "PUT", one, `{"vlaue":1}`, nil, counter.InvalidRequest, "vlaue"},
		{"field in other letters", "PUT", one, `{"Value":1}`, nil, counter.InvalidRequest, "Value"},
		{"unknown field beside", "PUT", group, `{"counters":{"a":1},"ttl":5}`, nil, counter.InvalidRequest, "ttl"},
		{"missing value", "POST", up, `{}`, nil, counter.InvalidRequest, "value"},
		{"missing counters", "PUT", group, `{}`, nil, counter.InvalidRequest, "counters"},
		{"no counters", "PUT", group, set(""), nil, counter.InvalidRequest, ""},
		{"counters are a list", "PUT", group, `{"counters":[{"a":1}]}`, nil, counter.InvalidRequest, "counters"},
		{"counters are null", "PUT", group, `{"counters":null}`, nil, counter.InvalidRequest, "counters"},
		{"deep nesting", "PUT", one, value(strings.Repeat("[", 20000)), nil, counter.InvalidValue, "value"},
		{"deep nesting of the body", "PUT", one, strings.Repeat("[", 20000), nil, counter.InvalidRequest, ""},
		{"deep nesting of objects", "PUT", group, strings.Repeat(`{"counters":`, 4000), nil, counter.InvalidValue, "counters.counters"},
		{"array", "PUT", one, `[]`, nil, counter.InvalidRequest, ""},
		{"number", "PUT", one, `5`, nil, counter.InvalidRequest, ""},
		{"no JSON", "PUT", one, `value=5`, nil, counter.InvalidRequest, ""},
		{"only spaces", "POST", up, "  ", nil, counter.InvalidRequest, ""},
		{"truncated name", "PUT", one, `{"val`, nil, counter.InvalidRequest, ""},
		{"truncated value", "PUT", one, `{"value":5`, nil, counter.InvalidRequest, ""},
		{"truncated object", "PUT", group, `{"counters":{"a":5}`, nil, counter.InvalidRequest, ""},
		{"truncated list", "POST", batch, `{"operations":[`, nil, counter.InvalidRequest, ""},
		{"missing colon", "PUT", one, `{"value" 5}`, nil, counter.InvalidRequest, ""},
		{"trailing comma", "PUT", one, `{"value":5,}`, nil, counter.InvalidRequest, ""},
		{"trailing object", "PUT", one, `{"value":5}{"value":6}`, nil, counter.InvalidRequest, ""},
		{"trailing garbage", "PUT", one, `{"value":5}x`, nil, counter.InvalidRequest, ""},
		{"byte order mark", "PUT", one, "\ufeff" + `{"value":5}`, nil, counter.InvalidRequest, ""},

		// Bodies.
		{"no body", "PUT", one, "", nil, counter.InvalidRequest, ""},
		{"a body where none is read", "DELETE", group, `{"keys":["a"]}`, nil, counter.InvalidRequest, ""},
		{"64 KiB and one", "PUT", one, value("1") + strings.Repeat(" ", 64<<10-len(value("1"))+1), nil, counter.BodyTooLarge, ""},
		{"1 MiB and one", "POST", batch, strings.Repeat(" ", 1<<20+1), nil, counter.BodyTooLarge, ""},
		{"what curl -d sends", "PUT", one, value("1"), []string{"Content-Type", "application/x-www-form-urlencoded"}, counter.UnsupportedMediaType, "Content-Type"},
		{"no content type", "PUT", one, value("1"), []string{"Content-Type", ""}, counter.UnsupportedMediaType, "Content-Type"},
		{"text", "PUT", one, value("1"), []string{"Content-Type", "text/json"}, counter.UnsupportedMediaType, "Content-Type"},
		{"UTF-16", "PUT", one, value("1"), []string{"Content-Type", "application/json; charset=utf-16"}, counter.UnsupportedMediaType, "Content-Type"},
		{"compressed", "PUT", one, value("1"), []string{"Content-Encoding", "gzip"}, counter.UnsupportedMediaType, "Content-Encoding"},

		// Query parameters.
		{"unknown parameter", "GET", group + "?keys=a", "", nil, counter.InvalidRequest, "keys"},
		{"unknown parameter to delete", "DELETE", group + "?Key=a", "", nil, counter.InvalidRequest, "Key"},
		{"parameter of another call", "GET", one + "?key=a", "", nil, counter.InvalidRequest, "key"},
		{"parameter where none is taken", "GET", "/livez?x=1", "", nil, counter.InvalidRequest, "x"},
		{"nameless parameter", "GET", group + "?=a", "", nil, counter.InvalidRequest, ""},
		{"consistency", "GET", group + "?consistency=eventual", "", nil, counter.InvalidRequest, "consistency"},
		{"consistency twice", "GET", group + "?consistency=stale&consistency=stale", "", nil, counter.InvalidRequest, "consistency"},
		{"int64", "GET", group + "?int64=bigint", "", nil, counter.InvalidRequest, "int64"},
		{"key twice to read", "GET", group + "?key=a&key=a", "", nil, counter.InvalidRequest, "key"},
		{"key twice to delete", "DELETE", group + "?key=a&key=%61", "", nil, counter.InvalidRequest, "key"},
		{"101 keys", "DELETE", group + "?key=k" + strings.Join(strings.Split(numbered(101), ","), "&key="), "", nil, counter.InvalidRequest, "key"},
		{"bad escape", "GET", group + "?key=%zz", "", nil, counter.InvalidRequest, ""},
		{"limit 0", "GET", "/v1/groups?limit=0", "", nil, counter.InvalidRequest, "limit"},
		{"limit 1001", "GET", "/v1/groups?limit=1001", "", nil, counter.InvalidRequest, "limit"},
		{"limit ten", "GET", "/v1/groups?limit=ten", "", nil, counter.InvalidRequest, "limit"},
		{"foreign cursor", "GET", "/v1/groups?cursor=!", "", nil, counter.InvalidRequest, "cursor"},
		{"empty cursor", "GET", "/v1/groups?cursor=", "", nil, counter.InvalidRequest, "cursor"},
		{"prefix not UTF-8", "GET", "/v1/groups?prefix=%FF", "", nil, counter.InvalidRequest, "prefix"},
		{"verbose", "GET", "/readyz?verbose=yes", "", nil, counter.InvalidRequest, "verbose"},

		// Headers.
		{"If-Match elsewhere", "PUT", one, value("1"), []string{"If-Match", `"1"`}, counter.InvalidRequest, "If-Match"},
		{"If-None-Match on a read", "GET", group, "", []string{"If-None-Match", `"1"`}, counter.InvalidRequest, "If-None-Match"},
		{"If-Match without quotes", "PUT", group, set(`"a":1`), []string{"If-Match", "1"}, counter.InvalidRequest, "If-Match"},
		{"weak If-Match", "PUT", group, set(`"a":1`), []string{"If-Match", `W/"1"`}, counter.InvalidRequest, "If-Match"},
		{"If-Match *", "PUT", group, set(`"a":1`), []string{"If-Match", "*"}, counter.InvalidRequest, "If-Match"},
		{"If-Match list", "PUT", group, set(`"a":1`), []string{"If-Match", `"1", "2"`}, counter.InvalidRequest, "If-Match"},
		{"If-Match beyond 64 bits", "PUT", group, set(`"a":1`), []string{"If-Match", `"18446744073709551616"`}, counter.InvalidRequest, "If-Match"},
		{"If-None-Match with a tag", "PUT", group, set(`"a":1`), []string{"If-None-Match", `"1"`}, counter.InvalidRequest, "If-None-Match"},
		{"both conditions", "PUT", group, set(`"a":1`), []string{"If-Match", `"1"`, "If-None-Match", "*"}, counter.InvalidRequest, "If-None-Match"},
		{"other revision", "PUT", group, set(`"a":1`), []string{"If-Match", `"1"`}, counter.RevisionMismatch, ""},
		{"idempotency key of a cluster change", "POST", "/v1/cluster/leader", "", []string{"Idempotency-Key", "k"}, counter.InvalidRequest, "Idempotency-Key"},
		{"user name with a control character", "POST", up, "", []string{"X-Tally-User", "a\x01"}, counter.InvalidRequest, "X-Tally-User"},
		{"long user name", "GET", one, "", []string{"X-Tally-User", long}, counter.InvalidRequest, "X-Tally-User"},
		{"foreign page", "POST", up, "", []string{"Origin", "https://evil.example"}, counter.Forbidden, "Origin"},
		{"foreign site", "DELETE", group, "", []string{"Sec-Fetch-Site", "cross-site"}, counter.Forbidden, "Origin"},

		// Batches.
		{"no operations", "POST", batch, `{"operations":[]}`, nil, counter.InvalidRequest, ""},
		{"missing operations", "POST", batch, `{}`, nil, counter.InvalidRequest, "operations"},
		{"operations are an object", "POST", batch, `{"operations":{}}`, nil, counter.InvalidRequest, "operations"},
		{"operation is a string", "POST", batch, operation(`"delete"`), nil, counter.InvalidRequest, "operations"},
		{"1,001 operations", "POST", batch, `{"operations":[` + strings.Repeat(`{"op":"delete","group":"g","all":true},`, 1000) + `{"op":"delete","group":"g","all":true}]}`, nil, counter.InvalidRequest, "operations"},
		{"missing op", "POST", batch, operation(`{"group":"g"}`), nil, counter.InvalidRequest, "op"},
		{"unknown op", "POST", batch, operation(`{"op":"increse","group":"g","counters":{"a":1}}`), nil, counter.InvalidRequest, "op"},
		{"op is a number", "POST", batch, operation(`{"op":1,"group":"g","counters":{"a":1}}`), nil, counter.InvalidRequest, "op"},
		{"missing group", "POST", batch, operation(`{"op":"set","counters":{"a":1}}`), nil, counter.InvalidRequest, "group"},
		{"empty group in a batch", "POST", batch, operation(`{"op":"set","group":"","counters":{"a":1}}`), nil, counter.InvalidGroup, "group"},
		{"unknown field in a batch", "POST", batch, operation(`{"op":"set","group":"g","counter":{"a":1}}`), nil, counter.InvalidRequest, "counter"},
		{"set with keys", "POST", batch, operation(`{"op":"set","group":"g","counters":{"a":1},"keys":[]}`), nil, counter.InvalidRequest, ""},
		{"delete with counters", "POST", batch, operation(`{"op":"delete","group":"g","all":true,"counters":{}}`), nil, counter.InvalidRequest, ""},
		{"delete keys and all", "POST", batch, operation(`{"op":"delete","group":"g","all":true,"keys":["a"]}`), nil, counter.InvalidRequest, ""},
		{"delete nothing", "POST", batch, operation(`{"op":"delete","group":"g"}`), nil, counter.InvalidRequest, ""},
		{"all is a string", "POST", batch, operation(`{"op":"delete","group":"g","all":"true"}`), nil, counter.InvalidRequest, "all"},
		{"keys are a string", "POST", batch, operation(`{"op":"delete","group":"g","keys":"a"}`), nil, counter.InvalidRequest, "keys"},
		{"key is a number", "POST", batch, operation(`{"op":"delete","group":"g","keys":[1]}`), nil, counter.InvalidRequest, "keys"},
		{"key twice in a batch", "POST", batch, operation(`{"op":"delete","group":"g","keys":["a","a"]}`), nil, counter.InvalidRequest, ""},

		// Members.
		{"member without an ID", "POST", "/v1/cluster/members", `{"peerAddr":"h:1"}`, nil, counter.InvalidRequest, "id"},
		{"member without an address", "POST", "/v1/cluster/members", `{"id":"n4"}`, nil, counter.InvalidRequest, "peerAddr"},
		{"member without a port", "POST", "/v1/cluster/members", `{"id":"n4","peerAddr":"host"}`, nil, counter.InvalidRequest, "peerAddr"},
		{"member with an unknown field", "POST", "/v1/cluster/members", `{"id":"n4","peerAddr":"h:1","voters":true}`, nil, counter.InvalidRequest, "voters"},
		{"member ID with a newline", "DELETE", "/v1/cluster/members/n%0A", "", nil, counter.InvalidRequest, "id"},
		{"empty leader", "POST", "/v1/cluster/leader", `{"id":""}`, nil, counter.InvalidRequest, "id"},
		{"leader is a number", "POST", "/v1/cluster/leader", `{"id":2}`, nil, counter.InvalidRequest, "id"},

		// Paths and methods.
		{"no such path", "GET", "/v1/groups/g", "", nil, counter.RouteNotFound, ""},
		{"slash at the end", "GET", group + "/a/", "", nil, counter.RouteNotFound, ""},
		{"two slashes", "GET", "//v1/groups", "", nil, counter.RouteNotFound, ""},
		{"dots are not cleaned", "GET", "/v1/groups/x/../g/counters", "", nil, counter.RouteNotFound, ""},
		{"more after a member", "DELETE", "/v1/cluster/members/n1/x", "", nil, counter.RouteNotFound, ""},
		{"other version", "GET", "/v2/groups", "", nil, counter.RouteNotFound, ""},
		{"method of another path", "POST", one, value("1"), nil, counter.MethodNotAllowed, ""},
		{"invented method", "COUNT", group, "", nil, counter.MethodNotAllowed, ""},
		{"change by GET", "GET", up, "", nil, counter.MethodNotAllowed, ""},
		{"no such counter", "GET", group + "/none", "", nil, counter.CounterNotFound, "key"},
	}
	a := newAPI(t)
	a.backend.give("g", map[string]int64{"a": 1, "max": largest, "min": smallest})
	full := make(map[string]int64)
	for i := range counter.GroupCountersMax {
		full[fmt.Sprint(i)] = 1
	}
	a.backend.give("full", full)
	before := a.backend.dump()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a.t, a.backend.proposed = t, nil
			got := a.do(c.method, c.target, c.body, c.headers...)
			p := got.problem(c.code)
			if p.Param != c.param || !p.Definite {
				t.Errorf("param %q, want %q: %s", p.Param, c.param, got.body)
			}
			decided := c.code == counter.OutOfRange || c.code == counter.TooManyCounters && p.Revision != 0 || c.code == counter.RevisionMismatch
			if !decided && len(a.backend.proposed) > 0 {
				t.Error("reached the state machine")
			}
			if strings.HasPrefix(c.body, `{"operations":[{"op":"increase"`) && (p.Operation == nil || *p.Operation != 1) {
				t.Errorf("operation not named: %s", got.body)
			}
			if len(got.body) > 1024 {
				t.Errorf("%d bytes of problem", len(got.body))
			}
			if after := a.backend.dump(); after != before {
				t.Errorf("something changed:\n%s\n%s", before, after)
			}
		})
	}
}

func TestDetailsSayWhatToDo(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct {
		got  reply
		want string
	}{
		{a.do("PUT", "/v1/groups/g/counters", "x", "Content-Type", "application/x-www-form-urlencoded"), `add the header "Content-Type: application/json"`},
		{a.do("PUT", "/v1/groups/g/counters/a", `{"vlaue":1}`), `did you mean "value"?`},
		{a.do("PUT", "/v1/groups/g/counters", `{"x":1}`), `known here: "counters"`},
		{a.get("/v1/groups/g/counters?Keys=a"), `did you mean "key"?`},
		{a.get("/v1/groups?lmit=5"), `did you mean "limit"?`},
		{a.get("/livez?pretty"), `none is taken here`},
		{a.do("POST", "/v1/batch", `{"operations":[{"op":"increse"}]}`), `did you mean "increase"?`},
		{a.do("POST", "/v1/groups/g/counters/a", ""), `it takes OPTIONS, DELETE, GET, HEAD, PUT`},
	} {
		if !strings.Contains(strings.ReplaceAll(c.got.body, `\"`, `"`), c.want) {
			t.Errorf("%q is not in %s", c.want, c.got.body)
		}
	}
}

func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	got := newAPI(t).do("PATCH", "/v1/groups/g/counters/a", "")
	got.problem(counter.MethodNotAllowed)
	if allow := got.header.Get("Allow"); allow != "OPTIONS, DELETE, GET, HEAD, PUT" {
		t.Errorf("Allow: %s", allow)
	}
}

// TestBrokenBodies sends bodies as only a connection can break them.
func TestBrokenBodies(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct {
		name, head, body string
		code             counter.Code
	}{
		{"shorter than announced", "Content-Length: 100", `{"value":1}`, counter.InvalidRequest},
		{"chunk cut off", "Transfer-Encoding: chunked", "b\r\n{\"value", counter.InvalidRequest},
		{"too long in chunks", "Transfer-Encoding: chunked", "10001\r\n" + strings.Repeat(" ", 1<<16+1) + "\r\n0\r\n\r\n", counter.BodyTooLarge},
		{"announced too long", "Content-Length: 99999999999", "", counter.BodyTooLarge},
	} {
		raw := "PUT /v1/groups/g/counters/a HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n" + c.head + "\r\n\r\n" + c.body
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		a.send(r, "").problem(c.code)
	}
	if len(a.backend.proposed) > 0 {
		t.Errorf("proposed %+v", a.backend.proposed)
	}
}

func TestIdempotencyKeysAreChecked(t *testing.T) {
	a := newAPI(t)
	for name, lines := range map[string][]string{
		"empty": {""}, "too long": {strings.Repeat("ü", 129)}, "twice": {"a", "b"}, "not UTF-8": {"\xff"}, "control": {"a\x7f"},
	} {
		r, err := http.NewRequest("POST", "/v1/groups/g/counters/a/increase", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Idempotency-Key"] = lines
		if p := a.send(r, "").problem(counter.InvalidRequest); p.Param != "Idempotency-Key" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
