package client

import (
	"context"
	"errors"
	"slices"

	"tally/counter"
)

// flight is the way of one round: a batch, and where the batch is refused
// because of one operation, another without it.
type flight struct {
	client *Client
	ctx    context.Context
}

// send answers all additions of the cells. A refusal that names an operation
// says that nothing was done because of that one alone, so the others go again.
func (f *flight) send(cells []*cell) {
	var tight []*cell // they did not fit as a whole
	for len(cells) > 0 {
		result, err := f.batch(cells)
		if err == nil {
			for i, one := range cells {
				one.applied(nil, result.Outcomes[i].Counters[0].Value)
				close(one.done)
			}
			break
		}
		refused, refusal := blamed(err, len(cells))
		if refusal == nil {
			fail(cells, err)
			break
		}
		if one := cells[refused]; refusal.Code == counter.OutOfRange {
			tight = append(tight, one)
		} else {
			fail([]*cell{one}, invalid(refusal))
		}
		cells = slices.Delete(cells, refused, refused+1)
	}
	for _, one := range tight {
		f.fit(one)
		close(one.done)
	}
}

// batch has the cells applied as one batch.
func (f *flight) batch(cells []*cell) (counter.Result, error) {
	operations := make([]counter.Operation, len(cells))
	for i, one := range cells {
		operations[i] = one.operation(nil)
	}
	return f.apply(operations)
}

func (f *flight) apply(operations []counter.Operation) (result counter.Result, err error) {
	m := &counter.Mutation{Operations: operations, Batch: true}
	err = f.client.settle(f.ctx, mutationRequest(m, &result), "")
	return result, err
}

// blamed returns the operation that a batch was refused for, and the refusal
// without its index, which is of no meaning to who added. It is nil if the batch
// failed for another reason.
func blamed(err error, count int) (index int, _ *counter.Error) {
	refusal, ok := errors.AsType[*counter.Error](err)
	if !ok || !refusal.Definite() || refusal.Operation == nil || *refusal.Operation < 0 || *refusal.Operation >= count {
		return 0, nil
	}
	alone := *refusal
	alone.Operation = nil
	return *refusal.Operation, &alone
}

func fail(cells []*cell, err error) {
	for _, one := range cells {
		one.failed(nil, err)
		close(one.done)
	}
}

// fit has as many additions applied as fit, the smallest first, where all of
// them together did not. It halves how many it tries at once when they do not
// fit. When not even one does, those that are left, which are no smaller, would
// not have fitted at that moment either: they are refused with it.
func (f *flight) fit(one *cell) {
	left := one.bySize()
	for size := max(1, len(left)/2); len(left) > 0; {
		now := left[:min(size, len(left))]
		result, err := f.apply([]counter.Operation{one.operation(now)})
		_, refusal := blamed(err, 1)
		switch {
		case err == nil:
			one.applied(now, result.Outcomes[0].Counters[0].Value)
			left = left[len(now):]
		case refusal == nil: // these may have been applied; those behind were not even tried
			one.failed(now, err)
			one.failed(left[len(now):], withCause(f.ctx, errWithdrawn))
			return
		case len(now) == 1:
			one.failed(left, invalid(refusal))
			return
		default:
			size = max(1, len(now)/2)
		}
	}
}
