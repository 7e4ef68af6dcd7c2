package client

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"tally/counter"
)

// errWithdrawn is how an addition ends that has not left.
var errWithdrawn = errors.New("the addition was withdrawn before it was sent")

// cell is one operation of a round: additions to one counter, all upwards or all
// downwards.
//
// While it gathers, the coalescer's mutex guards it. Once it is sealed, the
// flight alone writes to it, until it closes done; then callers read it.
type cell struct {
	name    name
	sealed  bool
	total   int64
	waiting int // additions that were not withdrawn

	// places has the delta of each addition, in the order in which they came, and
	// in the end the value after each.
	places []int64
	// errs says why an addition failed, by place; nil if none did.
	errs map[int]error
	done chan struct{} // closed when all additions are answered
}

// fits says that the cell's total remains an int64 with delta.
func (c *cell) fits(delta int64) bool {
	if delta < 0 {
		return c.total >= math.MinInt64-delta
	}
	return c.total <= math.MaxInt64-delta
}

func (c *cell) join(delta int64) (at int) {
	c.total += delta
	c.waiting++
	c.places = append(c.places, delta)
	return len(c.places) - 1
}

func (c *cell) withdraw(at int) {
	c.total -= c.places[at]
	c.waiting--
	c.places[at] = 0
}

// operation is what is sent for the additions at the given places, nil for all.
func (c *cell) operation(places []int) counter.Operation {
	total := c.total
	if places != nil {
		total = 0
		for _, at := range places {
			total += c.places[at]
		}
	}
	return counter.Operation{Kind: counter.Increase, Group: c.name.group, Counters: []counter.Counter{{Key: c.name.key, Value: total}}}
}

// applied answers the additions at the given places, nil for all: value is that
// of the counter after the last of them.
func (c *cell) applied(places []int, value int64) {
	if places == nil {
		value -= c.total
		for at, delta := range c.places {
			value += delta
			c.places[at] = value
		}
		return
	}
	for i := len(places) - 1; i >= 0; i-- {
		delta := c.places[places[i]]
		c.places[places[i]] = value
		value -= delta
	}
}

// failed answers the additions at the given places, nil for all, with an error.
func (c *cell) failed(places []int, err error) {
	if places == nil {
		places = c.bySize()
	}
	if c.errs == nil {
		c.errs = make(map[int]error)
	}
	for _, at := range places {
		c.errs[at] = err
	}
}

// bySize returns all places, those of the smallest additions first.
func (c *cell) bySize() []int {
	places := make([]int, len(c.places))
	for at := range places {
		places[at] = at
	}
	slices.SortStableFunc(places, func(a, b int) int {
		if c.name.decreases {
			a, b = b, a
		}
		return cmp.Compare(c.places[a], c.places[b])
	})
	return places
}

// answer is what the caller of an addition is told, when done is closed.
func (c *cell) answer(at int) (int64, error) {
	if err := c.errs[at]; err != nil {
		return 0, err
	}
	return c.places[at], nil
}
