//go:build linux

package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Machine is where a node runs. Its address, disk and clock stay for the whole
// run; the node on it may be another one after its removal.
type Machine struct {
	Name string // m1, m2, ...
	Disk *Disk

	cluster  *Cluster
	thread   *thread   // starts its nodes, in the machine's network namespace
	firewall *firewall // nil on the loopback interface

	host   string // its address
	http   string // host:port of the node for clients
	peer   string // host:port that other nodes dial
	listen string // host:port where the node listens for them; peer, unless a proxy is there

	mu      sync.Mutex
	node    string // the ID of the node that runs or ran here last
	join    bool   // the node came after the founding
	current *process
	ended   []*process // those before it
}

// Node is the ID of the node on the machine.
func (m *Machine) Node() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// URL is where clients reach the node.
func (m *Machine) URL() string { return "http://" + m.http }

// PeerAddr is where other nodes reach the node.
func (m *Machine) PeerAddr() string { return m.peer }

// LogPath is the file with everything the machine's nodes have written.
func (m *Machine) LogPath() string { return filepath.Join(m.cluster.config.Dir, "logs", m.Name+".log") }

// JournalPath is the file with what a node has applied.
func (c *Cluster) JournalPath(node string) string {
	return filepath.Join(c.config.Dir, "journals", node+".jsonl")
}

func (m *Machine) clockPath() string { return filepath.Join(m.cluster.config.Dir, "clocks", m.Name) }

// PID is the process that runs, 0 if there is none.
func (m *Machine) PID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == nil || m.current.ended() {
		return 0
	}
	return m.current.pid
}

// Running says whether a node runs, be it paused.
func (m *Machine) Running() bool { return m.PID() != 0 }

// State is that of the process as in proc(5), T for paused; 0 if there is none.
func (m *Machine) State() byte {
	if pid := m.PID(); pid != 0 {
		return processState(pid)
	}
	return 0
}

// Start starts the node unless it runs. It does not wait until it serves.
func (m *Machine) Start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != nil {
		if !m.current.ended() {
			return nil
		}
		m.ended = append(m.ended, m.current)
		m.current = nil
	}
	if err := m.Disk.Mount(); err != nil {
		return err // without it the node would store on the machine that all share
	}
	if err := os.MkdirAll(m.Disk.Dir(), 0o755); err != nil {
		return err
	}
	env := append(cleanEnvironment(), EnvJournal+"="+m.cluster.JournalPath(m.node), EnvClock+"="+m.clockPath())
	p, err := launch(m.thread, m.LogPath(), env, m.commandLocked(), Exit{Machine: m.Name, Node: m.node})
	if err != nil {
		return err
	}
	m.current = p
	return nil
}

// commandLocked is the node's command line.
func (m *Machine) commandLocked() []string {
	c := m.cluster
	args := []string{
		c.config.Binary,
		"--node-id", m.node, "--data-dir", m.Disk.Dir(), "--insecure",
		"--http-addr", m.http, "--peer-addr", m.listen, "--advertise-peer-addr", m.peer,
	}
	if m.join {
		for _, other := range c.machines {
			if other != m {
				args = append(args, "--join", other.peer)
			}
		}
	} else {
		args = append(args, "--initial-cluster", c.founders)
	}
	return append(args, c.config.Flags...)
}

// cleanEnvironment is ours without settings for nodes.
func cleanEnvironment() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "TALLY_") && !strings.HasPrefix(entry, "JEPSEN_") {
			env = append(env, entry)
		}
	}
	return env
}

// running returns the process that runs, and says that its end is expected if
// it is.
func (m *Machine) running(endExpected bool) (*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == nil || m.current.ended() {
		return nil, fmt.Errorf("%s: %w", m.Name, errNoProcess)
	}
	if endExpected {
		m.current.expect(true)
	}
	return m.current, nil
}

// Kill ends the node with SIGKILL and waits for its end. A machine without a
// node has an error, and so has one whose process ended in another way.
func (m *Machine) Kill() (Exit, error) {
	p, err := m.running(true)
	if err != nil {
		return Exit{}, err
	}
	// A process that is just ending by itself cannot be signalled; it is waited
	// for all the same, so that after this nothing runs.
	if err := p.signal(syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return Exit{}, err
	}
	exit, err := m.await(p, 10*time.Second)
	if err == nil && exit.Signal != syscall.SIGKILL {
		err = fmt.Errorf("instead of being killed, %v", exit)
	}
	return exit, err
}

// Stop asks the node to end cleanly and waits for its end.
func (m *Machine) Stop() (Exit, error) {
	p, err := m.running(true)
	if err != nil {
		return Exit{}, err
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return Exit{}, err
	}
	return m.await(p, 20*time.Second)
}

// Pause stops the node's process where it is.
func (m *Machine) Pause() error { return m.send(syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (m *Machine) Resume() error { return m.send(syscall.SIGCONT) }

func (m *Machine) send(s syscall.Signal) error {
	p, err := m.running(false)
	if err != nil {
		return err
	}
	return p.signal(s)
}

// ExpectEnd says that what is done to the machine may end its node, or that this
// is over.
func (m *Machine) ExpectEnd(expected bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != nil {
		m.current.expect(expected)
	}
}

// AwaitEnd waits until the node ends by itself; the error is that it did not.
func (m *Machine) AwaitEnd(limit time.Duration) (Exit, error) {
	m.mu.Lock()
	p := m.current
	m.mu.Unlock()
	if p == nil {
		return Exit{}, fmt.Errorf("%s: %w", m.Name, errNoProcess)
	}
	return m.await(p, limit)
}

func (m *Machine) await(p *process, limit time.Duration) (Exit, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.exit, nil
	case <-timer.C:
		return Exit{}, fmt.Errorf("pid %d on %s has not ended within %v", p.pid, m.Name, limit)
	}
}

// Replace gives the machine an empty disk and another node: it joins the cluster
// under an ID that no node has had.
func (m *Machine) Replace() error {
	if m.Running() {
		return fmt.Errorf("%s still runs on %s", m.Node(), m.Name)
	}
	if err := m.Disk.Wipe(); err != nil {
		return err
	}
	id := m.cluster.nextNode()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node, m.join = id, true
	return nil
}

// SetClock makes the node's wall clock wrong by an offset, from now on.
func (m *Machine) SetClock(offset time.Duration) error {
	// Written aside and renamed: the node may read at any time.
	aside := m.clockPath() + ".new"
	if err := os.WriteFile(aside, []byte(strconv.FormatInt(offset.Milliseconds(), 10)), 0o644); err != nil {
		return err
	}
	return os.Rename(aside, m.clockPath())
}

// AwaitReady waits until the node says that it is ready.
func (m *Machine) AwaitReady(ctx context.Context) error {
	for {
		if !m.Running() {
			return fmt.Errorf("%s on %s does not run", m.Node(), m.Name)
		}
		err := m.cluster.client.ready(ctx, m)
		if err == nil {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%s on %s is not ready: %w", m.Node(), m.Name, err)
		}
	}
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
