package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"tally/counter"
)

// What pages of other origins may send and see (the Fetch standard's CORS protocol).
const (
	corsAllowHeaders  = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Tally-User"
	corsExposeHeaders = "ETag, Retry-After, Idempotent-Replayed, RateLimit, RateLimit-Policy"
	corsMaxAge        = "600" // seconds that a browser may remember a preflight
)

// cors knows which origins' pages may call this node.
type cors struct {
	any      bool
	exact    map[string]bool
	anyPort  map[string]bool // scheme and host of the origins that may have any port
	sameSite *http.CrossOriginProtection
}

// newCORS reads the origins of Config.CORSOrigins.
func newCORS(origins []string) (*cors, error) {
	c := &cors{exact: make(map[string]bool), anyPort: make(map[string]bool), sameSite: http.NewCrossOriginProtection()}
	for _, origin := range origins {
		if origin == "*" {
			c.any = true
			continue
		}
		host, anyPort := strings.CutSuffix(origin, ":*")
		u, err := url.Parse(host)
		if err != nil || u.Host == "" || host != u.Scheme+"://"+u.Host || anyPort && u.Port() != "" || strings.ToLower(host) != host || strings.Contains(host, "*") {
			return nil, fmt.Errorf("httpapi: %q is not an origin; write one as browsers send it, such as https://example.org, http://localhost:*, or *", origin)
		}
		if anyPort {
			c.anyPort[host] = true
		} else {
			c.exact[origin] = true
		}
	}
	return c, nil
}

// none says that no other origin may call this node, so that no reply depends on the origin.
func (c *cors) none() bool { return !c.any && len(c.exact) == 0 && len(c.anyPort) == 0 }

// allowed says whether pages of the origin may call this node.
func (c *cors) allowed(origin string) bool {
	if origin == "" {
		return false
	}
	if c.any || c.exact[origin] || c.anyPort[origin] {
		return true
	}
	colon := strings.LastIndexByte(origin, ':')
	return colon > 0 && isDigits(origin[colon+1:]) && c.anyPort[origin[:colon]]
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// admit adds what a browser must know to let a page see the reply, and refuses a
// change that a page of an origin which is not allowed asks for.
func (c *cors) admit(header http.Header, r *http.Request) *counter.Error {
	if !c.none() {
		header["Vary"] = []string{"Origin"}
	}
	if origin := r.Header.Get("Origin"); c.allowed(origin) {
		header["Access-Control-Allow-Origin"] = []string{origin}
		header["Access-Control-Expose-Headers"] = []string{corsExposeHeaders}
		return nil
	}
	if err := c.sameSite.Check(r); err != nil {
		return counter.Errorf(counter.Forbidden, "a page of another origin may not change anything here; start the node with --cors-origin to allow the origin").WithParam("Origin")
	}
	return nil
}

// options answers OPTIONS: what the path takes and, to a preflight of an origin
// that is allowed, what its pages may send.
func (c *call) options() *counter.Error {
	header := c.w.Header()
	header["Allow"] = []string{c.route.allow}
	if c.r.Header.Get("Access-Control-Request-Method") != "" && header["Access-Control-Allow-Origin"] != nil {
		header["Access-Control-Allow-Methods"] = []string{c.route.allow}
		header["Access-Control-Allow-Headers"] = []string{corsAllowHeaders}
		header["Access-Control-Max-Age"] = []string{corsMaxAge}
	}
	return c.reply(http.StatusNoContent, nil)
}
