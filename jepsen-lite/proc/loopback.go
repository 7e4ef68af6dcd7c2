//go:build linux

package proc

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tally/jepsen-lite/proxy"
)

// loopback is the network of a run without rights: every machine has an address
// of the loopback interface, and all that goes between nodes passes through a
// proxy for each machine, always.
type loopback struct {
	mu       sync.Mutex
	machines []*Machine
	proxies  map[*Machine]*proxy.Proxy
	active   map[*conditionSet]bool
	owners   map[string]*Machine // who dials from an address, since the last disturbance began
}

func openLoopback() *loopback {
	return &loopback{proxies: map[*Machine]*proxy.Proxy{}, active: map[*conditionSet]bool{}}
}

func (n *loopback) attach(m *Machine, number int) (err error) {
	if m.thread, err = startThread(false); err != nil {
		return err
	}
	m.host = fmt.Sprintf("127.77.%d.%d", os.Getpid()%200+1, 10+number)
	m.http, m.listen = hostPort(m.host, httpPort), hostPort(m.host, peerPort+1)
	m.peer = hostPort(m.host, peerPort)
	p, err := proxy.Open(proxy.Config{
		Listen: m.peer, Target: m.listen,
		Judge:    func(from net.Addr) proxy.Conditions { return n.judge(from, m) },
		Withheld: func(from net.Addr, way proxy.Direction) { n.withheld(from, m, way) },
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.machines = append(n.machines, m)
	n.proxies[m] = p
	return nil
}

// judge finds out who dials and what is done to that link now.
func (n *loopback) judge(from net.Addr, to *Machine) proxy.Conditions {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.active) == 0 {
		return proxy.Conditions{}
	}
	dialer := n.ownerLocked(from)
	var sum proxy.Conditions
	for set := range n.active {
		for _, l := range set.links {
			switch {
			case l.From == dialer && l.To == to:
				sum = set.combine(sum, proxy.Forward)
			case set.cut && l.From == to && l.To == dialer:
				sum = set.combine(sum, proxy.Back)
			}
		}
	}
	return sum
}

// withheld takes note of a link that has felt a cut.
func (n *loopback) withheld(from net.Addr, to *Machine, way proxy.Direction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	link := Link{n.ownerLocked(from), to}
	if way == proxy.Back {
		link = Link{to, link.From}
	}
	for set := range n.active {
		if set.cut && slices.Contains(set.links, link) {
			set.felt[link.String()+" reads withheld:"]++
		}
	}
}

// ownerLocked finds the machine whose node has a socket with a local address:
// all of them dial from the same address of the loopback interface.
func (n *loopback) ownerLocked(local net.Addr) *Machine {
	if m := n.owners[local.String()]; m != nil {
		return m
	}
	inode := socketInode(local)
	if inode == "" {
		return nil
	}
	for _, m := range n.machines {
		if pid := m.PID(); pid != 0 && hasSocket(pid, inode) {
			n.owners[local.String()] = m
			return m
		}
	}
	return nil
}

// socketInode finds a connection by its local address in /proc/net/tcp.
func socketInode(local net.Addr) string {
	tcp, ok := local.(*net.TCPAddr)
	if !ok || tcp.IP.To4() == nil {
		return ""
	}
	ip := tcp.IP.To4()
	wanted := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(table)) {
		// sl local_address rem_address st queues timers retransmits uid timeout inode
		if fields := strings.Fields(line); len(fields) > 9 && fields[1] == wanted {
			return fields[9]
		}
	}
	return ""
}

func hasSocket(pid int, inode string) bool {
	links, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil {
		return false
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}

// conditionSet is a disturbance of links whose proxies are there anyway.
type conditionSet struct {
	network    *loopback
	links      []Link
	conditions proxy.Conditions
	cut        bool                     // a stall in the direction of the link, whoever dialed
	before     map[*Machine]proxy.Stats // when it began
	felt       Evidence                 // of a cut, by link
}

func (s *conditionSet) combine(sum proxy.Conditions, way proxy.Direction) proxy.Conditions {
	if s.cut {
		sum.Stall |= way
		return sum
	}
	stall := sum.Stall
	sum = s.conditions
	sum.Stall |= stall
	return sum
}

func (n *loopback) begin(s *conditionSet) Disturbance {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.network = n
	s.before, s.felt = map[*Machine]proxy.Stats{}, Evidence{}
	for m, p := range n.proxies {
		s.before[m] = p.Stats()
	}
	n.owners = map[string]*Machine{}
	n.active[s] = true
	return s
}

var errNeedsNamespaces = errors.New("this needs a network namespace, and so root")

func (n *loopback) drop(links []Link, percent int) (Disturbance, error) {
	if percent < 100 {
		return nil, errNeedsNamespaces
	}
	return n.begin(&conditionSet{links: links, cut: true}), nil
}

func (n *loopback) dropClients([]*Machine) (Disturbance, error) { return nil, errNeedsNamespaces }

func (n *loopback) disturb(links []Link, conditions proxy.Conditions) (Disturbance, error) {
	s := n.begin(&conditionSet{links: links, conditions: conditions})
	// Ghosts and resets are decided when a connection begins.
	for _, l := range links {
		n.proxies[l.To].ResetAll()
	}
	return s, nil
}

func (s *conditionSet) Evidence() (Evidence, error) {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	if s.cut {
		return maps.Clone(s.felt), nil
	}
	found := Evidence{}
	for m, before := range s.before {
		now := s.network.proxies[m].Stats()
		found.addStats("to "+m.Name, proxy.Stats{
			Delayed: now.Delayed - before.Delayed, Withheld: now.Withheld - before.Withheld,
			Resets: now.Resets - before.Resets, Ghosts: now.Ghosts - before.Ghosts,
		})
	}
	return found, nil
}

func (s *conditionSet) Heal() error {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	delete(s.network.active, s)
	return nil
}

func (n *loopback) close() error {
	n.mu.Lock()
	proxies := n.proxies
	n.proxies = map[*Machine]*proxy.Proxy{}
	n.mu.Unlock()
	var errs []error
	for _, p := range proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
