package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"tally/counter"
)

// Every change but a conditional set goes as a batch: one form to send and to
// read, and neither groups nor keys pass through paths, which some proxies rewrite.

// Set sets counters of one group, all or none; others of the group stay.
// [IfRevision] and [IfAbsent] make it conditional.
func (c *Client) Set(ctx context.Context, group string, values map[string]int64, options ...CallOption) (counter.Result, error) {
	return c.change(ctx, counter.Operation{Kind: counter.Set, Group: group, Counters: sorted(values)}, options)
}

// Increase adds to counters of one group, all or none. Those that do not exist
// start at 0. The result has the new values.
func (c *Client) Increase(ctx context.Context, group string, deltas map[string]int64, options ...CallOption) (counter.Result, error) {
	return c.change(ctx, counter.Operation{Kind: counter.Increase, Group: group, Counters: sorted(deltas)}, options)
}

// Decrease subtracts from counters of one group, all or none. Those that do not
// exist start at 0. The result has the new values.
func (c *Client) Decrease(ctx context.Context, group string, deltas map[string]int64, options ...CallOption) (counter.Result, error) {
	return c.change(ctx, counter.Operation{Kind: counter.Decrease, Group: group, Counters: sorted(deltas)}, options)
}

// Delete deletes counters of one group. Those that do not exist are no error:
// the result names those that did. No key at all is refused, so that an empty
// list is never taken for everything.
func (c *Client) Delete(ctx context.Context, group string, keys ...string) (counter.Result, error) {
	return c.change(ctx, counter.Operation{Kind: counter.Delete, Group: group, Keys: keys}, nil)
}

// DeleteAll deletes all counters of the group. The result names them.
func (c *Client) DeleteAll(ctx context.Context, group string, options ...CallOption) (counter.Result, error) {
	return c.change(ctx, counter.Operation{Kind: counter.Delete, Group: group, All: true}, options)
}

// Batch carries out up to counter.BatchOperationsMax operations on any groups, in
// order, all or none. An error that is about one of them names its index.
func (c *Client) Batch(ctx context.Context, operations []counter.Operation, options ...CallOption) (counter.Result, error) {
	for i := range operations {
		if operations[i].Condition.Checked {
			return counter.Result{}, invalid(counter.Errorf(counter.InvalidRequest, "operation %d has a condition; only Set can be conditional", i))
		}
	}
	return c.mutate(ctx, &counter.Mutation{Operations: operations, Batch: true}, options)
}

// change carries out one operation.
func (c *Client) change(ctx context.Context, operation counter.Operation, options []CallOption) (counter.Result, error) {
	return c.mutate(ctx, &counter.Mutation{Operations: []counter.Operation{operation}}, options)
}

// mutate checks a mutation and has it applied.
func (c *Client) mutate(ctx context.Context, m *counter.Mutation, options []CallOption) (counter.Result, error) {
	var o callOptions
	for _, option := range options {
		option(&o)
	}
	if o.keyed && (o.key == "" || strings.Trim(o.key, " ") != o.key) {
		return counter.Result{}, invalid(counter.Errorf(counter.InvalidRequest, "the idempotency key is empty, or begins or ends with a space; give it 1 to %d characters", counter.IdempotencyKeyCharactersMax).WithParam("Idempotency-Key"))
	}
	m.IdempotencyKey = o.key
	if o.conditional {
		if m.Batch || m.Operations[0].Kind != counter.Set {
			return counter.Result{}, invalid(counter.Errorf(counter.InvalidRequest, "only Set can be conditional"))
		}
		m.Operations[0].Condition = counter.Condition{Checked: true, ModRevision: o.modRevision}
	}
	if err := m.Check(); err != nil {
		return counter.Result{}, invalid(err)
	}
	if err := c.open(); err != nil {
		return counter.Result{}, err
	}
	var result counter.Result
	err := c.settle(ctx, mutationRequest(m, &result), m.IdempotencyKey)
	if refusal, ok := errors.AsType[*counter.Error](err); ok && !m.Batch {
		refusal.Operation = nil // the caller sent no list
	}
	return result, err
}

// mutationRequest is the mutation as it is sent; its reply goes into result.
func mutationRequest(m *counter.Mutation, result *counter.Result) *request {
	if condition := m.Operations[0].Condition; condition.Checked {
		return conditionalSet(&m.Operations[0], result)
	}
	return &request{
		method: http.MethodPost, path: "/v1/batch", header: make(http.Header), changes: true,
		body: appendBatch(nil, m.Operations),
		decode: func(r *reply) (err error) {
			*result, err = decodeBatch(r.body, m.Operations)
			result.Replayed = r.replayed
			return err
		},
	}
}

func conditionalSet(o *counter.Operation, result *counter.Result) *request {
	header := http.Header{"If-Match": {`"` + formatRevision(o.Condition.ModRevision) + `"`}}
	if o.Condition.ModRevision == 0 {
		header = http.Header{"If-None-Match": {"*"}}
	}
	return &request{
		method: http.MethodPut, path: "/v1/groups/" + url.PathEscape(o.Group) + "/counters", header: header, changes: true,
		body: append(appendCounters([]byte(`{"counters":`), o.Counters), '}'),
		decode: func(r *reply) (err error) {
			*result, err = decodeChange(r.body, o)
			result.Replayed = r.replayed
			return err
		},
	}
}
