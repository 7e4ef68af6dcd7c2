package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
)

// curl runs one curl command of the documents against the handler. It knows the
// options that the documents use, and fails the test at any other.
func (a *api) curl(command string) reply {
	a.t.Helper()
	words := shellWords(command)
	method, target, body, stream := "GET", "", "", false
	header := make(http.Header)
	for i := 1; i < len(words); i++ {
		option := words[i]
		if strings.HasPrefix(option, "http://127.0.0.1:8101/") {
			target = strings.TrimPrefix(option, "http://127.0.0.1:8101")
			continue
		}
		if option == "-N" {
			stream = true
			continue
		}
		if i++; i == len(words) {
			a.t.Fatalf("%s: %s has no value", command, option)
		}
		switch option {
		case "-X":
			method = words[i]
		case "-H":
			name, value, _ := strings.Cut(words[i], ":")
			header.Set(name, strings.TrimSpace(value))
		case "-d":
			body = words[i]
			if header.Get("Content-Type") == "" {
				header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
		default:
			a.t.Fatalf("%s: unknown option %s", command, option)
		}
	}
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8101"
	r.Header = header
	if stream {
		return a.begin(r)
	}
	return a.send(r, body)
}

// begin returns the beginning of a stream: what comes until it waits.
func (a *api) begin(r *http.Request) reply {
	a.t.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	recorder := &firstFlush{httptest.NewRecorder(), cancel}
	a.handler.ServeHTTP(recorder, r.WithContext(ctx))
	got := reply{t: a.t, status: recorder.Code, header: recorder.Result().Header, body: recorder.Body.String()}
	if err := hold(r, "", got); err != nil {
		a.t.Errorf("%s %s: the stream is not as described: %v\n%d %s", r.Method, r.RequestURI, err, got.status, got.body)
	}
	return got
}

// firstFlush is a client that goes when it has been sent something.
type firstFlush struct {
	*httptest.ResponseRecorder
	gone context.CancelFunc
}

func (f *firstFlush) Flush() { f.gone() }

// shellWords splits a command line at spaces, heeding single quotation marks.
func shellWords(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}
