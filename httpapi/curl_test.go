package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
)

// curl runs one curl command of the documents against the handler. It knows the
// options that the documents use, and fails the test at any other.
func (a *api) curl(command string) reply {
	a.t.Helper()
	words := shellWords(command)
	method, target, body := "GET", "", ""
	header := make(http.Header)
	for i := 1; i < len(words); i++ {
		option := words[i]
		if strings.HasPrefix(option, "http://127.0.0.1:8101/") {
			target = strings.TrimPrefix(option, "http://127.0.0.1:8101")
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
	return a.send(r, body)
}

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
