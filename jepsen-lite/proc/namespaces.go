//go:build linux

package proc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"tally/jepsen-lite/proxy"
)

// namespaces is the network of a run that has a network namespace of its own: a
// bridge in it, and for each machine a namespace with one end of a veth pair.
// Machines are 10.77.0.11 and up, clients and proxies are 10.77.0.1. None of it
// can be reached from outside, and all of it goes with the run.
type namespaces struct {
	mu  sync.Mutex
	seq int // names of rules, so that faults at the same time do not meet
}

const (
	bridge        = "tallybr"
	clientAddress = "10.77.0.1"
)

func openNamespaces() (*namespaces, error) {
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge"},
		{"addr", "add", clientAddress + "/24", "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if err := run("ip", args...); err != nil {
			return nil, err
		}
	}
	return &namespaces{}, nil
}

func (n *namespaces) attach(m *Machine, number int) (err error) {
	if m.thread, err = startThread(true); err != nil {
		return err
	}
	m.host = fmt.Sprintf("10.77.0.%d", 10+number)
	m.http, m.peer, m.listen = hostPort(m.host, httpPort), hostPort(m.host, peerPort), hostPort(m.host, peerPort)
	veth := "tally" + m.Name
	namespace, err := m.thread.namespaceID()
	if err != nil {
		return err
	}
	if err := errors.Join(
		run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", namespace),
		run("ip", "link", "set", veth, "master", bridge, "up"),
	); err != nil {
		return err
	}
	m.thread.do(func() {
		err = errors.Join(
			run("ip", "link", "set", "lo", "up"),
			run("ip", "addr", "add", m.host+"/24", "dev", "eth0"),
			run("ip", "link", "set", "eth0", "up"),
		)
	})
	if err != nil {
		return err
	}
	m.firewall, err = openFirewall(m.thread)
	return err
}

func (n *namespaces) name(kind string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seq++
	return fmt.Sprintf("%s-%d", kind, n.seq)
}

func (n *namespaces) drop(links []Link, percent int) (Disturbance, error) {
	rules := &ruleSet{name: n.name("drop")}
	for _, l := range links {
		match := "ip saddr " + l.From.host
		if percent < 100 {
			match += fmt.Sprintf(" numgen random mod 100 < %d", percent)
		}
		if err := rules.add(l.To, l.String(), match, "drop"); err != nil {
			return nil, errors.Join(err, rules.Heal())
		}
	}
	return rules, nil
}

func (n *namespaces) dropClients(machines []*Machine) (Disturbance, error) {
	rules := &ruleSet{name: n.name("clients")}
	for _, m := range machines {
		match := fmt.Sprintf("ip saddr %s tcp dport %d", clientAddress, httpPort)
		if err := rules.add(m, "clients->"+m.Name, match, "drop"); err != nil {
			return nil, errors.Join(err, rules.Heal())
		}
	}
	return rules, nil
}

// ruleSet is a disturbance made of rules that drop packets.
type ruleSet struct {
	name string

	mu    sync.Mutex
	rules []placedRule
}

type placedRule struct {
	machine *Machine
	label   string
	name    string
}

func (r *ruleSet) add(m *Machine, label, match, verdict string) error {
	name := fmt.Sprintf("%s-%d", r.name, len(r.rules))
	if err := m.firewall.add(name, "in", match, verdict); err != nil {
		return err
	}
	r.rules = append(r.rules, placedRule{m, label, name})
	return nil
}

func (r *ruleSet) Evidence() (Evidence, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := Evidence{}
	for _, placed := range r.rules {
		packets, err := placed.machine.firewall.packets(placed.name)
		if err != nil {
			return nil, err
		}
		if packets > 0 {
			found[placed.label+" packets dropped:"] += packets
		}
	}
	return found, nil
}

func (r *ruleSet) Heal() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, placed := range r.rules {
		errs = append(errs, placed.machine.firewall.remove(placed.name))
	}
	r.rules = nil
	return errors.Join(errs...)
}

// disturb leads the links' connections through proxies in the run's own
// namespace. Connections that exist are reset, so that new ones are made.
func (n *namespaces) disturb(links []Link, conditions proxy.Conditions) (Disturbance, error) {
	d := &detours{name: n.name("detour")}
	for _, l := range links {
		if err := d.add(l, conditions); err != nil {
			return nil, errors.Join(err, d.Heal())
		}
	}
	return d, nil
}

// detours is a disturbance made of proxies, one for each link.
type detours struct {
	name string

	mu      sync.Mutex
	proxies []detour
}

type detour struct {
	link  Link
	proxy *proxy.Proxy
}

func (d *detours) add(l Link, conditions proxy.Conditions) error {
	p, err := proxy.Open(proxy.Config{
		Listen: net.JoinHostPort(clientAddress, "0"),
		Target: l.To.peer,
		Judge:  func(net.Addr) proxy.Conditions { return conditions },
	})
	if err != nil {
		return err
	}
	d.proxies = append(d.proxies, detour{l, p})
	_, port, err := net.SplitHostPort(p.Addr().String())
	if err != nil {
		return err
	}
	return errors.Join(
		l.From.firewall.add(d.name, "detour", fmt.Sprintf("ip daddr %s tcp dport %d", l.To.host, peerPort),
			"dnat ip to "+clientAddress+":"+port),
		// What still comes directly is of a connection that was there before. The
		// resets of the other side must pass.
		l.To.firewall.add(d.name, "in", fmt.Sprintf("ip saddr %s tcp dport %d tcp flags & rst == 0x0", l.From.host, peerPort),
			"reject with tcp reset"),
	)
}

func (d *detours) Evidence() (Evidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := Evidence{}
	for _, detour := range d.proxies {
		found.addStats(detour.link.String(), detour.proxy.Stats())
	}
	return found, nil
}

// addStats adds what a proxy did.
func (e Evidence) addStats(link string, s proxy.Stats) {
	for what, times := range map[string]int{
		" pieces delayed:": s.Delayed, " reads withheld:": s.Withheld,
		" connections reset:": s.Resets, " ghosts opened:": s.Ghosts,
	} {
		if times > 0 {
			e[link+what] += times
		}
	}
}

func (d *detours) Heal() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, detour := range d.proxies {
		errs = append(errs, detour.link.From.firewall.remove(d.name), detour.link.To.firewall.remove(d.name), detour.proxy.Close())
	}
	d.proxies = nil
	return errors.Join(errs...)
}

// close has nothing to do: the kernel takes the namespaces away with the last
// process in them. The machines end theirs.
func (n *namespaces) close() error { return nil }

// namespaceID names the thread's network namespace for ip(8), which takes the ID
// of a process or a thread in it.
func (t *thread) namespaceID() (id string, err error) {
	t.do(func() {
		var target string
		if target, err = os.Readlink("/proc/thread-self"); err == nil {
			id = filepath.Base(target)
			_, err = strconv.Atoi(id)
		}
	})
	return id, err
}
