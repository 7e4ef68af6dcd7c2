package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"tally/counter"
	"tally/httpapi"
)

func TestCrossOrigin(t *testing.T) {
	origins := func(list ...string) func(*httpapi.Config) {
		return func(c *httpapi.Config) { c.CORSOrigins = list }
	}
	for _, c := range []struct {
		name    string
		config  func(*httpapi.Config)
		origin  string
		allowed bool
	}{
		{"none configured", origins(), "https://app.example", false},
		{"exact", origins("https://app.example"), "https://app.example", true},
		{"other port", origins("https://app.example"), "https://app.example:8443", false},
		{"other scheme", origins("https://app.example"), "http://app.example", false},
		{"longer host", origins("https://app.example"), "https://app.example.evil", false},
		{"any port", origins("http://localhost:*"), "http://localhost:3000", true},
		{"any port, none", origins("http://localhost:*"), "http://localhost", true},
		{"any port, other host", origins("http://localhost:*"), "http://localhost.evil:3000", false},
		{"any port, trick", origins("http://localhost:*"), "http://localhost:3000.evil", false},
		{"any port, empty", origins("http://localhost:*"), "http://localhost:", false},
		{"any origin", origins("*"), "https://app.example", true},
		{"opaque", origins("https://app.example"), "null", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t, c.config)
			const target = "/v1/groups/g/counters/a/increase"
			write := a.do("POST", target, "", "Origin", c.origin, "Sec-Fetch-Site", "cross-site")
			preflight := a.do("OPTIONS", target, "", "Origin", c.origin, "Access-Control-Request-Method", "POST")
			read := a.get("/v1/groups", "Origin", c.origin)
			read.ok()
			if preflight.status != http.StatusNoContent {
				t.Errorf("preflight: %d", preflight.status)
			}
			if !c.allowed {
				write.problem(counter.Forbidden)
				for _, got := range []reply{write, preflight, read} {
					if _, given := got.header["Access-Control-Allow-Origin"]; given {
						t.Errorf("headers %v", got.header)
					}
				}
				return
			}
			write.ok()
			for _, got := range []reply{write, preflight, read} {
				if got.header.Get("Access-Control-Allow-Origin") != c.origin || got.header.Get("Vary") != "Origin" ||
					got.header.Get("Access-Control-Expose-Headers") != "ETag, Retry-After, Idempotent-Replayed, RateLimit, RateLimit-Policy" {
					t.Errorf("headers %v", got.header)
				}
			}
			if preflight.header.Get("Access-Control-Allow-Methods") != "POST, OPTIONS" ||
				preflight.header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Tally-User" {
				t.Errorf("preflight: %v", preflight.header)
			}
		})
	}
}

// TestPreflightOfARequestWithAQuery: a browser asks about the whole URL, and takes
// anything but a success for a no.
func TestPreflightOfARequestWithAQuery(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) { c.CORSOrigins = []string{"https://app.example"} })
	for target, method := range map[string]string{
		"/v1/groups/g/increase?int64=string":        "POST",
		"/v1/groups/g/counters?key=a&key=b":         "DELETE",
		"/v1/batch?int64=string":                    "POST",
		"/v1/watch?int64=string&wait=25s":           "POST",
		"/v1/groups/g/counters?consistency=stale":   "GET",
		"/v1/groups/g/counters?unknown=1&unknown=%": "PUT",
	} {
		preflight := a.do("OPTIONS", target, "", "Origin", "https://app.example",
			"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type,idempotency-key")
		if preflight.status != http.StatusNoContent || !strings.Contains(preflight.header.Get("Access-Control-Allow-Methods"), method) {
			t.Errorf("%s %s: %d %v", method, target, preflight.status, preflight.header)
		}
	}
}

// TestOwnPagesMayCount: pages of the node's own origin, and programs, which send
// no Origin, need no configuration.
func TestOwnPagesMayCount(t *testing.T) {
	a := newAPI(t)
	a.do("POST", "/v1/groups/g/counters/a/increase", "", "Origin", "http://example.com").ok() // the host of these requests
	a.do("POST", "/v1/groups/g/counters/a/increase", "", "Sec-Fetch-Site", "same-origin").ok()
	a.do("POST", "/v1/groups/g/counters/a/increase", "").ok()
}

func TestVaryKeepsBoth(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) { c.CORSOrigins = []string{"*"} })
	a.backend.give("g", map[string]int64{"a": 1})
	if vary := a.get("/v1/groups/g/counters/a").header["Vary"]; len(vary) != 2 || vary[0] != "Origin" || vary[1] != "Accept" {
		t.Errorf("Vary: %v", vary)
	}
}
