package httpapi

import (
	"testing"
	"time"
)

func TestPacer(t *testing.T) {
	const interval = 20 * time.Millisecond
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := new(pacer)
	for i := range paceBurst {
		if wait := p.delay(now, interval); wait > 0 {
			t.Errorf("reply %d after a quiet time waits %v", i, wait)
		}
		p.replied(now, interval)
		now = now.Add(time.Microsecond)
	}
	for i := range 100 {
		wait := p.delay(now, interval)
		if wait < interval-time.Millisecond || wait > interval {
			t.Fatalf("busy, reply %d waits %v", i, wait)
		}
		now = now.Add(wait)
		p.replied(now, interval)
	}
	now = now.Add(3 * interval)
	for i, credit := range []bool{true, true, true, false} {
		if wait := p.delay(now, interval); (wait <= 0) != credit {
			t.Errorf("reply %d after three quiet intervals waits %v", i, wait)
		}
		p.replied(now, interval)
	}
}
