package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"tally/counter"
	"tally/identity"
)

// call is one request on its way through: identify, decode, check, ask the
// backend, encode. Calls are pooled; nothing given to the backend may point
// into one.
type call struct {
	handler *Handler
	route   *route
	w       http.ResponseWriter
	r       *http.Request

	// What the request says, in the order in which it is found out.
	requestID      string
	caller         counter.Caller
	expires        time.Time // when the caller's word ends to count, zero for never
	idempotencyKey string
	condition      counter.Condition
	group, key, id string // the parameters of the path, decoded
	query          query
	body           *bytes.Buffer
	bodyLimit      io.LimitedReader
	json           *jsontext.Decoder
	unquoted       []byte            // scratch of decode.go
	room           []counter.Counter // empty, and where the next list of counters may lie

	// What goes back.
	out    []byte
	status int // 0 until the reply has begun

	// watcher, if set, gives the reply when the call is over.
	watcher *watcher
}

// serve answers one request. A watch that has to wait outlives its call, so that
// those who wait, of whom there are many, hold as little as possible.
func (h *Handler) serve(ec echo.Context, rt *route, observer routeMetrics) {
	if w := h.serveCall(ec, rt, observer); w != nil {
		w.serve()
	}
}

// serveCall takes a call from its beginning to its reply, whatever happens
// between, or returns the watcher that is to give the reply.
func (h *Handler) serveCall(ec echo.Context, rt *route, observer routeMetrics) (w *watcher) {
	started := time.Now()
	c := h.calls.Get().(*call)
	c.route, c.w, c.r = rt, ec.Response().Writer, ec.Request()
	h.metrics.inFlight.Inc()
	defer func() {
		h.metrics.inFlight.Dec()
		if fault := recover(); fault != nil {
			c.crashed(fault)
		}
		observer.observe(c.r.Method, c.status, time.Since(started))
		c.release()
	}()
	if err := c.run(ec); err != nil {
		c.fail(err)
	}
	return c.watcher
}

// run is the one path of every call. It ends with the reply or with an error.
func (c *call) run(ec echo.Context) *counter.Error {
	c.identifyRequest()
	if err := c.handler.cors.admit(c.w.Header(), c.r); err != nil {
		return err
	}
	if err := c.admitCaller(); err != nil {
		return err
	}
	if err := c.decodePath(ec); err != nil {
		return err
	}
	if c.route.method == "" { // nothing was found: what follows is the concern of routes
		return c.route.handle(c)
	}
	if err := c.decodeHeaders(); err != nil {
		return err
	}
	// A preflight has the query of the request that it announces, which is judged when that comes.
	if c.route.method != http.MethodOptions {
		if err := c.query.decode(c.r.URL.RawQuery, c.route.query); err != nil {
			return err
		}
	}
	if err := c.readBody(); err != nil {
		return err
	}
	return c.route.handle(c)
}

// identifyRequest takes the caller's request ID, if it is a sane one, else mints one.
func (c *call) identifyRequest() {
	if ids := c.r.Header["X-Request-Id"]; len(ids) == 1 && saneRequestID(ids[0]) {
		c.requestID = ids[0]
	} else {
		c.out = strconv.AppendUint(append(c.out, c.handler.requestIDPrefix...), c.handler.requestIDs.Add(1), 10)
		c.requestID = string(c.out)
		c.out = c.out[:0]
	}
	c.w.Header()["X-Request-Id"] = []string{c.requestID}
}

// saneRequestID keeps log lines and headers whole: visible ASCII, not too long.
func saneRequestID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= counter.RequestIDBytesMax
}

// admitCaller finds out who calls and refuses who may not call this. It is the
// only place that decides so, on the node that the caller reached: what nodes
// forward among each other has passed here.
func (c *call) admitCaller() *counter.Error {
	if c.route.action == anyone {
		return nil
	}
	principal, err := c.authenticate()
	if err != nil {
		return c.asError(err)
	}
	if err := principal.Check(c.route.action); err != nil {
		return err
	}
	c.caller = counter.Caller{User: principal.User, Limited: principal.Limited}
	c.expires = principal.Expires
	return nil
}

// authenticate says who calls.
func (c *call) authenticate() (identity.Principal, error) {
	if c.route.original {
		return c.authenticateOriginal()
	}
	return c.handler.config.Authenticate(c.r.Header)
}

// decodePath decodes the parameters of the path, each exactly once.
func (c *call) decodePath(ec echo.Context) *counter.Error {
	for i, name := range ec.ParamNames() {
		raw := ec.ParamValues()[i]
		if strings.Contains(raw, "/") {
			// The router gives a last parameter all that is left of the path.
			return c.notFound()
		}
		value, err := url.PathUnescape(raw)
		if err != nil {
			return counter.Errorf(counter.InvalidRequest, "the path has a %% that is not followed by two hexadecimal digits").WithParam(name)
		}
		switch name {
		case "group":
			c.group = value
		case "key":
			c.key = value
		case "id":
			c.id = value
		}
	}
	return nil
}

// context returns the time that the backend has for this request.
func (c *call) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.r.Context(), c.handler.config.RequestTimeout)
}

// asError turns what the backend returned into an error of the closed list. What
// is not on it is a mistake of ours: its text goes to the log, not to the caller.
func (c *call) asError(err error) *counter.Error {
	if known, ok := errors.AsType[*counter.Error](err); ok && known != nil {
		return known
	}
	c.handler.config.Logger.Error("backend returned an unknown error", "route", c.route.name, "request_id", c.requestID, "error", err)
	return counter.Errorf(counter.Internal, "the server made a mistake; its log tells more under this request ID")
}

// crashed ends a call that panicked.
func (c *call) crashed(fault any) {
	if fault == http.ErrAbortHandler {
		panic(fault)
	}
	c.handler.config.Logger.Error("handler panicked", "route", c.route.name, "request_id", c.requestID, "panic", fault, "stack", string(debug.Stack()))
	if c.status != 0 {
		// Half a reply must not pass for a whole one.
		panic(http.ErrAbortHandler)
	}
	c.fail(counter.Errorf(counter.Internal, "the server made a mistake; its log tells more under this request ID"))
}

// release makes the call ready for another request, unless it has grown so large
// that keeping it would waste memory.
func (c *call) release() {
	const keepBytesMax = 64 << 10
	if c.body.Cap() > keepBytesMax || cap(c.out) > keepBytesMax {
		return
	}
	c.body.Reset()
	*c = call{handler: c.handler, body: c.body, json: c.json, unquoted: c.unquoted[:0], out: c.out[:0]}
	c.handler.calls.Put(c)
}
