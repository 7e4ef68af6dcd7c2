package httpapi

import (
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"tally/counter"
)

// The JSON of requests is decoded token by token, without reflection, straight
// from the body that was read: the objects are small and flat, and each field is
// checked where it is met, so that an error names it. jsontext refuses invalid
// UTF-8 and duplicate names by itself. Nesting has no depth to speak of because
// nothing but the expected kind of value is ever entered.

// decodeObject reads the body as one JSON object and nothing after it. member is
// called with each field's name, which it must copy to keep, and reads the value.
func (c *call) decodeObject(member func(name []byte) *counter.Error) *counter.Error {
	c.json.Reset(c.body)
	if err := c.members("", "the body", member); err != nil {
		return err
	}
	if _, err := c.json.ReadToken(); err != io.EOF {
		return counter.Errorf(counter.InvalidRequest, "something follows the JSON object, at byte %d; send one object", c.json.InputOffset())
	}
	return nil
}

// members walks the object that comes next. what names it in errors; "" stands
// for param, which is quoted only if there is an error.
func (c *call) members(param, what string, member func(name []byte) *counter.Error) *counter.Error {
	if err := c.enter('{', param, what, "object"); err != nil {
		return err
	}
	for {
		switch c.json.PeekKind() {
		case '}':
			_, err := c.json.ReadToken()
			return syntaxError(err)
		case '"':
			name, err := c.text()
			if err != nil {
				return err
			}
			if err := member(name); err != nil {
				return err
			}
		default:
			return c.malformed()
		}
	}
}

// elements walks the array that comes next.
func (c *call) elements(param string, element func(index int) *counter.Error) *counter.Error {
	if err := c.enter('[', param, "", "array"); err != nil {
		return err
	}
	for index := 0; c.json.PeekKind() != ']'; index++ {
		if c.json.PeekKind() == 0 {
			return c.malformed()
		}
		if err := element(index); err != nil {
			return err
		}
	}
	_, err := c.json.ReadToken()
	return syntaxError(err)
}

// enter reads the token that begins an object or an array.
func (c *call) enter(begin jsontext.Kind, param, what, word string) *counter.Error {
	switch kind := c.json.PeekKind(); kind {
	case begin:
		_, err := c.json.ReadToken()
		return syntaxError(err)
	case 0:
		return c.malformed()
	default:
		if what == "" {
			what = shorten(param)
		}
		return counter.Errorf(counter.InvalidRequest, "%s is %s; send an %s", what, kindWord(kind), word).WithParam(param)
	}
}

// text reads the string that comes next; it is valid until the next read.
func (c *call) text() ([]byte, *counter.Error) {
	raw, err := c.json.ReadValue()
	if err != nil {
		return nil, syntaxError(err)
	}
	inner := raw[1 : len(raw)-1]
	for _, b := range inner {
		if b == '\\' {
			c.unquoted, err = jsontext.AppendUnquote(c.unquoted[:0], raw)
			return c.unquoted, syntaxError(err)
		}
	}
	return inner, nil
}

// word reads a string field.
func (c *call) word(param string) (string, *counter.Error) {
	text, err := c.string(param)
	return string(text), err
}

// string is word without a copy: the text is valid until the next read.
func (c *call) string(param string) ([]byte, *counter.Error) {
	switch kind := c.json.PeekKind(); kind {
	case '"':
		return c.text()
	case 0:
		return nil, c.malformed()
	default:
		return nil, counter.Errorf(counter.InvalidRequest, "%s is %s; send a string", shorten(param), kindWord(kind)).WithParam(param)
	}
}

// truth reads a field that is true or false.
func (c *call) truth(param string) (bool, *counter.Error) {
	switch kind := c.json.PeekKind(); kind {
	case 't', 'f':
		_, err := c.json.ReadToken()
		return kind == 't', syntaxError(err)
	case 0:
		return false, c.malformed()
	default:
		return false, counter.Errorf(counter.InvalidRequest, "%s is %s; send true or false", shorten(param), kindWord(kind)).WithParam(param)
	}
}

// number reads an int64: a JSON number in plain decimal, or a string that holds
// one. The number's own spelling is looked at, so nothing is rounded on the way.
func (c *call) number() (int64, *counter.Error) {
	switch kind := c.json.PeekKind(); kind {
	case '0':
		raw, err := c.json.ReadValue()
		if err != nil {
			return 0, syntaxError(err)
		}
		return counter.ParseValue(string(raw))
	case '"':
		text, err := c.text()
		if err != nil {
			return 0, err
		}
		return counter.ParseValue(string(text))
	case 0:
		return 0, c.malformed()
	default:
		return 0, counter.Errorf(counter.InvalidValue, "a value is %s; send a whole number such as 7, -7 or \"7\"", kindWord(kind))
	}
}

// counters reads {"key": value, ...} in the caller's order.
func (c *call) counters(param string) ([]counter.Counter, *counter.Error) {
	list := c.room
	if cap(list) == 0 {
		list = make([]counter.Counter, 0, 4)
	}
	err := c.members(param, "", func(name []byte) *counter.Error {
		key := string(name)
		value, err := c.number()
		if err != nil {
			return err.WithParam(param + "." + printable(key))
		}
		list = append(list, counter.Counter{Key: key, Value: value})
		return nil
	})
	c.room = list[len(list):]
	return list[:len(list):len(list)], err
}

// words reads ["a", "b", ...].
func (c *call) words(param string) ([]string, *counter.Error) {
	list := []string{}
	err := c.elements(param, func(int) *counter.Error {
		text, err := c.word(param)
		list = append(list, text)
		return err
	})
	return list, err
}

// malformed returns the syntax error at which PeekKind stopped.
func (c *call) malformed() *counter.Error {
	_, err := c.json.ReadToken()
	return syntaxError(err)
}

// syntaxError says what is wrong with the JSON, or returns nil if err is nil.
func syntaxError(err error) *counter.Error {
	if err == nil {
		return nil
	}
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return counter.Errorf(counter.InvalidRequest, "the JSON ends in the middle; send all of it")
	case !ok:
		return counter.Errorf(counter.InvalidRequest, "the body is not JSON")
	case errors.Is(err, jsontext.ErrDuplicateName):
		name := syntactic.JSONPointer.LastToken()
		return counter.Errorf(counter.InvalidRequest, "the name %s is given twice in one object; give it once", shorten(name)).WithParam(printable(name))
	}
	return counter.Errorf(counter.InvalidRequest, "the body is not JSON: %v, at byte %d", syntactic.Err, syntactic.ByteOffset)
}

// unknownField refuses a field that the object does not have.
func unknownField(name []byte, known ...string) *counter.Error {
	text := string(name)
	return counter.Errorf(counter.InvalidRequest, "unknown field %s; %s", shorten(text), suggest(text, known)).WithParam(printable(text))
}

// missingField refuses an object that lacks what it must have.
func missingField(name string) *counter.Error {
	return counter.Errorf(counter.InvalidRequest, "the field %q is missing", name).WithParam(name)
}

func kindWord(kind jsontext.Kind) string {
	switch kind {
	case 'n':
		return "null"
	case 't', 'f':
		return "a truth value"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	}
	return "an array"
}
