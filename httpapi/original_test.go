package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tally/counter"
	"tally/httpapi"
	"tally/identity"
)

const originalQuery = "?sdkappid=88888888&identifier=administrator&usersig=xxx&random=99999999&contenttype=json"

// original sends a command of the original's server API as its documentation says.
func (a *api) original(command, body string, headers ...string) reply {
	a.t.Helper()
	return a.do("POST", "/v4/group_open_http_svc/"+command+"_group_counter"+originalQuery, body, headers...)
}

// fails checks that the reply is a failure with the original's code, and none of
// the fields that come with success.
func (r reply) fails(code int) {
	r.t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != 200 {
		r.t.Fatalf("got %d %s%v", r.status, r.body, err)
	}
	if got["ActionStatus"] != "FAIL" || got["ErrorCode"] != float64(code) || got["ErrorInfo"] == "" || len(got) != 3 {
		r.t.Errorf("got %swant the code %d", r.body, code)
	}
}

// TestOriginalDocumentation replays requests of the shapes that the original's
// documentation gives, in this order, on one group.
func TestOriginalDocumentation(t *testing.T) {
	const (
		group = `"GroupId":"@TGS#aC5SZEAEF"`
		done  = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0`
	)
	a := newAPI(t)
	for _, c := range []struct{ command, body, reply string }{
		{"update", `{` + group + `,"GroupCounter":[{"Key":"like","Value":5},{"Key":"unlike","Value":1}],"Mode":"Set"}`,
			`,"GroupCounter":[{"Key":"like","Value":5},{"Key":"unlike","Value":1}]}`},
		{"update", `{` + group + `,"GroupCounter":[{"Key":"unlike","Value":2},{"Key":"like","Value":10}],"Mode":"Increase"}`,
			`,"GroupCounter":[{"Key":"unlike","Value":3},{"Key":"like","Value":15}]}`},
		{"update", `{` + group + `,"GroupCounter":[{"Key":"like","Value":7},{"Key":"gift","Value":-1}],"Mode":"Decrease"}`,
			`,"GroupCounter":[{"Key":"like","Value":8},{"Key":"gift","Value":1}]}`},
		{"update", `{"Mode":"Set","GroupCounter":[{"Value":9223372036854775807,"Key":"max"},{"Key":"min","Value":-9223372036854775808}],` + group + `}`,
			`,"GroupCounter":[{"Key":"max","Value":9223372036854775807},{"Key":"min","Value":-9223372036854775808}]}`},
		{"get", `{` + group + `,"GroupCounterKeys":["unlike","none","like"]}`,
			`,"GroupCounter":[{"Key":"unlike","Value":3},{"Key":"like","Value":8}]}`},
		{"delete", `{` + group + `,"GroupCounterKeys":["max","min","none"]}`, `}`},
		{"get", `{` + group + `}`,
			`,"GroupCounter":[{"Key":"gift","Value":1},{"Key":"like","Value":8},{"Key":"unlike","Value":3}]}`},
		{"get", `{` + group + `,"GroupCounterKeys":[]}`,
			`,"GroupCounter":[{"Key":"gift","Value":1},{"Key":"like","Value":8},{"Key":"unlike","Value":3}]}`},
		{"delete", `{` + group + `}`, `}`},
		{"get", `{` + group + `}`, `,"GroupCounter":[]}`},
		{"delete", `{` + group + `}`, `}`},
	} {
		a.original(c.command, c.body).is(200, done+c.reply+"\n")
	}
	if got := len(a.backend.proposed); got != 7 {
		t.Errorf("7 changes became %d log entries", got)
	}
	for _, m := range a.backend.proposed {
		if m.User != "administrator" {
			t.Errorf("%q changed the counters", m.User)
		}
	}
}

func TestOriginalFailures(t *testing.T) {
	const good = `{"GroupId":"g","GroupCounter":[{"Key":"a","Value":1}],"Mode":"Set"}`
	counters := func(list string) string {
		return `{"GroupId":"g","Mode":"Increase","GroupCounter":[` + list + `]}`
	}
	var twentyOne []string
	for i := range 21 {
		twentyOne = append(twentyOne, `{"Key":"k`+string(rune('a'+i))+`","Value":1}`)
	}
	a := newAPI(t, func(c *httpapi.Config) { c.BodyBytesMax = 2000 })
	a.backend.give("g", map[string]int64{"big": largest})
	a.backend.give("@TGS#_a@TOPIC#_b", map[string]int64{"a": 1})
	full := map[string]int64{}
	for i := range 20 {
		full[string(rune('a'+i))] = 1
	}
	a.backend.give("full", full)
	before := a.backend.dump()
	for name, c := range map[string]struct {
		command, body string
		code          int
	}{
		"no JSON":                {"update", `{"GroupId":`, 60003},
		"name twice":             {"update", `{"GroupId":"g","GroupId":"g"}`, 60003},
		"no body":                {"get", "", 10004},
		"no object":              {"get", `[]`, 10004},
		"two objects":            {"get", `{"GroupId":"g"}{}`, 10004},
		"body too large":         {"get", `{"GroupId":"` + strings.Repeat("g", 2000) + `"}`, 60002},
		"no group":               {"get", `{}`, 10004},
		"empty group":            {"delete", `{"GroupId":""}`, 10015},
		"group too long":         {"update", strings.Replace(good, `"g"`, `"`+strings.Repeat("g", 129)+`"`, 1), 10015},
		"topic":                  {"update", strings.Replace(good, `"g"`, `"@TGS#_a@TOPIC#_b"`, 1), 10007},
		"topic read":             {"get", `{"GroupId":"@TGS#_a@TOPIC#_b"}`, 10007},
		"no mode":                {"update", `{"GroupId":"g","GroupCounter":[{"Key":"a","Value":1}]}`, 10004},
		"mode in lower case":     {"update", strings.Replace(good, `Set`, `set`, 1), 10004},
		"mode of no word":        {"update", strings.Replace(good, `"Set"`, `1`, 1), 10004},
		"name in lower case":     {"update", strings.Replace(good, `GroupId`, `groupId`, 1), 10004},
		"field of another call":  {"delete", `{"GroupId":"g","GroupCounter":[]}`, 10004},
		"no counters":            {"update", `{"GroupId":"g","Mode":"Set"}`, 10004},
		"no counter":             {"update", counters(``), 10004},
		"21 counters":            {"update", counters(strings.Join(twentyOne, ",")), 10063},
		"a 21st counter":         {"update", `{"GroupId":"full","GroupCounter":[{"Key":"z","Value":1}],"Mode":"Set"}`, 10063},
		"counter twice":          {"update", counters(`{"Key":"a","Value":1},{"Key":"a","Value":1}`), 10004},
		"counter without key":    {"update", counters(`{"Value":1}`), 10004},
		"counter without value":  {"update", counters(`{"Key":"a"}`), 10004},
		"counter with more":      {"update", counters(`{"Key":"a","Value":1,"Mode":"Set"}`), 10004},
		"counter of no object":   {"update", counters(`"a"`), 10004},
		"empty key":              {"update", counters(`{"Key":"","Value":1}`), 10004},
		"value with a fraction":  {"update", counters(`{"Key":"a","Value":1.0}`), 10004},
		"value beyond int64":     {"update", counters(`{"Key":"a","Value":9223372036854775808}`), 10004},
		"result beyond int64":    {"update", counters(`{"Key":"b","Value":1},{"Key":"big","Value":1}`), 10004},
		"keys null":              {"get", `{"GroupId":"g","GroupCounterKeys":null}`, 10004},
		"delete no keys":         {"delete", `{"GroupId":"g","GroupCounterKeys":[]}`, 10004},
		"delete null":            {"delete", `{"GroupId":"g","GroupCounterKeys":null}`, 10004},
		"key of no text":         {"get", `{"GroupId":"g","GroupCounterKeys":[1]}`, 10004},
		"empty key among others": {"get", `{"GroupId":"g","GroupCounterKeys":["a",""]}`, 10004},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			a.original(c.command, c.body).fails(c.code)
		})
	}
	a.t = t
	if after := a.backend.dump(); after != before {
		t.Errorf("changed\n%s\nto\n%s", before, after)
	}
}

// TestOriginalSpeaksOfItsOwnFields: advice in the words of another API would be
// refused when it is followed.
func TestOriginalSpeaksOfItsOwnFields(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct{ command, body, want string }{
		{"update", `{"GroupId":"g","GroupCounter":[],"Mode":"Set"}`, `\"GroupCounter\" is empty`},
		{"delete", `{"GroupId":"g","GroupCounterKeys":[]}`, `\"GroupCounterKeys\" is empty`},
	} {
		reply := a.original(c.command, c.body)
		reply.fails(10004)
		if !strings.Contains(reply.body, c.want) || strings.Contains(reply.body, `\"counters\"`) || strings.Contains(reply.body, `\"all\"`) {
			t.Errorf("%s of %s: %s", c.command, c.body, reply.body)
		}
	}
}

