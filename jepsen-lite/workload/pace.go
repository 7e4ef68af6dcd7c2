package workload

import (
	"context"
	"sync"
	"time"
)

// pace spreads the requests of all clients evenly over time. What was not sent
// while nobody could send is not made up for.
type pace struct {
	interval time.Duration // 0: no limit

	mu   sync.Mutex
	next time.Time
}

func newPace(rate float64) *pace {
	if rate <= 0 {
		return &pace{}
	}
	return &pace{interval: time.Duration(float64(time.Second) / rate)}
}

// wait returns when it is the caller's turn, or with the error of ctx.
func (p *pace) wait(ctx context.Context) error {
	if p.interval == 0 {
		return ctx.Err()
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	turn := p.next.Sub(now)
	p.next = p.next.Add(p.interval)
	p.mu.Unlock()
	if turn > 0 {
		sleep(ctx, turn)
	}
	return ctx.Err()
}
