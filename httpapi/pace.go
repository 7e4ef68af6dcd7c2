package httpapi

import (
	"context"
	"net"
	"time"
)

// paceBurst is how many replies may follow each other at once after a quiet time.
const paceBurst = 10

// pacer makes replies to one watcher coalesce when there are many: in the long
// run there is at most one in each interval, which then carries all that has
// happened since. A watcher that was quiet is not made to wait: each interval
// without a reply, of up to paceBurst, is credit for one that comes at
// once. A strict interval would add its whole length to every event that happens
// to come soon after another, which at 8 events a second is one in six.
//
// A pacer belongs to a stream, or to a connection for its long polls, of which
// HTTP/1.1 has one at a time. The zero value has all its credit.
type pacer struct {
	// free is when the next reply may be sent.
	free time.Time
}

// delay returns how long the next reply has to wait, at most one interval.
func (p *pacer) delay(now time.Time, interval time.Duration) time.Duration {
	return min(p.free.Sub(now), interval)
}

// replied takes note of a reply.
func (p *pacer) replied(now time.Time, interval time.Duration) {
	if credit := now.Add(-(paceBurst - 1) * interval); p.free.Before(credit) {
		p.free = credit
	}
	p.free = p.free.Add(interval)
}

// pacerKey is the key of a connection's pacer in the context of its requests.
type pacerKey struct{}

func withPacer(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, pacerKey{}, new(pacer))
}