// TestOriginalFailuresOfTheCluster: 60008 alone leaves open what happened.
func TestOriginalFailuresOfTheCluster(t *testing.T) {
	for _, info := range counter.Codes() {
		a := newAPI(t)
		a.backend.fail = func(context.Context) error { return counter.Errorf(info.Code, "of no luck") }
		reply := a.original("update", `{"GroupId":"g","GroupCounter":[{"Key":"a","Value":1}],"Mode":"Increase"}`)
		var got struct {
			ErrorInfo string
			ErrorCode int
		}
		if err := json.Unmarshal([]byte(reply.body), &got); err != nil {
			t.Fatal(err)
		}
		if (got.ErrorCode != 60008) != info.Definite || got.ErrorInfo != string(info.Code)+": of no luck" {
			t.Errorf("%s is told as %s", info.Code, reply.body)
		}
		if wait := reply.header.Get("Retry-After"); (wait != "") != (info.Status == 503 || info.Status == 429) {
			t.Errorf("%s comes with Retry-After %q", info.Code, wait)
		}
	}
}

func TestOriginalQuery(t *testing.T) {
	a := newAPI(t)
	const path = "/v4/group_open_http_svc/get_group_counter"
	for query, code := range map[string]int{
		"":                              0,
		"?contenttype=json":             0,
		"?identifier=a%0Ab":             10004,
		"?contenttype=xml":              10004,
		"?contenttpye=json":             10004,
		"?random=1&random=2":            10004,
		"?random=%":                     10004,
		"?identifier=x&sdkappid=y&z=1;": 10004,
	} {
		reply := a.do("POST", path+query, `{"GroupId":"g"}`)
		if code == 0 {
			reply.is(200, `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"GroupCounter":[]}`+"\n")
		} else {
			reply.fails(code)
		}
	}
	a.get(path).problem(counter.MethodNotAllowed)
	a.do("POST", "/v4/group_open_http_svc/modify_group_attr", `{}`).problem(counter.RouteNotFound)
}

