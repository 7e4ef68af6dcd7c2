package clustertest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Message is one server-sent event.
type Message struct {
	Event string // "" is a message of no particular type
	ID    string
	Data  string
}

// Stream opens a stream of server-sent events on the node, after the message
// with the given ID unless that is "", and gives every message to take until it
// returns false, the stream ends, or the node's process crashes. What is half
// sent then is not given. It says whether the node served a stream at all.
func (n *Node) Stream(path, lastEventID string, take func(Message) bool) bool {
	p := n.current()
	if p == nil {
		return false
	}
	return p.stream(path, lastEventID, take)
}

// stream runs the handler on a goroutine of its own, as serve does.
func (p *process) stream(path, lastEventID string, take func(Message) bool) bool {
	ctx, leave := context.WithCancel(p.life)
	defer leave()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	for name, value := range p.machine.cluster.options.Header {
		request.Header.Set(name, value)
	}
	request.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	reader, writer := io.Pipe()
	defer func() { _ = reader.Close() }()
	defer context.AfterFunc(p.life, func() { _ = reader.CloseWithError(errCrashed) })()
	w := &streamWriter{header: http.Header{}, body: writer}
	p.requests.Add(1)
	go func() {
		defer p.requests.Done()
		p.node.Handler().ServeHTTP(w, request)
		_ = writer.Close()
	}()
	readMessages(reader, func(m Message) bool {
		return p.life.Err() == nil && take(m) // a dead process tells nobody
	})
	return p.life.Err() == nil && w.header.Get("Content-Type") == "text/event-stream"
}

var errCrashed = errors.New("the process crashed")

// readMessages reads messages until take returns false or the stream ends. Only
// what an empty line ends is a message.
func readMessages(r io.Reader, take func(Message) bool) {
	var m Message
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			m.Event = value
		case "id":
			m.ID = value
		case "data":
			m.Data = value
		case "":
			if m.Data != "" && !take(m) {
				return
			}
			m = Message{}
		}
	}
}

// streamWriter passes on what the handler writes as it comes.
type streamWriter struct {
	header http.Header
	body   io.Writer
}

func (w *streamWriter) Header() http.Header            { return w.header }
func (w *streamWriter) WriteHeader(int)                {}
func (w *streamWriter) Write(data []byte) (int, error) { return w.body.Write(data) }
func (w *streamWriter) Flush()                         {}
