package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
	"tally/httpapi"
	"tally/identity"
)

func TestBadConfigurationIsRefused(t *testing.T) {
	taken := prometheus.NewRegistry()
	if _, err := httpapi.New(httpapi.Config{Backend: newMemory(), Registerer: taken}); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]httpapi.Config{
		"no backend":            {},
		"metrics twice":         {Backend: newMemory(), Registerer: taken},
		"negative time":         {Backend: newMemory(), RequestTimeout: -1},
		"negative size":         {Backend: newMemory(), BodyBytesMax: -1},
		"origin without scheme": {Backend: newMemory(), CORSOrigins: []string{"example.org"}},
		"origin with path":      {Backend: newMemory(), CORSOrigins: []string{"https://example.org/"}},
		"origin with star":      {Backend: newMemory(), CORSOrigins: []string{"https://*.example.org"}},
		"origin in capitals":    {Backend: newMemory(), CORSOrigins: []string{"https://Example.org"}},
		"origin with two ports": {Backend: newMemory(), CORSOrigins: []string{"http://h:1:*"}},
		"null origin":           {Backend: newMemory(), CORSOrigins: []string{"null"}},
	} {
		if _, err := httpapi.New(config); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestRefusedGroups(t *testing.T) {
	for _, c := range []struct {
		pattern string
		refused []string
		taken   []string
	}{
		{"*@TOPIC#*", []string{"g@TOPIC#t", "@TOPIC#", "a@TOPIC#b@TOPIC#c"}, []string{"g@TOPIC", "g#TOPIC@"}},
		{"test-*", []string{"test-", "test-1"}, []string{"test", "a-test-1"}},
		{"exact", []string{"exact"}, []string{"exact1", "xexact"}},
		{"a*b*c", []string{"abc", "aXbYc", "abbc"}, []string{"ac", "acb", "ab"}},
		{"ab*ba", []string{"abba", "abXba"}, []string{"aba"}},
		{"*", []string{"anything"}, nil},
	} {
		a := newAPI(t, func(config *httpapi.Config) { config.RefuseGroups = []string{c.pattern} })
		for _, group := range c.refused {
			a.do("POST", "/v1/batch", `{"operations":[{"op":"increase","group":`+quoted(group)+`,"counters":{"a":1}}]}`).problem(counter.UnsupportedGroup)
		}
		for _, group := range c.taken {
			a.do("POST", "/v1/batch", `{"operations":[{"op":"increase","group":`+quoted(group)+`,"counters":{"a":1}}]}`).ok()
		}
	}
	newAPI(t, func(config *httpapi.Config) { config.RefuseGroups = []string{} }).do("POST", "/v1/groups/g@TOPIC%23/counters/a/increase", "").ok()
}

// TestPrincipalDecides: who calls is found out by the function that is given.
func TestPrincipalDecides(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) {
		c.Authenticate = func(header http.Header) (identity.Principal, error) {
			if header.Get("Authorization") == "" {
				return identity.Principal{}, counter.Errorf(counter.Unauthenticated, "send a token")
			}
			return identity.Principal{User: "bearer", Role: identity.RoleUser, Limited: true}, nil
		}
	})
	got := a.do("POST", "/v1/groups/g/counters/a/increase", "", "X-Tally-User", "forged")
	got.problem(counter.Unauthenticated)
	if got.header.Get("WWW-Authenticate") != `Bearer realm="tally"` {
		t.Errorf("headers %v", got.header)
	}
	a.do("POST", "/v1/groups/g/counters/a/increase", "", "Authorization", "Bearer x", "X-Tally-User", "forged").ok()
	a.get("/v1/groups/g/counters", "Authorization", "Bearer x").ok()
	want := counter.Caller{User: "bearer", Limited: true}
	if changed, read := a.backend.proposed[0].Caller, a.backend.readers[0]; changed != want || read != want {
		t.Errorf("%v changed, %v read", changed, read)
	}
	for _, target := range []string{"/livez", "/readyz", "/metrics", "/openapi.yaml", "/"} {
		a.get(target).ok()
	}
}
