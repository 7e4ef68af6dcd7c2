package httpapi

import (
	"bytes"
	"net/http"
	"time"

	"tally/counter"
)

// A watch that goes on for longer than its caller's token is worth ends with the
// token. The last message of a stream says so, with the problem that the next
// request with this token will get. It has no id: a client goes on, with a new
// token, after the last one that it was sent.
//
//	event: expired
//	data: {"type":"urn:tally:error:unauthenticated",...}

// lastWordTimeout is how long a stream's client may take to accept what it is
// sent when its token expires.
const lastWordTimeout = 500 * time.Millisecond

func (w *watcher) expired() bool {
	return !w.expires.IsZero() && !time.Now().Before(w.expires)
}

// untilExpiry cuts a time to wait at the end of the token.
func (w *watcher) untilExpiry(wait time.Duration) time.Duration {
	if w.expires.IsZero() {
		return wait
	}
	return max(0, min(wait, time.Until(w.expires)))
}

// sendExpired is the last word to a stream's client.
func (w *watcher) sendExpired() {
	e := counter.Errorf(counter.Unauthenticated, "the token expired at %s; get a new one, and go on after the last id", w.expires.UTC().Format(time.RFC3339))
	buffer := w.handler.buffer()
	defer w.handler.keep(buffer)
	*buffer = append(*buffer, "event: expired\ndata: "...)
	*buffer = appendProblem(*buffer, e, true, w.w.Header().Get("X-Request-Id"))
	*buffer = append(bytes.TrimRight(*buffer, "\n"), "\n\n"...)
	connection := http.NewResponseController(w.w)
	_ = connection.SetWriteDeadline(time.Now().Add(lastWordTimeout))
	if _, err := w.w.Write(*buffer); err == nil { // a client that does not read cannot be told
		_ = connection.Flush()
	}
}
