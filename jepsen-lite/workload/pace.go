package workload

import (
	"context"
	"sync"
	"time"
)

// pace spreads the requests of all clients evenly over time. What was not sent
// while nobody could send is not made up for.
type pace struct {
	mu       sync.Mutex
	interval time.Duration // 0: no limit
	next     time.Time
}

func newPace(rate float64) *pace {
	p := &pace{}
	p.set(rate)
	return p
}

// set changes the rate from the next turn on.
func (p *pace) set(rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interval = 0
	if rate > 0 {
		p.interval = time.Duration(float64(time.Second) / rate)
	}
}

// wait returns when it is the caller's turn, or with the error of ctx.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	if p.interval == 0 {
		p.mu.Unlock()
		return ctx.Err()
	}
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
