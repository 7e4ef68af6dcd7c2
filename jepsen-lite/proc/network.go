//go:build linux

package proc

import (
	"fmt"
	"net"
	"sort"
	"strings"

	"tally/jepsen-lite/proxy"
)

// Link is one direction between two machines: what From sends to To.
type Link struct{ From, To *Machine }

func (l Link) String() string { return l.From.Name + "->" + l.To.Name }

// Disturbance is something done to links until it is healed.
type Disturbance interface {
	// Evidence says for each link what the disturbance did to it; a link without
	// an entry has felt nothing yet.
	Evidence() (Evidence, error)
	// Heal ends it. It may be called again.
	Heal() error
}

// Evidence is how often a disturbance was felt, by what it was done to: packets
// dropped on a link, bytes delayed.
type Evidence map[string]int

// Times is how often it was felt in all places together.
func (e Evidence) Times() int {
	sum := 0
	for _, times := range e {
		sum += times
	}
	return sum
}

func (e Evidence) String() string {
	parts := make([]string, 0, len(e))
	for what, times := range e {
		parts = append(parts, fmt.Sprintf("%s %d", what, times))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// network is how machines reach each other, and how that is disturbed.
type network interface {
	// attach gives a machine its address.
	attach(m *Machine, number int) error
	// drop loses a percentage of the packets on links; 100 is a cut.
	drop(links []Link, percent int) (Disturbance, error)
	// dropClients loses every packet that clients send to machines.
	dropClients(machines []*Machine) (Disturbance, error)
	// disturb sends what passes on links through proxies.
	disturb(links []Link, conditions proxy.Conditions) (Disturbance, error)
	// close takes everything away.
	close() error
}

// The ports of every node; on the loopback interface each machine has others.
const (
	httpPort = 8101
	peerPort = 9101
)

func hostPort(host string, port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }
