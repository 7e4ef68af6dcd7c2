package httpapi

import (
	"net/http"
	"strconv"

	"tally/counter"
)

// The calls on counters.

func (c *call) readCounters() *counter.Error {
	reading, err := c.read(c.query.keys)
	if err != nil {
		return err
	}
	c.w.Header()["Etag"] = []string{`"` + strconv.FormatUint(reading.ModRevision, 10) + `"`}
	c.out = appendReading(c.out, &reading, c.query.quoted)
	return c.replyJSON()
}

func (c *call) readCounter() *counter.Error {
	c.w.Header().Add("Vary", "Accept")
	if err := counter.CheckKey(c.key); err != nil {
		return err.WithParam("key")
	}
	reading, err := c.read([]string{c.key})
	if err != nil {
		return err
	}
	if len(reading.Counters) == 0 {
		return counter.Errorf(counter.CounterNotFound, "the group %s has no counter %s; set or increase it first", shorten(c.group), shorten(c.key)).WithParam("key")
	}
	if wantsPlainText(c.r.Header) {
		c.out = strconv.AppendInt(c.out, reading.Counters[0].Value, 10)
		return c.replyText(http.StatusOK)
	}
	c.out = appendCounterReading(c.out, &reading, c.query.quoted)
	return c.replyJSON()
}

func (c *call) setCounters() *counter.Error {
	counters, err := c.decodeCounters()
	if err != nil {
		return err
	}
	return c.change(counter.Set, counters)
}

func (c *call) increaseCounters() *counter.Error {
	counters, err := c.decodeCounters()
	if err != nil {
		return err
	}
	return c.change(counter.Increase, counters)
}

func (c *call) decreaseCounters() *counter.Error {
	counters, err := c.decodeCounters()
	if err != nil {
		return err
	}
	return c.change(counter.Decrease, counters)
}

func (c *call) setCounter() *counter.Error {
	value, err := c.decodeValue()
	if err != nil {
		return err
	}
	return c.changeOne(counter.Set, value)
}

func (c *call) increaseCounter() *counter.Error {
	operand, err := c.decodeOperand()
	if err != nil {
		return err
	}
	return c.changeOne(counter.Increase, operand)
}

func (c *call) decreaseCounter() *counter.Error {
	operand, err := c.decodeOperand()
	if err != nil {
		return err
	}
	return c.changeOne(counter.Decrease, operand)
}

func (c *call) deleteCounters() *counter.Error {
	return c.remove(counter.Operation{Kind: counter.Delete, Group: c.group, Keys: c.query.keys, All: c.query.keys == nil})
}

func (c *call) deleteCounter() *counter.Error {
	return c.remove(counter.Operation{Kind: counter.Delete, Group: c.group, Keys: []string{c.key}})
}

func (c *call) batch() *counter.Error {
	m := &counter.Mutation{Batch: true}
	var err *counter.Error
	if m.Operations, err = c.decodeBatch(); err != nil {
		return err
	}
	result, err := c.propose(m)
	if err != nil {
		return err
	}
	c.out = appendBatch(c.out, &result, c.query.quoted)
	return c.replyJSON()
}

func (c *call) listGroups() *counter.Error {
	limit := c.query.limit
	if limit == 0 {
		limit = listLimit
	}
	after := ""
	if cursor := c.query.cursor; cursor != nil {
		var ok bool
		if after, ok = decodeCursor(*cursor); !ok {
			return counter.Errorf(counter.InvalidRequest, "%s is not a cursor; take \"next\" of an earlier reply as it is", shorten(*cursor)).WithParam("cursor")
		}
	}
	ctx, cancel := c.context()
	defer cancel()
	groups, more, err := c.handler.config.Backend.List(ctx, c.query.prefix, after, limit)
	if err != nil {
		return c.asError(err)
	}
	c.out = appendGroups(c.out, groups, more)
	return c.replyJSON()
}

// read asks the backend for one cut of the call's group.
func (c *call) read(keys []string) (counter.Reading, *counter.Error) {
	if err := c.handler.checkGroup(c.group); err != nil {
		return counter.Reading{}, err.WithParam("group")
	}
	ctx, cancel := c.context()
	defer cancel()
	reading, err := c.handler.config.Backend.Read(ctx, c.caller, c.group, keys, c.query.stale)
	if err != nil {
		return counter.Reading{}, c.asError(err)
	}
	c.setQuota(reading.Quota)
	return reading, nil
}

// change proposes one operation with several counters and replies.
func (c *call) change(kind counter.Kind, counters []counter.Counter) *counter.Error {
	operation := counter.Operation{Kind: kind, Group: c.group, Counters: counters, Condition: c.condition}
	result, err := c.propose(&counter.Mutation{Operations: []counter.Operation{operation}})
	if err != nil {
		return err
	}
	c.out = appendChange(c.out, &result, c.query.quoted)
	return c.replyJSON()
}

// changeOne proposes one operation on the counter that the path names and replies.
func (c *call) changeOne(kind counter.Kind, value int64) *counter.Error {
	// One allocation instead of three: this is the busiest request.
	m := &struct {
		counter.Mutation
		operations [1]counter.Operation
		counters   [1]counter.Counter
	}{}
	m.counters[0] = counter.Counter{Key: c.key, Value: value}
	m.operations[0] = counter.Operation{Kind: kind, Group: c.group, Counters: m.counters[:]}
	m.Operations = m.operations[:]
	result, err := c.propose(&m.Mutation)
	if err != nil {
		return err
	}
	c.out = appendCounterChange(c.out, &result, c.query.quoted)
	return c.replyJSON()
}

// remove proposes one delete and replies.
func (c *call) remove(operation counter.Operation) *counter.Error {
	result, err := c.propose(&counter.Mutation{Operations: []counter.Operation{operation}})
	if err != nil {
		return err
	}
	c.out = appendRemoval(c.out, &result)
	return c.replyJSON()
}

// propose checks a mutation and has the backend apply it.
func (c *call) propose(m *counter.Mutation) (counter.Result, *counter.Error) {
	m.Caller, m.RequestID, m.IdempotencyKey = c.caller, c.requestID, c.idempotencyKey
	if err := c.checkMutation(m); err != nil {
		return counter.Result{}, err
	}
	ctx, cancel := c.context()
	defer cancel()
	result, err := c.handler.config.Backend.Propose(ctx, m)
	if err != nil {
		return counter.Result{}, c.asError(err)
	}
	if len(result.Outcomes) != len(m.Operations) {
		// To reply from such a result would be to invent what happened.
		c.handler.config.Logger.Error("backend returned a wrong number of outcomes", "request_id", c.requestID, "index", result.Revision, "outcomes", len(result.Outcomes), "operations", len(m.Operations))
		return counter.Result{}, counter.Errorf(counter.Internal, "the server made a mistake; its log tells more under this request ID")
	}
	c.setQuota(result.Quota)
	if result.Replayed {
		c.w.Header()["Idempotent-Replayed"] = []string{"true"}
	}
	return result, nil
}

// checkMutation refuses what can never be applied, and names the parameter.
func (c *call) checkMutation(m *counter.Mutation) *counter.Error {
	if err := m.Check(); err != nil {
		switch err.Code {
		case counter.InvalidGroup:
			err.Param = "group"
		case counter.InvalidKey:
			err.Param = "key"
		}
		return err
	}
	for i := range m.Operations {
		if err := c.handler.checkGroup(m.Operations[i].Group); err != nil {
			if index := i; m.Batch { // a copy, so that only a refusal allocates
				err.Operation = &index
			}
			return err.WithParam("group")
		}
	}
	return nil
}

// checkGroup says why there can be no counters in the group, or returns nil.
func (h *Handler) checkGroup(group string) *counter.Error {
	if err := counter.CheckGroup(group); err != nil {
		return err
	}
	for _, refused := range h.refused {
		if refused.match(group) {
			return counter.Errorf(counter.UnsupportedGroup, "the group %s is of a kind that has no counters here (--refuse-groups); use another group", shorten(group))
		}
	}
	return nil
}
