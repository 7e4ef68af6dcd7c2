package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"tally/jepsen-lite/history"
)

// Node is a node of the cluster as clients reach it.
type Node struct {
	ID  string
	URL string
}

// Config says what is sent to whom.
type Config struct {
	// Nodes returns the members of the present, dead or alive. Clients of a node
	// begin when it appears and end when it is gone.
	Nodes func() []Node
	// Recorder takes the history.
	Recorder *history.Recorder
	// Seed decides what is sent. When and in which order follows from the cluster too.
	Seed uint64
	// Rate is how many requests a second are sent altogether; 0 is as many as are answered.
	Rate float64
	// Clients is how many clients each workload has at each node; 0 means 1.
	Clients int
	// Names are the workloads; none means all.
	Names []string
	// Timeout is how long a client waits for an answer; 0 means 7 s. It should be
	// longer than the nodes' request timeout, or the nodes can never tell.
	Timeout time.Duration
	// Dial makes connections to the nodes; nil means over the network of the machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OperationsPerGroup is after how many requests a group is given up; 0 means 150.
	OperationsPerGroup int
}

// traffic is one workload. turn sends one request, or a few that belong
// together, and may keep what it learns; many clients call it at once.
type traffic interface {
	turn(ctx context.Context, c *client)
}

// Names returns all workloads in the order of the documentation.
func Names() []string {
	return []string{"register", "counter", "ticket", "retry", "several", "batch", "watch", "limit", "edges"}
}

// Suite is the traffic of one run: Run while faults are made, and FinalReads
// once, when they are healed.
type Suite struct {
	config   Config
	pace     *pace
	groups   *groups
	traffic  map[string]traffic
	watchers []*watcher
}

// New returns a suite that has sent nothing.
func New(config Config) (*Suite, error) {
	if config.Clients == 0 {
		config.Clients = 1
	}
	if config.Timeout == 0 {
		config.Timeout = 7 * time.Second
	}
	if config.OperationsPerGroup == 0 {
		config.OperationsPerGroup = 150
	}
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	if len(config.Names) == 0 {
		config.Names = Names()
	}
	if config.Nodes == nil || config.Recorder == nil {
		return nil, errors.New("a suite needs nodes and a recorder")
	}
	s := &Suite{config: config, pace: newPace(config.Rate), groups: newGroups(config.OperationsPerGroup), traffic: map[string]traffic{}}
	for _, name := range config.Names {
		t, err := s.newTraffic(name)
		if err != nil {
			return nil, err
		}
		s.traffic[name] = t
	}
	return s, nil
}

func (s *Suite) newTraffic(name string) (traffic, error) {
	switch name {
	case "register":
		return newRegister(s.groups), nil
	case "counter":
		return &counting{groups: s.groups}, nil
	case "ticket":
		return &ticket{groups: s.groups}, nil
	case "retry":
		return newRetry(s), nil
	case "several":
		return &several{groups: s.groups}, nil
	case "batch":
		return &batch{groups: s.groups}, nil
	case "watch":
		s.watchers = newWatchers(s)
		return &watched{}, nil
	case "limit":
		return &limited{groups: s.groups}, nil
	case "edges":
		return &edges{groups: s.groups}, nil
	}
	return nil, fmt.Errorf("there is no workload %q; there are %v", name, Names())
}

// SetRate changes Config.Rate while the suite runs.
func (s *Suite) SetRate(rate float64) { s.pace.set(rate) }

// nodesInterval is how often the nodes of the present are asked for.
const nodesInterval = 100 * time.Millisecond

// Run sends requests until ctx ends, and returns when the last of them has its
// answer or has been given up. The error is that of the recorder.
func (s *Suite) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, w := range s.watchers {
		running.Go(func() { w.run(ctx) })
	}
	running.Go(func() { s.sampleHashes(ctx) })
	crews := map[Node]context.CancelFunc{}
	for number := 0; ctx.Err() == nil && s.config.Recorder.Err() == nil; sleep(ctx, nodesInterval) {
		present := s.config.Nodes()
		for node, dismiss := range crews {
			if !slices.Contains(present, node) {
				dismiss()
				delete(crews, node)
			}
		}
		for _, node := range present {
			if crews[node] == nil {
				number++
				crews[node] = s.hire(ctx, node, number, &running)
			}
		}
	}
	for _, dismiss := range crews {
		dismiss()
	}
	running.Wait()
	return s.config.Recorder.Err()
}

// laneClients is how many clients of one node are in one lane.
const laneClients = 2

// hire starts the clients of a node.
func (s *Suite) hire(ctx context.Context, node Node, number int, running *sync.WaitGroup) context.CancelFunc {
	ctx, dismiss := context.WithCancel(ctx)
	transport := s.newTransport()
	var crew sync.WaitGroup
	for at, name := range s.config.Names {
		for i := range s.config.Clients {
			random := rand.New(rand.NewPCG(s.config.Seed, uint64(number)<<32|uint64(at)<<16|uint64(i)))
			c := s.newClient(lane{name, i / laneClients}, node, transport, random)
			crew.Go(func() { s.employ(ctx, c) })
		}
	}
	running.Go(func() {
		crew.Wait()
		transport.CloseIdleConnections()
	})
	return dismiss
}

// employ lets a client send until ctx ends. An operation that is under way then
// is answered or given up first.
func (s *Suite) employ(ctx context.Context, c *client) {
	for s.config.Recorder.Err() == nil && s.pace.wait(ctx) == nil {
		s.traffic[c.lane.workload].turn(ctx, c)
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
