package httpapi

import "tally/counter"

// usualBatch reads the body of a batch that is as nearly all are: a list of
// operations that set, increase or decrease, with names in printable ASCII
// without escapes and whole numbers of up to 18 digits. It takes a third of the
// time of the decoder for everything, and far fewer pieces of memory: the names
// are parts of one copy of the body.
//
// It returns nil for anything else, be it rare or wrong, and leaves it to that
// decoder to say what it is. What it accepts, both understand alike.
func usualBatch(body []byte) []counter.Operation {
	s := scanner{text: string(body)}
	if !s.next('{') || s.name() != "operations" || !s.next('[') {
		return nil
	}
	expected := min(len(body)/operationBytes+1, counter.BatchOperationsMax)
	list := make([]counter.Operation, 0, expected)
	room := make([]counter.Counter, 0, expected)
	for more := true; more; more = s.next(',') {
		var o counter.Operation
		if len(list) == counter.BatchOperationsMax || !s.operation(&o, &room) {
			return nil
		}
		list = append(list, o)
	}
	if !s.next(']') || !s.next('}') || !s.ends() {
		return nil
	}
	return list
}

// scanner takes JSON apart from left to right. What it does not find where it
// looks for it is not taken; "" and false say so.
type scanner struct {
	text string
	at   int
}

func (s *scanner) operation(o *counter.Operation, room *[]counter.Counter) bool {
	if !s.next('{') {
		return false
	}
	for more := true; more; more = s.next(',') {
		ok := false
		switch name := s.name(); {
		case name == "op" && o.Kind == 0:
			o.Kind, ok = counter.ParseKind(s.string())
		case name == "group" && o.Group == "":
			o.Group = s.string()
			ok = o.Group != ""
		case name == "counters" && o.Counters == nil:
			o.Counters = s.counters(room)
			ok = o.Counters != nil
		}
		if !ok {
			return false
		}
	}
	return s.next('}') && o.Kind != 0 && o.Kind != counter.Delete && o.Group != "" && o.Counters != nil
}

// counters reads {"key": value, ...} into the room that there is, nil if it cannot.
func (s *scanner) counters(room *[]counter.Counter) []counter.Counter {
	if !s.next('{') {
		return nil
	}
	start := len(*room)
	for more := true; more; more = s.next(',') {
		key := s.name()
		value, ok := s.integer()
		if key == "" || !ok || len(*room)-start == counter.GroupCountersMax {
			return nil
		}
		for _, before := range (*room)[start:] {
			if before.Key == key {
				return nil
			}
		}
		*room = append(*room, counter.Counter{Key: key, Value: value})
	}
	if !s.next('}') {
		return nil
	}
	return (*room)[start:len(*room):len(*room)]
}

// next takes a character, and white space before it.
func (s *scanner) next(c byte) bool {
	s.skipSpace()
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) ends() bool {
	s.skipSpace()
	return s.at == len(s.text)
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\n' || s.text[s.at] == '\r' || s.text[s.at] == '\t') {
		s.at++
	}
}

// name takes a string with the colon behind it.
func (s *scanner) name() string {
	name := s.string()
	if !s.next(':') {
		return ""
	}
	return name
}

// string takes a string of printable ASCII without escapes that is not empty.
func (s *scanner) string() string {
	if !s.next('"') {
		return ""
	}
	start := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1]
		case c == '\\' || c < ' ' || c > '~':
			return ""
		}
	}
	return ""
}

// integer takes a number. Whether something like a fraction follows shows when
// a comma or a brace is looked for next.
func (s *scanner) integer() (value int64, ok bool) {
	const digitsMax = 18 // more might not fit
	negative := s.next('-')
	if !negative {
		s.skipSpace()
	}
	start := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' && s.at-start < digitsMax {
		value = value*10 + int64(s.text[s.at]-'0')
		s.at++
	}
	if negative {
		value = -value
	}
	digits := s.at - start
	return value, digits == 1 || digits > 1 && s.text[start] != '0'
}
