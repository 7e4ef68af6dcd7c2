package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
	"tally/docs"
	"tally/httpapi"
	"tally/watch"
)

// api is the handler under test over a memory backend. Every reply that passes
// through it is held against docs/openapi.yaml.
type api struct {
	t       testing.TB
	backend *memory
	hub     *watch.Hub
	handler http.Handler
}

func newAPI(t testing.TB, adjust ...func(*httpapi.Config)) *api {
	t.Helper()
	backend := newMemory()
	registry := prometheus.NewRegistry()
	hub := watch.Open(watch.Config{State: backend.state, Encode: httpapi.EncodeEvents, Registerer: registry, WatchersMax: watchersMax})
	t.Cleanup(hub.Close)
	backend.publisher = hub
	config := httpapi.Config{
		Backend: backend, Hub: hub, Registerer: registry, Gatherer: registry,
		NodeID: "n1", Version: "1.0.0", ListenURL: "http://127.0.0.1:8101",
	}
	for _, change := range adjust {
		change(&config)
	}
	handler, err := httpapi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &api{t: t, backend: backend, hub: hub, handler: handler}
}

// watchersMax is how many groups can be watched in a test.
const watchersMax = 1000

// reply is what came back.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// do sends a request. A body is said to be JSON unless the headers, given as
// name and value in turn, say otherwise; an empty value leaves a header out.
func (a *api) do(method, target, body string, headers ...string) reply {
	a.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return a.send(r, body)
}

func (a *api) get(target string, headers ...string) reply {
	a.t.Helper()
	return a.do("GET", target, "", headers...)
}

func (a *api) send(r *http.Request, body string) reply {
	a.t.Helper()
	recorder := httptest.NewRecorder()
	a.handler.ServeHTTP(recorder, r)
	got := reply{t: a.t, status: recorder.Code, header: recorder.Result().Header, body: recorder.Body.String()}
	if err := hold(r, body, got); err != nil {
		a.t.Errorf("%s %s: the reply is not as described: %v\n%d %s", r.Method, r.RequestURI, err, got.status, got.body)
	}
	return got
}

// description is docs/openapi.yaml, loaded once; nothing changes it.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(docs.OpenAPI))
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// hold says how a reply differs from the description, and, if it was a success,
// how the request did.
func hold(r *http.Request, body string, got reply) error {
	doc, err := description()
	if err != nil {
		return err
	}
	route, parameters := describe(doc, r)
	request := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, QueryParams: r.URL.Query(), Route: route,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true,
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	// The original's server API says 200 to everything.
	if got.status == http.StatusOK && !strings.HasPrefix(got.body, `{"ActionStatus":"FAIL"`) {
		r.Body = io.NopCloser(strings.NewReader(body))
		if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
			return err
		}
	}
	if r.Method == http.MethodOptions && got.status == http.StatusNoContent {
		return nil // OPTIONS is described in words
	}
	if got.header.Get("Content-Type") == "text/event-stream" {
		return holdStream(r, request, got)
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: got.status, Header: got.header,
		Body: io.NopCloser(strings.NewReader(got.body)), Options: request.Options,
	}
	return openapi3filter.ValidateResponse(r.Context(), response)
}

// holdStream holds the data of each message of a stream against what the same
// request would be answered as a long poll.
func holdStream(r *http.Request, request *openapi3filter.RequestValidationInput, got reply) error {
	if request.Route.Operation.Responses.Status(got.status).Value.Content["text/event-stream"] == nil {
		return errors.New("a stream is not described")
	}
	header := got.header.Clone()
	header.Set("Content-Type", "application/json")
	for line := range strings.Lines(got.body) {
		data, found := strings.CutPrefix(line, "data: ")
		if !found {
			continue
		}
		response := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: request, Status: got.status, Header: header,
			Body: io.NopCloser(strings.NewReader(data)), Options: request.Options,
		}
		if err := openapi3filter.ValidateResponse(r.Context(), response); err != nil {
			return err
		}
	}
	return nil
}

// describe finds the operation that a request is for; where there is none, GET /
// stands for it, whose failures are described as everywhere.
func describe(doc *openapi3.T, r *http.Request) (*routers.Route, map[string]string) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for template, item := range doc.Paths.Map() {
		if parameters, ok := fill(template, r.URL.EscapedPath()); ok && item.GetOperation(method) != nil {
			return &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: item.GetOperation(method)}, parameters
		}
	}
	item := doc.Paths.Value("/")
	return &routers.Route{Spec: doc, Path: "/", PathItem: item, Method: "GET", Operation: item.Get}, nil
}

// fill matches a path with a template, segment by segment.
func fill(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	parameters := make(map[string]string)
	for i := range want {
		if name, found := strings.CutPrefix(want[i], "{"); found {
			value, err := url.PathUnescape(got[i])
			if err != nil {
				return nil, false
			}
			parameters[strings.TrimSuffix(name, "}")] = value
		} else if want[i] != got[i] {
			return nil, false
		}
	}
	return parameters, true
}

// is checks status and body.
func (r reply) is(status int, body string) {
	r.t.Helper()
	if r.status != status || r.body != body {
		r.t.Errorf("got  %d %swant %d %s", r.status, r.body, status, body)
	}
}

// problem is the body of a failure.
type problem struct {
	Type, Title, Detail, Code, Param, RequestID string
	Status, ErrorCode                           int
	Definite                                    bool
	Revision                                    uint64
	ServerTimeMs                                int64
	Leader                                      *counter.Leader
	Operation                                   *int
}

// problem checks that the reply is a failure with the code and returns it.
func (r reply) problem(code counter.Code) problem {
	r.t.Helper()
	var p problem
	decoder := json.NewDecoder(bytes.NewBufferString(r.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		r.t.Errorf("no problem: %v in %d %s", err, r.status, r.body)
		return p
	}
	info := code.Info()
	if p.Code != string(code) || r.status != info.Status || p.Status != info.Status || p.ErrorCode != info.ErrorCode || p.Title != info.Title {
		r.t.Errorf("got %d %swant %s", r.status, r.body, code)
	}
	if p.RequestID == "" || p.RequestID != r.header.Get("X-Request-Id") {
		r.t.Errorf("requestId %q, X-Request-Id %q", p.RequestID, r.header.Get("X-Request-Id"))
	}
	if p.Detail == "" {
		r.t.Errorf("no detail in %s", r.body)
	}
	return p
}

// ok checks that the reply is a success.
func (r reply) ok() {
	r.t.Helper()
	if r.status != http.StatusOK {
		r.t.Errorf("got %d %s", r.status, r.body)
	}
}

// has checks that the reply tells of one counter's value.
func (r reply) has(status int, value int64) {
	r.t.Helper()
	var got struct{ Value int64 }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != status || got.Value != value {
		r.t.Errorf("got %d %swant %d and %d", r.status, r.body, status, value)
	}
}

// quoted returns a JSON string.
func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}
