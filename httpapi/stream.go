package httpapi

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Server-sent events (WHATWG HTML, section 9.2). A message looks like this:
//
//	id: 105
//	data: {"group":"room","revision":105,"events":[...]}
//
// and a progress message, which lets a client that hears of no event know how
// far it has come, and a proxy that the connection is in use:
//
//	event: progress
//	id: 107
//	data: {"group":"room","revision":107,"events":[]}
const (
	// progressInterval is the longest that a stream is silent.
	progressInterval = 10 * time.Second
	// progressJitter keeps streams that were all sent the same event from all
	// being sent progress at the same time.
	progressJitter = 2 * time.Second
	// A browser whose stream ends comes back after a time from retryMin to
	// retryMin+retryJitter, so that the watchers of a node that stops do not
	// all arrive at the others in the same moment.
	retryMin    = time.Second
	retryJitter = 2 * time.Second
)

func setStreamHeader(header http.Header) {
	header["Content-Type"] = streamType
	header["Cache-Control"] = noStore
	header["X-Accel-Buffering"] = []string{"no"} // asks nginx to pass on each message as it comes
}

// serveStream sends what there is and what comes, until the client goes, does
// not read what it is sent, its token expires, or the hub closes.
func (w *watcher) serveStream() {
	setStreamHeader(w.w.Header())
	w.w.WriteHeader(http.StatusOK)
	if !w.send(w.appendRetry) {
		return
	}
	due := w.nextDue()
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		progress := false
		select {
		case <-w.cursor.Ready():
			if !w.keepPace() {
				return
			}
		case <-timer.C:
			// The timer is not moved with each message; it finds out here.
			if left := time.Until(due); left > 0 {
				timer.Reset(left)
				continue
			}
			progress = true
		case <-w.gone:
			return
		}
		if w.expired() {
			w.sendExpired()
			return
		}
		var err error
		if w.batch, err = w.cursor.Poll(); err != nil {
			return // the client comes back with the last ID it was sent
		}
		if len(w.batch.Changes) == 0 && !progress {
			continue
		}
		if !w.send(nil) {
			return
		}
		due = w.nextDue()
		if progress {
			timer.Reset(time.Until(due))
		}
	}
}

// nextDue is when a silent stream must be looked at again.
func (w *watcher) nextDue() time.Time {
	return time.Now().Add(w.untilExpiry(progressInterval - jitter(progressJitter)))
}

func (w *watcher) appendRetry(out []byte) []byte {
	out = append(out, "retry: "...)
	out = strconv.AppendInt(out, (retryMin + jitter(retryJitter)).Milliseconds(), 10)
	return append(out, "\n\n"...)
}

// send writes the batch as messages, or progress if it has no change, after
// what first appends, if given. It is false if the client does not take them.
func (w *watcher) send(first func([]byte) []byte) bool {
	buffer := w.handler.buffer()
	defer w.handler.keep(buffer)
	if first != nil {
		*buffer = first(*buffer)
	}
	w.boundWrite()
	err := w.writeMessages(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.handler.metrics.dropped.Inc()
	}
	return err == nil
}

func (w *watcher) writeMessages(buffer *[]byte) error {
	if len(w.batch.Changes) == 0 {
		*buffer = w.appendMessage(append(*buffer, "event: progress\n"...), nil, w.end())
	}
	for rest := w.batch.Changes; len(rest) > 0; {
		changes, at := w.message(rest)
		rest = rest[len(changes):]
		*buffer = w.appendMessage(*buffer, changes, at)
		if len(*buffer) > keptBytesMax/2 && len(rest) > 0 {
			if _, err := w.w.Write(*buffer); err != nil {
				return err
			}
			*buffer = (*buffer)[:0]
		}
	}
	w.form.sent(&w.batch)
	if len(w.batch.Changes) > 0 {
		w.countReply()
		w.handler.metrics.streams.replies.Inc()
	}
	if _, err := w.w.Write(*buffer); err != nil {
		return err
	}
	w.batch.Changes = nil // what has been sent is not kept while waiting
	return http.NewResponseController(w.w).Flush()
}
