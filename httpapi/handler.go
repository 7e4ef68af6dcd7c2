package httpapi

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/go-hclog"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tally/counter"
	"tally/identity"
)

// Handler answers the HTTP API. It starts no goroutines and may be used by many.
type Handler struct {
	config  Config
	echo    *echo.Echo
	cors    *cors
	metrics *metrics
	scrape  http.Handler
	refused []pattern

	// requestIDs counts the request IDs that were minted; with requestIDPrefix,
	// which is random, they are unique over restarts and nodes.
	requestIDPrefix string
	requestIDs      atomic.Uint64

	calls   sync.Pool // of *call
	buffers sync.Pool // of *[]byte, for what streams send
}

// New returns the handler of the API. It fails if the configuration makes no sense.
func New(config Config) (*Handler, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Handler{config: config, requestIDPrefix: randomPrefix()}
	if h.cors, err = newCORS(config.CORSOrigins); err != nil {
		return nil, err
	}
	if h.metrics, err = newMetrics(config.Registerer); err != nil {
		return nil, err
	}
	for _, text := range config.RefuseGroups {
		h.refused = append(h.refused, newPattern(text))
	}
	if config.Gatherer != nil {
		h.scrape = promhttp.HandlerFor(config.Gatherer, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError, // some figures are better than none
			ErrorLog:      config.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Error}),
		})
	}
	h.calls.New = func() any {
		return &call{handler: h, body: new(bytes.Buffer), json: new(jsontext.Decoder)}
	}
	h.buffers.New = func() any { return new([]byte) }
	h.echo = echo.New()
	h.echo.IPExtractor = echo.ExtractIPDirect()
	h.echo.HTTPErrorHandler = h.serveUnrouted
	if err := h.register(routes()); err != nil {
		return nil, err
	}
	return h, nil
}

// randomPrefix returns what tells this process's request IDs from all others'.
func randomPrefix() string {
	var random [6]byte
	rand.Read(random[:]) // never fails: it ends the process instead
	return hex.EncodeToString(random[:]) + "-"
}

// register gives the route table to the router, with what every path gets
// beside its own methods: HEAD where there is GET, and OPTIONS.
func (h *Handler) register(table []route) error {
	methods := make(map[string][]string) // by path
	table = slices.DeleteFunc(table, func(rt route) bool {
		return rt.name == "metrics" && h.scrape == nil || rt.watches && h.config.Hub == nil
	})
	for i, rt := range table {
		if rt.name == "metrics" && h.config.MetricsForAdmins {
			table[i].action = identity.SeeCluster
		}
		methods[rt.path] = append(methods[rt.path], rt.method)
		if rt.method == http.MethodGet {
			methods[rt.path] = append(methods[rt.path], http.MethodHead)
		}
	}
	for path := range methods {
		methods[path] = append(methods[path], http.MethodOptions)
		allow := strings.Join(methods[path], ", ")
		table = append(table, route{name: "options", method: http.MethodOptions, path: path, action: anyone, handle: (*call).options, allow: allow})
	}
	for _, rt := range table {
		if rt.action == "" {
			return fmt.Errorf("httpapi: the route %s does not say who may call it", rt.name)
		}
		h.add(rt)
	}
	return nil
}

func (h *Handler) add(rt route) {
	answer := h.answer(&rt)
	paths := []string{rt.path}
	if withoutKey, found := strings.CutSuffix(rt.path, ":key"); found {
		// An empty key is a bad key, not another path: a client that fills a
		// template with "" must hear so.
		paths = append(paths, withoutKey)
	}
	for _, path := range paths {
		h.echo.Add(rt.method, path, answer)
		if rt.method == http.MethodGet {
			h.echo.Add(http.MethodHead, path, answer)
		}
	}
}

// answer returns the one path of every call, bound to its route.
func (h *Handler) answer(rt *route) echo.HandlerFunc {
	observer := h.metrics.route(rt)
	return func(c echo.Context) error {
		h.serve(c, rt, observer)
		return nil
	}
}

// serveUnrouted answers what the router found no route for.
func (h *Handler) serveUnrouted(err error, c echo.Context) {
	rt := route{name: "none", action: anyone, handle: (*call).notFound}
	if allow, ok := c.Get(echo.ContextKeyHeaderAllow).(string); ok {
		rt.allow = allow
		rt.handle = (*call).methodNotAllowed
	}
	h.serve(c, &rt, h.metrics.route(&rt))
}

func (c *call) notFound() *counter.Error {
	return counter.Errorf(counter.RouteNotFound, "there is nothing at %s; GET /openapi.yaml describes what there is", shorten(c.r.URL.Path))
}

func (c *call) methodNotAllowed() *counter.Error {
	c.w.Header()["Allow"] = []string{c.route.allow}
	return counter.Errorf(counter.MethodNotAllowed, "the path does not take %s; it takes %s", shorten(c.r.Method), c.route.allow)
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.echo.ServeHTTP(w, withRawPath(r))
}

// withRawPath makes the router see the path as it came over the wire, so that
// each parameter is decoded exactly once, after routing. Left alone, echo routes
// on URL.RawPath, but net/http leaves that empty whenever the path is in its
// default encoding: "a%252Fb" would reach the router decoded, "a%2Fb", and
// be decoded once more.
func withRawPath(r *http.Request) *http.Request {
	raw := r.URL.EscapedPath()
	if raw == echo.GetPath(r) {
		return r
	}
	u := new(url.URL)
	*u = *r.URL
	u.RawPath = raw
	routed := new(http.Request)
	*routed = *r
	routed.URL = u
	return routed
}
