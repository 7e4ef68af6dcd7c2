package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// decoder takes the replies of one HTTP/1.1 connection apart as their bytes
// come. It knows what a node sends and no more: bodies with a Content-Length,
// and event streams (https://html.spec.whatwg.org/multipage/server-sent-events.html)
// in chunks (RFC 9112, section 7.1), of which only the data is of interest.
// net/http would do, at several times the cost; with 10,000 connections beside
// the nodes on two cores its cost would be part of every figure.
type decoder struct {
	// message is given each body and each data line. It must not keep it.
	message func([]byte) error

	state  decoderState
	held   []byte // bytes that are not a whole step yet
	line   []byte // the beginning of a stream's line that goes on in another chunk
	length int    // of the body that comes
	status string // of a reply that is not 200, with its body still to come
}

type decoderState uint8

// What comes next.
const (
	atHead decoderState = iota
	atBody
	atChunk
)

// feed takes the next bytes, which it does not keep.
func (d *decoder) feed(data []byte) error {
	if len(d.held) > 0 {
		d.held = append(d.held, data...)
		data = d.held
	}
	for len(data) > 0 {
		n, err := d.step(data)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		data = data[n:]
	}
	d.held = append(d.held[:0], data...)
	return nil
}

// step returns how many bytes it has used, 0 if it needs more than there are.
func (d *decoder) step(data []byte) (int, error) {
	switch d.state {
	case atBody:
		return d.body(data)
	case atChunk:
		return d.chunk(data)
	}
	return d.head(data)
}

var headEnd = []byte("\r\n\r\n")

func (d *decoder) head(data []byte) (int, error) {
	end := bytes.Index(data, headEnd)
	if end < 0 {
		return 0, nil
	}
	lines := bytes.Split(data[:end], headEnd[:2])
	d.status, d.state, d.length = "", atBody, 0
	if !bytes.HasPrefix(lines[0], []byte("HTTP/1.1 200 ")) {
		d.status = string(lines[0])
	}
	for _, line := range lines[1:] {
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			var err error
			if d.length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			d.state = atChunk
		}
	}
	if d.state == atBody && d.length == 0 {
		return 0, fmt.Errorf("a reply without a body: %s", lines[0])
	}
	return end + len(headEnd), nil
}

func (d *decoder) body(data []byte) (int, error) {
	if len(data) < d.length {
		return 0, nil
	}
	d.state = atHead
	if d.status != "" {
		return 0, fmt.Errorf("%s: %s", d.status, bytes.TrimSpace(data[:d.length]))
	}
	return d.length, d.message(data[:d.length])
}

func (d *decoder) chunk(data []byte) (int, error) {
	digits, rest, found := bytes.Cut(data, headEnd[:2])
	if !found {
		return 0, nil
	}
	size, err := strconv.ParseUint(string(digits), 16, 31)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		return 0, errors.New("the node has ended the stream")
	}
	if uint64(len(rest)) < size+2 {
		return 0, nil
	}
	return len(digits) + 2 + int(size) + 2, d.lines(rest[:size])
}

// lines looks for data lines, the last of which may go on in the next chunk.
func (d *decoder) lines(data []byte) error {
	for {
		line, rest, found := bytes.Cut(data, []byte("\n"))
		if !found {
			d.line = append(d.line, line...)
			return nil
		}
		if len(d.line) > 0 {
			d.line = append(d.line, line...)
			line = d.line
		}
		if message, isData := bytes.CutPrefix(line, []byte("data:")); isData {
			if err := d.message(message); err != nil {
				return err
			}
		}
		d.line, data = d.line[:0], rest
	}
}
