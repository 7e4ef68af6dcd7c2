package cluster

import "time"

const (
	// crowd is from how many proposals on a wave is worth waiting for: for fewer,
	// what is saved is little beside the time of those who wait.
	crowd = 24
	// companyMax is how many are always enough: what a larger wave saves is less
	// than what its members could have had done meanwhile.
	companyMax = 64
	// companyWaitMax bounds how long a wave waits.
	companyWaitMax = 20 * time.Millisecond
)

// company is for whom the next wave waits when the last one has landed.
//
// Clients that change counters one after the other come back as soon as they are
// answered. Half of them would come too late for a wave that goes at once, and
// wait for it: there would be two waves of half the size, one always on the way
// and the other gathering.
type company struct {
	wanted int // how many make the wave go; 0: it does not wait
	timer  *time.Timer
}

// await has the wave, of which some are gathered, wait for most of those who were
// answered, 0 for nobody: the others may have gone, or be slow. A flight is how
// long a wave takes.
func (c *company) await(gathered, answered int, flight time.Duration) {
	expected := gathered + answered
	if answered == 0 || expected < crowd {
		return
	}
	c.wanted = min(expected-expected/4, companyMax)
	wait := min(flight, companyWaitMax)
	if c.timer == nil {
		c.timer = time.NewTimer(wait)
		return
	}
	c.timer.Reset(wait)
}

// leave ends the wait.
func (c *company) leave() {
	if c.wanted > 0 {
		c.wanted = 0
		c.timer.Stop()
	}
}

func (c *company) suffices(gathered int) bool { return gathered >= c.wanted }

// late is when the wave waits no longer.
func (c *company) late() <-chan time.Time {
	if c.wanted == 0 {
		return nil
	}
	return c.timer.C
}
