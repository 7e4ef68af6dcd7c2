package pipenet

import "time"

// queue is what one end wrote and the other has not read yet. Its memory is used
// again: most of what is written is read before more comes.
type queue struct {
	data     []byte
	segments []segment
	read     int // bytes of data that have been read
	passed   int // segments that have been read whole
}

// segment is what one write added, or the end of the stream.
type segment struct {
	due   time.Time
	bytes int // that have not been read
	end   bool
}

// size is how many bytes wait.
func (q *queue) size() int { return len(q.data) - q.read }

// first returns what is to be read next, nil if there is nothing.
func (q *queue) first() *segment {
	if q.passed == len(q.segments) {
		return nil
	}
	return &q.segments[q.passed]
}

// add adds what one write wrote.
func (q *queue) add(due time.Time, p []byte) {
	q.settle()
	q.data = append(q.data, p...)
	q.segments = append(q.segments, segment{due: due, bytes: len(p)})
}

// addEnd adds the end of the stream.
func (q *queue) addEnd(due time.Time) { q.segments = append(q.segments, segment{due: due, end: true}) }

// take reads from the first segment, which is not the end.
func (q *queue) take(p []byte) int {
	first := q.first()
	n := copy(p, q.data[q.read:q.read+first.bytes])
	q.read += n
	if first.bytes -= n; first.bytes == 0 {
		q.passed++
	}
	return n
}

// settle moves what waits to the front when most of the memory is behind it.
func (q *queue) settle() {
	if 2*q.read < len(q.data) {
		return
	}
	q.data = q.data[:copy(q.data, q.data[q.read:])]
	q.segments = q.segments[:copy(q.segments, q.segments[q.passed:])]
	q.read, q.passed = 0, 0
}
