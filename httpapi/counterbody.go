package httpapi

import "tally/counter"

// The bodies of the calls on counters.

// decodeCounters reads {"counters": {"a": 1, ...}}.
func (c *call) decodeCounters() ([]counter.Counter, *counter.Error) {
	var list []counter.Counter
	err := c.decodeObject(func(name []byte) (err *counter.Error) {
		if string(name) != "counters" {
			return unknownField(name, "counters")
		}
		list, err = c.counters("counters")
		return err
	})
	if err == nil && list == nil {
		err = missingField("counters")
	}
	return list, err
}

// decodeOperand reads {"value": 2}; no body at all means 1.
func (c *call) decodeOperand() (int64, *counter.Error) {
	if c.body.Len() == 0 {
		return 1, nil
	}
	return c.decodeValue()
}

// decodeValue reads {"value": 5}.
func (c *call) decodeValue() (value int64, err *counter.Error) {
	given := false
	err = c.decodeObject(func(name []byte) (err *counter.Error) {
		if string(name) != "value" {
			return unknownField(name, "value")
		}
		given = true
		if value, err = c.number(); err != nil && err.Code == counter.InvalidValue {
			err.Param = "value"
		}
		return err
	})
	if err == nil && !given {
		err = missingField("value")
	}
	return value, err
}

// operationBytes is what a short operation of a batch takes in JSON. Room for so
// many is made at once, instead of a list that grows and is copied.
const operationBytes = len(`{"op":"increase","group":"g","counters":{"a":1}}`)

// decodeBatch reads {"operations": [...]}.
func (c *call) decodeBatch() ([]counter.Operation, *counter.Error) {
	if list := usualBatch(c.body.Bytes()); list != nil {
		return list, nil
	}
	return c.decodeAnyBatch()
}

// decodeAnyBatch reads {"operations": [...]}. An error in an operation names its index.
func (c *call) decodeAnyBatch() ([]counter.Operation, *counter.Error) {
	var list []counter.Operation
	expected := min(c.body.Len()/operationBytes+1, counter.BatchOperationsMax)
	err := c.decodeObject(func(name []byte) *counter.Error {
		if string(name) != "operations" {
			return unknownField(name, "operations")
		}
		list = make([]counter.Operation, 0, expected)
		c.room = make([]counter.Counter, 0, expected)
		return c.elements("operations", func(index int) *counter.Error {
			if index == counter.BatchOperationsMax {
				return counter.Errorf(counter.InvalidRequest, "the batch has more than %d operations", counter.BatchOperationsMax).WithParam("operations")
			}
			operation, err := c.operation()
			if err != nil {
				at := index // a copy, so that only a refusal allocates
				err.Operation = &at
				return err
			}
			list = append(list, operation)
			return nil
		})
	})
	if err == nil && list == nil {
		err = missingField("operations")
	}
	return list, err
}

// operation reads one operation of a batch, such as
// {"op": "increase", "group": "g", "counters": {"a": 1}}.
func (c *call) operation() (o counter.Operation, err *counter.Error) {
	groupGiven := false
	err = c.members("operations", "an operation", func(name []byte) (err *counter.Error) {
		switch string(name) {
		case "op":
			o.Kind, err = c.kind()
		case "group":
			groupGiven = true
			o.Group, err = c.word("group")
		case "counters":
			o.Counters, err = c.counters("counters")
		case "keys":
			o.Keys, err = c.words("keys")
		case "all":
			o.All, err = c.truth("all")
		default:
			err = unknownField(name, "op", "group", "counters", "keys", "all")
		}
		return err
	})
	switch {
	case err != nil:
		return o, err
	case o.Kind == 0:
		return o, missingField("op")
	case !groupGiven:
		return o, missingField("group")
	}
	return o, nil
}

func (c *call) kind() (counter.Kind, *counter.Error) {
	text, err := c.string("op")
	if err != nil {
		return 0, err
	}
	kind, ok := counter.ParseKind(string(text))
	if !ok {
		word := string(text)
		return 0, counter.Errorf(counter.InvalidRequest, "unknown operation %s; %s", shorten(word), suggest(word, []string{"set", "increase", "decrease", "delete"})).WithParam("op")
	}
	return kind, nil
}