// TestOriginalTakesAnyContentType: the query says what the body is, and programs
// leave the header to their libraries.
func TestOriginalTakesAnyContentType(t *testing.T) {
	a := newAPI(t)
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		r := httptest.NewRequest("POST", "/v4/group_open_http_svc/get_group_counter"+originalQuery, strings.NewReader(`{"GroupId":"g"}`))
		r.Header.Set("Content-Type", contentType)
		recorder := httptest.NewRecorder()
		a.handler.ServeHTTP(recorder, r)
		if !strings.HasPrefix(recorder.Body.String(), `{"ActionStatus":"OK"`) {
			t.Errorf("Content-Type %q: %s", contentType, recorder.Body)
		}
	}
}

func TestOriginalIsRefusedToPagesOfOtherOrigins(t *testing.T) {
	a := newAPI(t)
	a.original("update", `{"GroupId":"g","GroupCounter":[{"Key":"a","Value":1}],"Mode":"Set"}`, "Origin", "https://example.org").fails(10007)
	a.original("get", `{"GroupId":"g"}`, "Origin", "https://example.org").fails(10007)
}

func TestOriginalTakesIdempotencyKeys(t *testing.T) {
	a := newAPI(t)
	const body = `{"GroupId":"g","GroupCounter":[{"Key":"a","Value":1}],"Mode":"Increase"}`
	a.backend.replay = true
	reply := a.original("update", body, "Idempotency-Key", "once")
	reply.ok()
	if reply.header.Get("Idempotent-Replayed") != "true" || a.backend.proposed[0].IdempotencyKey != "once" {
		t.Errorf("got %v, proposed %+v", reply.header, a.backend.proposed)
	}
	a.original("delete", `{"GroupId":"g"}`, "Idempotency-Key", "").ok()
	a.original("delete", `{"GroupId":"g"}`, "Idempotency-Key", strings.Repeat("k", 129)).fails(10004)
}

