package httpapi

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"tally/counter"
)

// Bounds of a long poll.
const (
	defaultWait = 30 * time.Second
	waitMax     = 5 * time.Minute
	// waitJitter is the divisor of the random part at the end: up to a sixteenth
	// of the time is added, as Consul's blocking queries do.
	waitJitter = 16
)

// jitter returns a random time below d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// servePoll waits until there is an event, the time is over, or the hub closes,
// and replies; to a client that has gone it does not. The time is over, too,
// when the caller's token expires: the reply holds a position as always, and
// the next request is told of the token.
func (w *watcher) servePoll() {
	timer := time.NewTimer(w.wait)
	defer timer.Stop()
	for over := false; len(w.batch.Changes) == 0 && !over; {
		select {
		case <-w.cursor.Ready():
			if !w.keepPace() {
				return
			}
		case <-timer.C:
			over = true
		case <-w.gone:
			return
		}
		batch, err := w.cursor.Poll()
		if err != nil {
			// The position is what it was, so an empty reply loses nothing. Who comes
			// back to a node that shuts down is told so, or finds the next one.
			if errors.Is(err, counter.ShuttingDown) {
				w.w.Header()["Connection"] = []string{"close"}
			}
			break
		}
		w.batch = batch
	}
	w.replyPoll()
}

func (w *watcher) replyPoll() {
	buffer := w.handler.buffer()
	defer w.handler.keep(buffer)
	*buffer = w.appendReply(*buffer)
	header := w.w.Header()
	header["Cache-Control"] = noStore
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(*buffer))}
	w.boundWrite()
	w.w.WriteHeader(http.StatusOK)
	if len(w.batch.Changes) > 0 {
		w.handler.metrics.polls.replies.Inc()
	}
	_, _ = w.w.Write(*buffer) // a client that has gone cannot be told
}

// appendReply appends the answer of a long poll: all of the batch.
func (w *watcher) appendReply(out []byte) []byte {
	w.countReply()
	return append(w.appendData(out, w.batch.Changes, w.end()), '\n')
}

// boundWrite gives up on a client that does not read. The deadline is moved only
// when less than writeTimeout is left of it: for each of many small writes
// that would be a good part of their cost.
func (w *watcher) boundWrite() {
	now := time.Now()
	if w.writeDeadline.Sub(now) < writeTimeout {
		w.writeDeadline = now.Add(2 * writeTimeout)
		if end := w.expires.Add(lastWordTimeout); w.stream && !w.expires.IsZero() && end.Before(w.writeDeadline) {
			w.writeDeadline = end
		}
		_ = http.NewResponseController(w.w).SetWriteDeadline(w.writeDeadline)
	}
}

// keptBytesMax is the largest buffer that is kept for another reply.
const keptBytesMax = 64 << 10

// buffer returns an empty buffer for what a watcher is about to send. Watchers
// that wait hold none.
func (h *Handler) buffer() *[]byte { return h.buffers.Get().(*[]byte) }

// keep takes a buffer back.
func (h *Handler) keep(buffer *[]byte) {
	if cap(*buffer) <= keptBytesMax {
		*buffer = (*buffer)[:0]
		h.buffers.Put(buffer)
	}
}
