package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// conn is one HTTP/1.1 connection that is asked one thing at a time. net/http
// would do, at several times the cost; with 10,000 connections beside the nodes
// on two cores its cost would be part of every figure.
type conn struct {
	net  net.Conn
	in   *bufio.Reader
	body []byte // reused
}

// dial connects to a base URL that checkLoopback has let pass. bufferBytes must
// hold the longest header line, and the longest line of a stream.
func dial(ctx context.Context, base string, bufferBytes int) (*conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1}
	c, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return nil, err
	}
	return &conn{net: c, in: bufio.NewReaderSize(c, bufferBytes)}, nil
}

// close resets the connection, which leaves nothing behind in TIME_WAIT. It
// makes a read under way fail.
func (c *conn) close() {
	_ = c.net.(*net.TCPConn).SetLinger(0)
	_ = c.net.Close()
}

// do sends a request and returns the body of the reply, good until the next do.
func (c *conn) do(request []byte) ([]byte, error) {
	if _, err := c.net.Write(request); err != nil {
		return nil, err
	}
	length, err := c.readHead()
	if err != nil {
		return nil, err
	}
	if length == chunked {
		c.body, err = io.ReadAll(httputil.NewChunkedReader(c.in))
		if err == nil {
			_, err = c.in.ReadSlice('\n') // the end of the trailer, of which there is none
		}
		return c.body, err
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err = io.ReadFull(c.in, c.body)
	return c.body, err
}

// stream sends a request that is answered with an event stream.
func (c *conn) stream(request []byte) (*stream, error) {
	if _, err := c.net.Write(request); err != nil {
		return nil, err
	}
	length, err := c.readHead()
	if err != nil {
		return nil, err
	}
	if length != chunked {
		return nil, fmt.Errorf("an event stream of %d bytes", length)
	}
	return &stream{bufio.NewReaderSize(httputil.NewChunkedReader(c.in), c.in.Size())}, nil
}

// chunked is the length of a body that does not say its length first.
const chunked = -1

// readHead reads the status line and the header. Another status than 200 is an
// error that holds what the node says.
func (c *conn) readHead() (length int, err error) {
	status, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	failed := ""
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		failed = string(bytes.TrimSpace(status))
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			length = chunked
		}
	}
	if failed != "" {
		detail, _ := io.ReadAll(io.LimitReader(c.in, int64(max(length, 0)))) // the status matters more
		return 0, fmt.Errorf("%s: %s", failed, bytes.TrimSpace(detail))
	}
	return length, nil
}

// stream is an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html),
// of which only the data is of interest.
type stream struct{ lines *bufio.Reader }

// next returns the data of the next message, good until the next call.
func (s *stream) next() ([]byte, error) {
	for {
		line, err := s.lines.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			return data, nil
		}
	}
}

// poll asks a group again and again, each time from where the last reply ended.
type poll struct {
	conn    *conn
	group   string
	request []byte
}

// fromState is no position: the watch begins with a reset.
const fromState = -1

func newPoll(c *conn, group string, position int64) *poll {
	p := &poll{conn: c, group: group, request: request("GET", "/v1/groups/"+group+"/watch", "")}
	if position != fromState {
		p.from(position)
	}
	return p
}

func (p *poll) next() ([]byte, error) {
	reply, err := p.conn.do(p.request)
	if err != nil {
		return nil, err
	}
	position, err := numberAfter(reply, revisionField) // the reply's own comes before those of its events
	if err != nil {
		return nil, err
	}
	p.from(position)
	return reply, nil
}

func (p *poll) from(position int64) {
	p.request = fmt.Appendf(p.request[:0], "GET /v1/groups/%s/watch?after=%d&wait=60s HTTP/1.1\r\nHost: tally\r\n\r\n", p.group, position)
}

// request writes a request. A header ends with a line feed.
func request(method, path, header string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: tally\r\nContent-Length: 0\r\n%s\r\n", method, path, header)
}
