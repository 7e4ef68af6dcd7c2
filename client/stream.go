package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// messageBytesMax is the longest message of a stream that is read. The longest a
// node sends, the state of 1,000 full groups, is a third of it.
const messageBytesMax = 64 << 20

// message is one of server-sent events (WHATWG HTML, section 9.2).
type message struct {
	event string // its type, "" for the usual
	id    string // where to go on behind it
	data  []byte // valid until the next message
}

// stream reads messages. It reads what nodes send and what the standard allows
// them to send; of retry and of comments it takes no note.
type stream struct {
	lines *bufio.Reader
	line  []byte // scratch
	data  []byte
	read  int // bytes of the message so far
}

func newStream(from io.Reader) *stream {
	return &stream{lines: bufio.NewReaderSize(from, 16<<10)}
}

// next returns the next message with data that came whole. One that is cut off
// is an error, not a message.
func (s *stream) next() (message, error) {
	var m message
	s.data, s.read = s.data[:0], 0
	given := false
	for {
		line, err := s.nextLine()
		if err != nil {
			return message{}, err
		}
		if len(line) == 0 {
			if given {
				m.data = s.data
				return m, nil
			}
			m, s.read = message{}, 0 // a message without data is none
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			m.event = string(value)
		case "id":
			m.id = string(value)
		case "data":
			if given {
				s.data = append(s.data, '\n')
			}
			given = true
			s.data = append(s.data, value...)
		}
	}
}

// nextLine returns the next line without its end, valid until the next call.
func (s *stream) nextLine() ([]byte, error) {
	s.line = s.line[:0]
	for {
		part, err := s.lines.ReadSlice('\n')
		s.read += len(part)
		switch {
		case s.read > messageBytesMax:
			return nil, fmt.Errorf("a message has more than %d bytes", messageBytesMax)
		case err == bufio.ErrBufferFull:
			s.line = append(s.line, part...)
			continue
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		s.line = append(s.line, part...)
		return bytes.TrimSuffix(s.line[:len(s.line)-1], []byte("\r")), nil
	}
}
