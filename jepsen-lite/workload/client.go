package workload

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tally/jepsen-lite/history"
)

// client sends one request after the other to one node.
type client struct {
	lane     lane
	node     Node
	random   *rand.Rand
	http     *http.Client
	recorder *history.Recorder
	timeout  time.Duration
	final    bool // all faults are healed

	process int // a new one after each request whose outcome is unknown
	// revisions are the modRevisions last seen, for conditional sets.
	revisions map[string]uint64
}

const (
	// dialTimeout is shorter than a client's patience, so that a node that cannot
	// be reached is known not to have been.
	dialTimeout = time.Second
	// failurePause keeps a client from asking a node that is dead, or refuses it,
	// thousands of times a second.
	failurePause = 50 * time.Millisecond
)

// newTransport returns connections of their own.
func (s *Suite) newTransport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return s.config.Dial(ctx, network, address)
		},
		MaxIdleConnsPerHost: 256,
		DisableCompression:  true,
	}
}

func (s *Suite) newClient(l lane, node Node, transport *http.Transport, random *rand.Rand) *client {
	return &client{
		lane:      l,
		node:      node,
		random:    random,
		http:      &http.Client{Transport: transport},
		recorder:  s.config.Recorder,
		timeout:   s.config.Timeout,
		process:   s.config.Recorder.NewProcess(),
		revisions: map[string]uint64{},
	}
}

// one sends an operation of one part.
func (c *client) one(ctx context.Context, part history.Part) (history.Type, history.Reply) {
	return c.do(ctx, history.Op{Kind: part.Kind, Parts: []history.Part{part}})
}

// do sends one operation once and returns what came of it. When ctx ends, the
// answer to what was sent is waited for all the same.
func (c *client) do(ctx context.Context, op history.Op) (history.Type, history.Reply) {
	op.Workload, op.Node, op.Final = c.lane.workload, c.node.ID, c.final
	id, err := c.recorder.Invoke(c.process, op)
	if err != nil {
		return history.TypeFail, history.Reply{} // nothing was sent, and the run is over
	}
	transport, reply := c.exchange(ctx, id, &op)
	outcome := history.Classify(op.Kind, transport, reply)
	c.recorder.Complete(c.process, id, outcome, reply)
	if outcome == history.TypeInfo {
		c.process = c.recorder.NewProcess()
	}
	if reply.Status == 0 || reply.Status == http.StatusTooManyRequests || reply.Status >= 500 {
		sleep(ctx, failurePause)
	}
	return outcome, reply
}

// exchange sends a request and reads the reply.
func (c *client) exchange(ctx context.Context, id uint64, op *history.Op) (history.Transport, history.Reply) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	request, err := newRequest(ctx, c.node.URL, op)
	if err != nil {
		return history.NeverSent, history.Reply{Error: err.Error()}
	}
	request.Header.Set("X-Request-Id", strconv.FormatUint(id, 10))
	response, err := c.http.Do(request)
	if err != nil {
		return transportOf(err), history.Reply{Error: err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return history.Broken, history.Reply{Status: response.StatusCode, Error: err.Error()}
	}
	reply, err := readReply(response, body, op)
	if err != nil {
		return history.Broken, history.Reply{Status: response.StatusCode, Error: err.Error(), Malformed: true}
	}
	return history.Answered, reply
}

// transportOf tells a connection that could not be made, on which nothing can
// have been sent, from one that broke.
func transportOf(err error) history.Transport {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return history.NeverSent
	}
	return history.Broken
}

// newRequest returns the request for an operation.
func newRequest(ctx context.Context, nodeURL string, op *history.Op) (*http.Request, error) {
	method, path, body := route(op)
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, nodeURL+path, content)
	if err != nil {
		return nil, err
	}
	// With a way to get the body again, net/http repeats a request that has an
	// idempotency key when a connection breaks. Nobody may repeat it but us.
	request.GetBody = nil
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if op.User != "" {
		request.Header.Set("X-Tally-User", op.User)
	}
	if op.Key != "" {
		request.Header.Set("Idempotency-Key", op.Key)
	}
	if condition := op.Parts[0].IfRevision; condition != nil && op.Kind == history.Set {
		if *condition == 0 {
			request.Header.Set("If-None-Match", "*")
		} else {
			request.Header.Set("If-Match", strconv.Quote(strconv.FormatUint(*condition, 10)))
		}
	}
	return request, nil
}

// route returns method, path and body of an operation.
func route(op *history.Op) (method, path string, body []byte) {
	if op.Kind == history.Batch {
		return http.MethodPost, "/v1/batch", batchBody(op.Parts)
	}
	part := op.Parts[0]
	group := "/v1/groups/" + url.PathEscape(part.Group)
	switch op.Kind {
	case history.Set:
		return http.MethodPut, group + "/counters", countersBody(part.Counters)
	case history.Increase, history.Decrease:
		return http.MethodPost, group + "/" + string(op.Kind), countersBody(part.Counters)
	}
	query := url.Values{"key": part.Keys}
	if len(part.Keys) == 0 {
		query = url.Values{}
	}
	method = http.MethodGet
	switch op.Kind {
	case history.Delete:
		method = http.MethodDelete
	case history.Stale:
		query.Set("consistency", "stale")
	}
	path = group + "/counters"
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return method, path, nil
}
