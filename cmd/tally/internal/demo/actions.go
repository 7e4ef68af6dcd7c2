package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tally/counter"
)

// Kill ends a node without notice: see the package comment.
func (c *Cluster) Kill(id string) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	if state, _ := m.now(); state == Killed {
		return fmt.Errorf("%s is killed already; start it", id)
	}
	m.set(Killed, "killed")
	c.config.Say(fmt.Sprintf("%s killed: connections broken, ports closed, nothing handed over", id))
	c.stop(m)
	return nil
}

// Pause stops a node's traffic.
func (c *Cluster) Pause(id string) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	if state, _ := m.now(); state != Running {
		return fmt.Errorf("%s is %s, not running", id, state)
	}
	m.set(Paused, "paused")
	m.network.Pause()
	c.config.Say(fmt.Sprintf("%s paused: its traffic stands still, connections stay open", id))
	return nil
}

// Resume lets a paused node's traffic go on.
func (c *Cluster) Resume(id string) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	if state, _ := m.now(); state != Paused {
		return fmt.Errorf("%s is %s, not paused", id, state)
	}
	m.set(Running, "resumed")
	m.network.Resume()
	c.config.Say(fmt.Sprintf("%s resumed: its traffic goes on", id))
	return nil
}

// Start opens a killed node again on its files, and returns when it has caught
// up or it is clear that it cannot yet.
func (c *Cluster) Start(ctx context.Context, id string) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	if state, _ := m.now(); state != Killed {
		return fmt.Errorf("%s is %s; kill it first", id, state)
	}
	if c.life.Err() != nil {
		return context.Cause(c.life)
	}
	begin := time.Now()
	if err := c.open(m); err != nil {
		return err
	}
	m.set(Running, "started")
	c.config.Say(fmt.Sprintf("%s started again on its files", id))
	if c.waitReady(ctx, m) {
		c.config.Say(fmt.Sprintf("%s has caught up, %.2f s after its start", id, time.Since(begin).Seconds()))
	} else {
		c.config.Say(fmt.Sprintf("%s runs, but has not caught up: are two of three running?", id))
	}
	return nil
}

// readyLimit is how long Start waits for a node to catch up.
const readyLimit = 5 * time.Second

func (c *Cluster) waitReady(ctx context.Context, m *member) bool {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()
	for {
		ready := true
		for _, check := range m.node.Cluster().Ready(ctx) {
			ready = ready && check.OK
		}
		if ready {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-c.life.Done():
			return false
		case <-ticker.C:
		}
	}
}

// transferLimit is how long Transfer waits for another change of the members to end.
const transferLimit = 5 * time.Second

// Transfer hands leadership to the node.
func (c *Cluster) Transfer(ctx context.Context, id string) error {
	m, err := c.member(id)
	if err != nil {
		return err
	}
	if state, _ := m.now(); state != Running {
		return fmt.Errorf("%s is %s; choose a node that runs", id, state)
	}
	ctx, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	c.config.Say("leadership is handed to " + id)
	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()
	for {
		err := c.transfer(ctx, id)
		if !errors.Is(err, counter.Overloaded) {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Cluster) transfer(ctx context.Context, id string) error {
	for _, m := range c.members {
		if state, opened := m.now(); state == Running && opened != nil {
			_, err := opened.Cluster().TransferLeadership(ctx, id)
			return err
		}
	}
	return errors.New("no node runs; start one")
}