// TestOriginalCallers: by UserSig where one is asked for, else as everywhere, but
// not as a mere user.
func TestOriginalCallers(t *testing.T) {
	bearer := func(role identity.Role) func(*httpapi.Config) {
		return func(c *httpapi.Config) {
			c.Authenticate = func(header http.Header) (identity.Principal, error) {
				if header.Get("Authorization") == "" {
					return identity.Principal{}, counter.Errorf(counter.Unauthenticated, "send a token")
				}
				return identity.Principal{User: "ann", Role: role, Limited: role == identity.RoleUser}, nil
			}
		}
	}
	signed := func(err *counter.Error) func(*httpapi.Config) {
		return func(c *httpapi.Config) {
			bearer(identity.RoleAdmin)(c) // it must not help
			c.AuthenticateOriginal = func(query url.Values) (identity.Principal, error) {
				if err != nil {
					return identity.Principal{}, err
				}
				return identity.Principal{User: query.Get("identifier"), Role: identity.RoleService}, nil
			}
		}
	}
	refusal := func(param string) *counter.Error {
		return counter.Errorf(counter.Unauthenticated, "no").WithParam(param)
	}
	for name, c := range map[string]struct {
		config func(*httpapi.Config)
		query  string
		token  string
		code   int
		user   string
	}{
		"anybody":           {func(*httpapi.Config) {}, "?identifier=ops", "", 0, "ops"},
		"nobody":            {func(*httpapi.Config) {}, "", "", 0, ""},
		"no token":          {bearer(identity.RoleAdmin), "?identifier=ops", "", 60004, ""},
		"user":              {bearer(identity.RoleUser), "?identifier=ops", "Bearer x", 60010, ""},
		"service":           {bearer(identity.RoleService), "?identifier=ops", "Bearer x", 0, "ann"},
		"admin":             {bearer(identity.RoleAdmin), "?identifier=ops", "Bearer x", 0, "ann"},
		"signed":            {signed(nil), "?identifier=ops", "", 0, "ops"},
		"badly signed":      {signed(refusal("usersig")), "?usersig=x", "Bearer x", 60004, ""},
		"other identifier":  {signed(refusal("identifier")), "?identifier=x", "Bearer x", 60004, ""},
		"other application": {signed(refusal("sdkappid")), "?sdkappid=1", "Bearer x", 60006, ""},
		"no application":    {signed(refusal("sdkappid")), "", "Bearer x", 60012, ""},
		"no administrator":  {signed(counter.Errorf(counter.Forbidden, "no").WithParam("identifier")), "", "Bearer x", 60010, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, c.config)
			const body = `{"GroupId":"g","GroupCounter":[{"Key":"a","Value":1}],"Mode":"Set"}`
			reply := a.do("POST", "/v4/group_open_http_svc/update_group_counter"+c.query, body, "Authorization", c.token)
			if c.code != 0 {
				reply.fails(c.code)
				if len(a.backend.proposed) > 0 {
					t.Error("it was proposed all the same")
				}
				return
			}
			reply.ok()
			if users := []string{a.backend.proposed[0].User}; !slices.Equal(users, []string{c.user}) {
				t.Errorf("got the user %q, want %q", users, c.user)
			}
		})
	}
}

// TestOriginalFailuresAreCounted under the status of their codes.
func TestOriginalFailuresAreCounted(t *testing.T) {
	a := newAPI(t)
	a.original("get", `{"GroupId":""}`).fails(10015)
	a.original("get", `{"GroupId":"g"}`).ok()
	metrics := a.get("/metrics").body
	for _, status := range []string{"200", "400"} {
		if want := `{method="POST",route="originalGet",status="` + status + `"} 1`; !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

// Whatever is sent, the reply is as described, and a refusal changes nothing.
func FuzzOriginalBody(f *testing.F) {
	for choice := range uint8(3) {
		for _, body := range []string{
			"", "{}", `{"GroupId":"g"}`, `{"GroupId":"g","GroupCounterKeys":["a","none"]}`, `{"GroupId":"g","GroupCounterKeys":[]}`,
			`{"GroupId":"g","GroupCounter":[{"Key":"a","Value":"-5"}],"Mode":"Decrease"}`, `{"GroupId":"g","GroupCounter":[{"Key":"b","Value":1}],"Mode":"Increase"}`,
			`{"GroupId":"g","GroupCounter":[{"K`, `{"GroupId":"\u0067","Mode":null}`, "\xff", `{"GroupId":"g"}{}`, `[[[[[[[[`, `{"GroupId":{"GroupId":"g"}}`,
		} {
			f.Add(choice, body)
		}
	}
	f.Fuzz(func(t *testing.T, choice uint8, body string) {
		a := newAPI(t)
		a.backend.give("g", map[string]int64{"a": 1, "b": largest})
		before := a.backend.dump()
		got := a.original([]string{"update", "get", "delete"}[choice%3], body)
		refused := strings.HasPrefix(got.body, `{"ActionStatus":"FAIL"`)
		if got.status != 200 || refused && (strings.Contains(got.body, `"ErrorCode":60008`) || a.backend.dump() != before) {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}
