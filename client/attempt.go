package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"tally/counter"
)

// ErrUnreachable is what calls return when no node answered and nothing was
// changed; what it wraps says why.
var ErrUnreachable = errors.New("no node answers")

// replyBytesMax is the longest reply that is read. The longest a node makes, to
// a batch of 1,000 operations, is a tenth of it.
const replyBytesMax = 16 << 20

// request is one call as it is sent: at every attempt the same, to whatever node.
type request struct {
	method string
	path   string // escaped, with the query
	header http.Header
	body   []byte // JSON; nil for none
	// changes says that the request changes something when it is carried out.
	changes bool
	// decode reads the reply of an attempt that succeeded. Its error means that
	// nobody can tell from the reply what was done.
	decode func(*reply) error
}

// reply is what a node answered.
type reply struct {
	replayed bool // the answer to an earlier attempt with the same key
	body     []byte
}

// failure is why one attempt brought no result.
type failure struct {
	// err says why: *counter.Error if a node said so.
	err error
	// refusal is err if a node said so, else nil.
	refusal *counter.Error
	// definite says that this attempt changed nothing.
	definite bool
}

// attempt sends the request to one endpoint, once.
func (c *Client) attempt(ctx context.Context, to *endpoint, r *request) *failure {
	ctx, cancel := context.WithTimeout(ctx, c.attemptTime(ctx, r))
	defer cancel()
	response, times, failed := c.send(ctx, to, r)
	if failed != nil {
		return failed
	}
	defer func() { _ = response.Body.Close() }()
	body, err := readBounded(response.Body, replyBytesMax)
	if err != nil {
		return &failure{err: fmt.Errorf("%s: reading the reply: %w", to.url, err), definite: !r.changes}
	}
	if response.StatusCode != http.StatusOK {
		f := refused(to, r, response, body)
		// What sends behind our back, and was answered at last, may have been heard before.
		f.definite = f.definite && (times <= 1 || !r.changes)
		return f
	}
	answer := &reply{replayed: response.Header.Get("Idempotent-Replayed") == "true", body: body}
	if err := r.decode(answer); err != nil {
		return &failure{err: fmt.Errorf("%s: the reply cannot be understood: %w", to.url, err), definite: !r.changes}
	}
	return nil
}

// attemptTime is how long the next attempt may take: where there are other nodes,
// half of what is left at most, so that one of them has its chance. What must not
// be sent again has all the time there is: to give up early would only make its
// outcome unknown.
func (c *Client) attemptTime(ctx context.Context, r *request) time.Duration {
	deadline, ok := ctx.Deadline()
	if ok && r.changes && len(r.header["Idempotency-Key"]) == 0 {
		return time.Until(deadline)
	}
	if !ok || c.endpoints.count() == 1 {
		return c.config.attemptTimeout
	}
	return min(c.config.attemptTimeout, max(time.Until(deadline)/2, attemptTimeMin))
}

// attemptTimeMin is what an attempt takes with luck; less would be in vain.
const attemptTimeMin = 100 * time.Millisecond

// send sends the request and returns what comes back, whatever its status, and
// how many times the request went out.
func (c *Client) send(ctx context.Context, to *endpoint, r *request) (_ *http.Response, times int32, _ *failure) {
	var seen trace
	request, err := c.newRequest(seen.in(ctx), to, r)
	if err != nil {
		return nil, 0, &failure{err: err, definite: true}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, 0, &failure{err: err, definite: !r.changes || seen.neverSent()}
	}
	return response, seen.written.Load(), nil
}

// trace tells what has become of a request that ended with an error.
type trace struct {
	dialled   atomic.Bool // a connection was looked for
	connected atomic.Bool // there was one
	written   atomic.Int32
}

func (t *trace) in(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { t.dialled.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { t.connected.Store(true) },
		WroteHeaders: func() { t.written.Add(1) },
	})
}

// neverSent says that there was no connection to send over. Whether something
// was written once there is one does not matter: when the caller goes, another
// goroutine may still be writing. A transport that does not say what it does may
// have done anything.
func (t *trace) neverSent() bool { return t.dialled.Load() && !t.connected.Load() }

func (c *Client) newRequest(ctx context.Context, to *endpoint, r *request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	request, err := http.NewRequestWithContext(ctx, r.method, to.url+r.path, body)
	if err != nil {
		return nil, err
	}
	// net/http takes an idempotency key for leave to send again by itself when a
	// connection breaks. It would hide that there was an attempt before the one
	// that is answered; without GetBody it cannot.
	request.GetBody = nil
	for name, values := range r.header {
		request.Header[name] = values
	}
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.config.token != nil {
		token, err := c.config.token(ctx)
		if err != nil {
			return nil, fmt.Errorf("there is no token: %w", err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
	}
	if c.config.user != "" {
		request.Header.Set("X-Tally-User", c.config.user)
	}
	return request, nil
}

// readBounded reads all, and fails if it is more than limit bytes.
func readBounded(from io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return body, err
}

// refused says why a node, or something before it, answered with a failure.
func refused(to *endpoint, r *request, response *http.Response, body []byte) *failure {
	refusal, definite, err := decodeProblem(response.Header, body)
	if err != nil {
		// A proxy's page, for instance: what has become of the request nobody knows.
		return &failure{err: fmt.Errorf("%s answered %s, and not as a node does: %w", to.url, response.Status, err), definite: !r.changes}
	}
	return &failure{err: refusal, refusal: refusal, definite: definite || !r.changes}
}
