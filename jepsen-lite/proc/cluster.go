//go:build linux

package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tally/jepsen-lite/proxy"
)

// Config is what a cluster is made of.
type Config struct {
	// Dir is the folder of the run: logs, journals, clocks, and the disks while
	// it lasts.
	Dir string
	// Binary is the tallyd to run, and Flags what every node is given on top.
	Binary string
	Flags  []string
	// Machines is how many there are, 1 to 9.
	Machines int
	// DiskBytes is the size of each machine's file system.
	DiskBytes int64
	// Can is what was found to be possible here.
	Can Capabilities
}

// Cluster is the machines of a run. Open makes it, Close takes everything away.
type Cluster struct {
	config   Config
	network  network
	client   *client
	machines []*Machine
	founders string // for --initial-cluster

	mu    sync.Mutex
	nodes int // IDs given so far
}

// Open makes the machines, with empty disks, and starts no node yet.
func Open(config Config) (c *Cluster, err error) {
	c = &Cluster{config: config, client: newClient()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	for _, sub := range []string{"logs", "journals", "clocks", "disks"} {
		if err := os.MkdirAll(filepath.Join(config.Dir, sub), 0o755); err != nil {
			return c, err
		}
	}
	if Isolated() {
		if err := raiseLoopback(); err != nil {
			return c, fmt.Errorf("turn on the loopback interface: %w", err)
		}
	}
	c.network = openLoopback()
	if config.Can.Namespaces() {
		if c.network, err = openNamespaces(); err != nil {
			return c, err
		}
	}
	var founders []string
	for i := 1; i <= config.Machines; i++ {
		m, err := c.newMachine(i)
		if err != nil {
			return c, err
		}
		founders = append(founders, m.node+"="+m.peer)
	}
	c.founders = strings.Join(founders, ",")
	return c, nil
}

func (c *Cluster) newMachine(number int) (m *Machine, err error) {
	m = &Machine{Name: fmt.Sprintf("m%d", number), node: c.nextNode(), cluster: c}
	bytes := c.config.DiskBytes
	if !c.config.Can.Disks() {
		bytes = 0
	}
	if m.Disk, err = openDisk(filepath.Join(c.config.Dir, "disks"), m.Name, bytes); err != nil {
		return nil, err
	}
	c.machines = append(c.machines, m)
	if err := c.network.attach(m, number); err != nil {
		return nil, fmt.Errorf("network of %s: %w", m.Name, err)
	}
	return m, m.SetClock(0)
}

// nextNode returns an ID that no node has had.
func (c *Cluster) nextNode() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes++
	return fmt.Sprintf("n%d", c.nodes)
}

// Machines returns all of them, in the order of their names.
func (c *Cluster) Machines() []*Machine { return c.machines }

// Start starts every node and waits until all are ready.
func (c *Cluster) Start(ctx context.Context) error {
	for _, m := range c.machines {
		if err := m.Start(); err != nil {
			return err
		}
	}
	return c.AwaitReady(ctx)
}

// AwaitReady waits until the nodes of all machines are ready.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, m := range c.machines {
		if err := m.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Leader is who leads, by the word of the node with the newest term that leads
// by its own word.
type Leader struct {
	Machine *Machine
	Term    uint64
}

// FindLeader asks all nodes at once who leads. Of several that think they do,
// the one with the newest term does.
func (c *Cluster) FindLeader(ctx context.Context) (leader Leader, found bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, m := range c.machines {
		if s := m.State(); s == 0 || s == 'T' || s == 'Z' {
			continue
		}
		group.Go(func() {
			view, err := c.client.view(ctx, m)
			if err != nil || view.Leader == nil || view.Leader.ID != m.Node() {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if !found || view.Term > leader.Term {
				leader, found = Leader{m, view.Term}, true
			}
		})
	}
	group.Wait()
	return leader, found
}

// AwaitLeader waits until some node leads for which ok holds; nil is any.
func (c *Cluster) AwaitLeader(ctx context.Context, ok func(Leader) bool) (Leader, error) {
	for {
		if leader, found := c.FindLeader(ctx); found && (ok == nil || ok(leader)) {
			return leader, nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return Leader{}, fmt.Errorf("no such leader: %w", ctx.Err())
		}
	}
}

// Links returns the links from each of the first to each of the second machines.
func Links(from, to []*Machine) []Link {
	var links []Link
	for _, a := range from {
		for _, b := range to {
			if a != b {
				links = append(links, Link{a, b})
			}
		}
	}
	return links
}

// Drop loses a percentage of the packets on links; 100 cuts them.
func (c *Cluster) Drop(links []Link, percent int) (Disturbance, error) {
	return c.network.drop(links, percent)
}

// DropClients loses every packet that clients send to machines.
func (c *Cluster) DropClients(machines []*Machine) (Disturbance, error) {
	return c.network.dropClients(machines)
}

// Disturb lets the connections that are made on links pass through a bad network.
func (c *Cluster) Disturb(links []Link, conditions proxy.Conditions) (Disturbance, error) {
	return c.network.disturb(links, conditions)
}

// UnexpectedExits returns the ends of processes that nobody had asked for. Each
// of them is a fault of the product.
func (c *Cluster) UnexpectedExits() []Exit {
	var exits []Exit
	for _, m := range c.machines {
		m.mu.Lock()
		all := m.ended
		if m.current != nil {
			all = append(all[:len(all):len(all)], m.current)
		}
		m.mu.Unlock()
		for _, p := range all {
			if p.ended() && !p.wasExpected() {
				exits = append(exits, p.exit)
			}
		}
	}
	return exits
}

// Stop ends every node cleanly, and kills those that do not end.
func (c *Cluster) Stop() error {
	errs := make([]error, len(c.machines))
	var group sync.WaitGroup
	for i, m := range c.machines {
		group.Go(func() { errs[i] = m.shutDown() })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (m *Machine) shutDown() error {
	if !m.Running() {
		return nil
	}
	if m.State() == 'T' {
		if err := m.Resume(); err != nil {
			return err
		}
	}
	exit, err := m.Stop()
	if err != nil {
		_, killErr := m.Kill()
		return errors.Join(err, killErr)
	}
	if exit.Code != 0 {
		return fmt.Errorf("a clean stop failed: %v: %s", exit, exit.Words)
	}
	return nil
}

// Close ends every process at once and takes away disks and network. What was
// written to the run's folder stays.
func (c *Cluster) Close() error {
	var errs []error
	for _, m := range c.machines {
		if m.Disk != nil {
			m.Disk.thaw() // or the process cannot end
		}
		if m.Running() {
			_, err := m.Kill()
			errs = append(errs, err)
		}
	}
	if c.network != nil {
		errs = append(errs, c.network.close())
	}
	for _, m := range c.machines {
		if m.thread != nil {
			m.thread.close()
		}
		if m.Disk != nil {
			errs = append(errs, m.Disk.close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(filepath.Join(c.config.Dir, "disks")))...)
}
