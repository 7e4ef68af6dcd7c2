package main

import (
	"bytes"
	"errors"
	"fmt"
)

// The parts of a message that matter here, looked for without decoding the rest
// of it. Group IDs and keys of this program hold nothing that looks like them.
var (
	typeField     = []byte(`"type":"`)
	groupField    = []byte(`"group":"`)
	valueField    = []byte(`"value":`)
	revisionField = []byte(`"revision":`)
)

// event is a change of a group's one counter, or a reset.
type event struct {
	group int
	value int64
	reset bool
}

// scan calls found for each event of a message, in order.
func scan(message []byte, found func(event)) error {
	for {
		i := bytes.Index(message, typeField)
		if i < 0 {
			return nil
		}
		message = message[i+len(typeField):]
		e := event{reset: bytes.HasPrefix(message, []byte(`reset"`))}
		var err error
		if e.group, err = groupAfter(message); err != nil {
			return err
		}
		if !e.reset {
			if e.value, err = numberAfter(message, valueField); err != nil {
				return err
			}
		}
		found(e)
	}
}

// groupName is the ID of a group of one run.
func groupName(run string, group int) string { return fmt.Sprintf("%s-%05d", run, group) }

const groupDigits = 5

// groupAfter reads the number at the end of the first group ID.
func groupAfter(message []byte) (int, error) {
	i := bytes.Index(message, groupField)
	if i < 0 {
		return 0, errors.New("an event without a group")
	}
	name := message[i+len(groupField):]
	end := bytes.IndexByte(name, '"')
	if end < groupDigits {
		return 0, errors.New("an event of a group that this program has not made")
	}
	n, err := number(name[end-groupDigits : end])
	return int(n), err
}

func numberAfter(message, field []byte) (int64, error) {
	i := bytes.Index(message, field)
	if i < 0 {
		return 0, fmt.Errorf("no %s in %.200q", field, message)
	}
	return number(message[i+len(field):])
}

// number reads the digits at the beginning.
func number(digits []byte) (n int64, err error) {
	for i, d := range digits {
		if d < '0' || d > '9' {
			if i == 0 {
				return 0, fmt.Errorf("%.20q is no number", digits)
			}
			break
		}
		n = n*10 + int64(d-'0')
	}
	return n, nil
}
