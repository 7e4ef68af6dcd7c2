package ratelimit

// queue holds all callers in the order in which they are looked at next for
// having become idle. A call does not move its caller, which would touch the
// memory of two others: who turns out to be active goes to the end again. So an
// idle user is remembered for two windows at the most while others call.
type queue struct {
	first, last *caller
}

// push puts c, which is not in the queue, at its end.
func (q *queue) push(c *caller) {
	if q.last == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
}

// pop takes off the first of a queue that is not empty.
func (q *queue) pop() *caller {
	c := q.first
	q.first, c.next = c.next, nil
	if q.first == nil {
		q.last = nil
	}
	return c
}
