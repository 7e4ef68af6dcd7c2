package fsm

import "container/heap"

// waiters are those who wait for an index to be applied, the lowest first. Who
// guards the applied index guards them too, so that nobody misses the moment.
type waiters struct {
	heap waiterHeap
}

// waiter is one who waits.
type waiter struct {
	index   uint64
	reached chan struct{} // closed when index has been applied
	at      int           // its place in the heap, -1 when it is out
}

func (w *waiters) add(index uint64) *waiter {
	one := &waiter{index: index, reached: make(chan struct{})}
	heap.Push(&w.heap, one)
	return one
}

// remove forgets one who gave up, reached or not.
func (w *waiters) remove(one *waiter) {
	if one.at >= 0 {
		heap.Remove(&w.heap, one.at)
	}
}

// reach wakes all who wait for an index up to this one.
func (w *waiters) reach(index uint64) {
	for len(w.heap) > 0 && w.heap[0].index <= index {
		close(heap.Pop(&w.heap).(*waiter).reached)
	}
}

// waiterHeap is for container/heap.
type waiterHeap []*waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].index < h[j].index }

func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *waiterHeap) Push(x any) {
	one := x.(*waiter)
	one.at = len(*h)
	*h = append(*h, one)
}

func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	one.at = -1
	return one
}
