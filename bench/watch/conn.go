package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// conn is one connection that is asked one thing at a time.
type conn struct {
	net     *net.TCPConn
	decoder decoder
	buffer  []byte
	reply   []byte // nil while there is none
}

// dial connects to a base URL that checkLoopback has let pass.
func dial(ctx context.Context, base string, bufferBytes int) (*conn, error) {
	dialer := net.Dialer{Timeout: answerMax, KeepAlive: -1}
	c, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return nil, err
	}
	return &conn{net: c.(*net.TCPConn), buffer: make([]byte, bufferBytes)}, nil
}

// answerMax is how long anything but a wait for changes may take.
const answerMax = 20 * time.Second

// close resets the connection, which leaves nothing behind in TIME_WAIT.
func (c *conn) close() {
	_ = c.net.SetLinger(0)
	_ = c.net.Close()
}

// do sends a request and returns the body of the reply, good until the next do.
func (c *conn) do(request []byte) ([]byte, error) {
	c.reply = nil
	c.decoder.message = func(body []byte) error {
		c.reply = append(c.reply, body...)
		return nil
	}
	if err := c.net.SetDeadline(time.Now().Add(answerMax)); err != nil {
		return nil, err
	}
	if _, err := c.net.Write(request); err != nil {
		return nil, err
	}
	for c.reply == nil {
		if err := c.read(); err != nil {
			return nil, err
		}
	}
	return c.reply, nil
}

// read waits for some bytes and gives them to the decoder.
func (c *conn) read() error {
	n, err := c.net.Read(c.buffer)
	if err != nil {
		return err
	}
	return c.decoder.feed(c.buffer[:n])
}

// request writes a request. A header ends with a line feed.
func request(method, path, header string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: tally\r\nContent-Length: 0\r\n%s\r\n", method, path, header)
}

// streamFrom asks for the event stream of a group from a position on.
func streamFrom(group string, position int64) []byte {
	return request("GET", fmt.Sprintf("/v1/groups/%s/watch?after=%d", group, position), "Accept: text/event-stream\r\n")
}

// pollFrom is a long poll of a group from a position on.
func pollFrom(group string, position int64) []byte {
	return fmt.Appendf(nil, "GET /v1/groups/%s/watch?after=%d&wait=60s HTTP/1.1\r\nHost: tally\r\n\r\n", group, position)
}
