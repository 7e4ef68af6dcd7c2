package peer_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"tally/peer"
	"tally/peer/pipenet"
)

func TestTransportKeepsWhatTheLibraryAsksFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, "n1")
		defer c.close()
		transport := c.ports["n1"].Transport()
		if _, ok := transport.(raft.WithPreVote); !ok {
			t.Error("no pre-vote: a node that was away would end the leader's term when it comes back")
		}
		if _, ok := transport.(raft.WithClose); !ok {
			t.Error("no Close: Raft's shutdown would leave the transport open")
		}
		if got := transport.LocalAddr(); got != "n1:9101" {
			t.Errorf("local address %s, want the advertised one", got)
		}
		// hashicorp/raft#611, #612: a pipeline can stop for ever at a rejected append.
		if _, err := transport.AppendEntriesPipeline("n2", "n2:9101"); err != raft.ErrPipelineReplicationNotSupported {
			t.Errorf("a pipeline: %v", err)
		}
	})
}

// bareTransport is the library's transport without the port, for tests that
// show what the port is for.
func bareTransport(t *testing.T, network *pipenet.Network, id string) *raft.NetworkTransport {
	t.Helper()
	host := network.Host(id)
	l, err := host.Listen(addressOf(id))
	if err != nil {
		t.Fatal(err)
	}
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: bareLayer{l, host}, MaxPool: 3, MaxRPCsInFlight: 1, Timeout: 2 * time.Second, Logger: hclog.NewNullLogger(),
	})
}

type bareLayer struct {
	net.Listener
	host *pipenet.Host
}

func (l bareLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return l.host.Dial(within(timeout), string(address))
}

// TestHeartbeatsTakeTheMainGoroutine: the handler that Raft sets is never used
// (hashicorp/raft#695). The bare transport uses it.
func TestHeartbeatsTakeTheMainGoroutine(t *testing.T) {
	for _, test := range []struct {
		name  string
		bare  bool
		wants string
	}{
		{"the port", false, "consumer"},
		{"the library alone", true, "handler"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				network := pipenet.New()
				n1, n2, end := twoTransports(t, network, test.bare)
				defer end()
				seen := make(chan string, 1)
				done := make(chan struct{})
				defer close(done)
				n2.SetHeartbeatHandler(func(rpc raft.RPC) {
					seen <- "handler"
					rpc.Respond(&raft.AppendEntriesResponse{}, nil)
				})
				go func() {
					select {
					case rpc := <-n2.Consumer():
						seen <- "consumer"
						rpc.Respond(&raft.AppendEntriesResponse{}, nil)
					case <-done:
					}
				}()
				heartbeat := raft.AppendEntriesRequest{RPCHeader: header("n1"), Term: 7}
				if err := n1.AppendEntries("n2", "n2:9101", &heartbeat, &raft.AppendEntriesResponse{}); err != nil {
					t.Fatal(err)
				}
				if got := <-seen; got != test.wants {
					t.Errorf("the heartbeat came to the %s, want the %s", got, test.wants)
				}
			})
		})
	}
}

// TestNoMoreIsCommittedThanSent: a follower of the library believes that all of
// its log is the leader's, up to the commit index that it is told. The end of it
// may be of an old leader.
func TestNoMoreIsCommittedThanSent(t *testing.T) {
	entries := []*raft.Log{{Index: 11, Term: 7}, {Index: 12, Term: 7}}
	for _, test := range []struct {
		name      string
		bare      bool
		entries   []*raft.Log
		commit    uint64
		committed uint64
	}{
		{"entries that end before the commit index", false, entries, 20, 12},
		{"no entries", false, nil, 20, 10},
		{"entries beyond the commit index", false, entries, 11, 11},
		{"the library alone", true, entries, 20, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				n1, n2, end := twoTransports(t, pipenet.New(), test.bare)
				defer end()
				seen := make(chan uint64, 1)
				go func() {
					rpc := <-n2.Consumer()
					seen <- rpc.Command.(*raft.AppendEntriesRequest).LeaderCommitIndex
					rpc.Respond(&raft.AppendEntriesResponse{}, nil)
				}()
				request := raft.AppendEntriesRequest{
					RPCHeader: header("n1"), Term: 7, PrevLogEntry: 10, PrevLogTerm: 7,
					Entries: test.entries, LeaderCommitIndex: test.commit,
				}
				if err := n1.AppendEntries("n2", "n2:9101", &request, &raft.AppendEntriesResponse{}); err != nil {
					t.Fatal(err)
				}
				if got := <-seen; got != test.committed {
					t.Errorf("the follower may commit up to %d, want %d", got, test.committed)
				}
				if request.LeaderCommitIndex != test.commit {
					t.Error("the leader's own request was changed")
				}
			})
		})
	}
}

func header(id string) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(addressOf(id))}
}

func twoTransports(t *testing.T, network *pipenet.Network, bare bool) (n1, n2 raft.Transport, end func()) {
	if bare {
		a, b := bareTransport(t, network, "n1"), bareTransport(t, network, "n2")
		return a, b, func() {
			for _, transport := range []*raft.NetworkTransport{a, b} {
				if err := transport.Close(); err != nil {
					t.Error(err)
				}
			}
			network.Host("n1").Crash()
			network.Host("n2").Crash()
		}
	}
	c := &cluster{t: t, network: network, ports: map[string]*peer.Port{}}
	return c.open("n1", nil).Transport(), c.open("n2", nil).Transport(), c.close
}

// rafts is three Raft nodes in one bubble.
type rafts struct {
	t        *testing.T
	network  *pipenet.Network
	ids      []string
	nodes    map[string]*raft.Raft
	machines map[string]*machine
	gates    map[string]*gate
	stores   map[string]*failingStore
	sends    map[string]raft.Transport // without the gates
	homes    map[string]*homes         // what each node knows of addresses
	ports    map[string]*peer.Port     // empty where the transports are bare
}

func newRafts(t *testing.T, bare bool) *rafts {
	r := &rafts{
		t: t, network: pipenet.New(), ids: []string{"n1", "n2", "n3"},
		nodes: map[string]*raft.Raft{}, machines: map[string]*machine{}, gates: map[string]*gate{},
		stores: map[string]*failingStore{}, sends: map[string]raft.Transport{}, homes: map[string]*homes{}, ports: map[string]*peer.Port{},
	}
	c := &cluster{t: t, network: r.network, ports: r.ports}
	for _, id := range r.ids {
		var transport raft.Transport
		if bare {
			transport = bareTransport(t, r.network, id)
		} else {
			r.homes[id] = &homes{}
			transport = c.open(id, func(config *peer.Config) { config.Resolve = r.homes[id].get }).Transport()
		}
		r.start(id, transport)
	}
	return r
}

func (r *rafts) start(id string, transport raft.Transport) {
	r.t.Helper()
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(id)
	config.Logger = hclog.NewNullLogger()
	config.LeaderLeaseTimeout = config.HeartbeatTimeout
	if r.machines[id] == nil {
		r.machines[id], r.gates[id] = &machine{}, &gate{}
		r.stores[id] = &failingStore{InmemStore: raft.NewInmemStore()}
		var servers []raft.Server
		for _, id := range r.ids {
			servers = append(servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(addressOf(id))})
		}
		err := raft.BootstrapCluster(config, r.stores[id], r.stores[id], raft.NewDiscardSnapshotStore(), transport, raft.Configuration{Servers: servers})
		if err != nil {
			r.t.Fatal(err)
		}
	} else {
		r.machines[id] = &machine{} // memory is gone, the log is not
	}
	node, err := raft.NewRaft(config, r.machines[id], r.stores[id], r.stores[id], raft.NewDiscardSnapshotStore(),
		gatedTransport{transport, transport.(raft.WithPreVote), transport.(raft.WithClose), r.gates[id]})
	if err != nil {
		r.t.Fatal(err)
	}
	r.nodes[id], r.sends[id] = node, transport
}

func (r *rafts) close() {
	for _, id := range r.ids {
		if err := r.nodes[id].Shutdown().Error(); err != nil {
			r.t.Error(err)
		}
	}
	for _, id := range r.ids {
		if port := r.ports[id]; port != nil {
			end(r.t, port)
		}
		r.network.Host(id).Crash()
	}
}

// leader waits for one and returns it and the others.
func (r *rafts) leader() (string, []string) {
	r.t.Helper()
	for range 600 {
		for i, id := range r.ids {
			if r.nodes[id].State() == raft.Leader {
				return id, slices.Concat(r.ids[:i], r.ids[i+1:])
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatal("no leader in a minute")
	return "", nil
}

// converged waits until all machines hold the same, this entry last.
func (r *rafts) converged(last string) bool {
	r.t.Helper()
	for range 100 {
		same := true
		for _, id := range r.ids {
			entries := r.machines[id].all()
			same = same && len(entries) > 0 && entries[len(entries)-1] == last && slices.Equal(entries, r.machines["n1"].all())
		}
		if same {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

func (r *rafts) apply(id, entry string) {
	r.t.Helper()
	if err := r.nodes[id].Apply([]byte(entry), time.Second).Error(); err != nil {
		r.t.Fatalf("%s does not apply %q: %v", id, entry, err)
	}
}

func (r *rafts) String() (s string) {
	for _, id := range r.ids {
		s += fmt.Sprintf("%s: %v; ", id, r.machines[id].all())
	}
	return s
}

// homes is where nodes live now, of those that do not live where Raft's
// configuration says.
type homes struct{ byID sync.Map }

func (h *homes) set(id, addr string) { h.byID.Store(id, addr) }

func (h *homes) get(id string) (string, bool) {
	addr, ok := h.byID.Load(id)
	if !ok {
		return "", false
	}
	return addr.(string), true
}

// machine remembers what it applied.
type machine struct {
	mu      sync.Mutex
	entries []string
}

func (m *machine) Apply(log *raft.Log) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, string(log.Data))
	return nil
}

func (m *machine) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries)
}

func (m *machine) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no snapshots") }
func (m *machine) Restore(io.ReadCloser) error         { return errors.New("no snapshots") }

// failingStore refuses as many appends as it is told to.
type failingStore struct {
	*raft.InmemStore
	failures atomic.Int64
}

func (s *failingStore) StoreLogs(logs []*raft.Log) error {
	if s.failures.Load() > 0 {
		s.failures.Add(-1)
		return errors.New("the disk says no")
	}
	return s.InmemStore.StoreLogs(logs)
}

// gate holds up or refuses what one node sends.
type gate struct {
	mu   sync.Mutex
	pass func(to raft.ServerID, request any) error // may block; nil lets all pass
}

func (g *gate) set(pass func(to raft.ServerID, request any) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass = pass
}

func (g *gate) wait(to raft.ServerID, request any) error {
	g.mu.Lock()
	pass := g.pass
	g.mu.Unlock()
	if pass == nil {
		return nil
	}
	return pass(to, request)
}

type gatedTransport struct {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
	gate *gate
}

func (g gatedTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := g.gate.wait(id, args); err != nil {
		return err
	}
	return g.Transport.AppendEntries(id, target, args, resp)
}

func (g gatedTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := g.gate.wait(id, args); err != nil {
		return err
	}
	return g.Transport.RequestVote(id, target, args, resp)
}

func isHeartbeat(request any) bool {
	r, ok := request.(*raft.AppendEntriesRequest)
	return ok && r.PrevLogEntry == 0 && r.PrevLogTerm == 0 && len(r.Entries) == 0 && r.LeaderCommitIndex == 0
}

// TestDeposedLeaderDoesNotWriteUnderTheNewTerm is hashicorp/raft#695, step by
// step: a new leader is elected behind the back of the old one, whose lease has
// not ended; the new leader's heartbeat is the first that the old one hears of
// it; and right then a client asks the old leader for a change.
//
// With the library's transport alone the old leader writes that change at the
// index and under the term of an entry of the new leader, and keeps it for ever.
func TestDeposedLeaderDoesNotWriteUnderTheNewTerm(t *testing.T) {
	for _, test := range []struct {
		name     string
		bare     bool
		diverges bool
	}{
		{"the port", false, false},
		{"the library alone", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := newRafts(t, test.bare)
				defer r.close()
				old, others := r.leader()
				next := others[0]
				r.apply(old, "first")
				if !r.converged("first") {
					t.Fatal(r)
				}
				r.electBehindTheBackOf(old, next, func(letHeartbeatsPass, letAllPass func()) {
					r.apply(next, "new leader's")
					letHeartbeatsPass()
					time.Sleep(200 * time.Millisecond) // one heartbeat arrives
					synctest.Wait()
					err := r.nodes[old].Apply([]byte("old leader's"), time.Second).Error()
					if err == nil {
						t.Error("a deposed leader acknowledged a change")
					}
					letAllPass()
				})
				leader, _ := r.leader()
				r.apply(leader, "last")
				if same := r.converged("last"); same == test.diverges {
					t.Errorf("replicas are equal: %v; %v", same, r)
				}
			})
		})
	}
}

// electBehindTheBackOf makes next the leader of a new term while old hears
// nothing from it. Then it runs f, which says when heartbeats, and when all
// else, may pass from next to old.
func (r *rafts) electBehindTheBackOf(old, next string, f func(letHeartbeatsPass, letAllPass func())) {
	r.t.Helper()
	heartbeats, entries := make(chan struct{}), make(chan struct{})
	r.gates[old].set(func(raft.ServerID, any) error { return errors.New("held back") })
	r.gates[next].set(func(to raft.ServerID, request any) error {
		_, isVote := request.(*raft.RequestVoteRequest)
		switch {
		case to != raft.ServerID(old):
		case isVote:
			return errors.New("held back")
		case isHeartbeat(request):
			<-heartbeats
		default:
			<-entries
		}
		return nil
	})
	// What a hand-over of leadership sends last: next need not wait for a time-out.
	timeoutNow := raft.TimeoutNowRequest{RPCHeader: header(old)}
	if err := r.sends[old].TimeoutNow(raft.ServerID(next), raft.ServerAddress(addressOf(next)), &timeoutNow, &raft.TimeoutNowResponse{}); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if r.nodes[next].State() != raft.Leader || r.nodes[old].State() != raft.Leader {
		r.t.Fatalf("there should be two leaders: %s is %v, %s is %v", old, r.nodes[old].State(), next, r.nodes[next].State())
	}
	f(func() { close(heartbeats) }, func() {
		close(entries)
		r.gates[old].set(nil)
	})
}

// TestRejectedAppendsDoNotStopReplication: after a follower could not store
// entries it catches up (hashicorp/raft#611, #612).
func TestRejectedAppendsDoNotStopReplication(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRafts(t, false)
		defer r.close()
		leader, others := r.leader()
		r.apply(leader, "first")
		for round := range 20 {
			r.stores[others[0]].failures.Store(3)
			for i := range 50 {
				r.nodes[leader].Apply(fmt.Appendf(nil, "%d.%d", round, i), 0)
			}
			time.Sleep(time.Second)
		}
		r.apply(leader, "last")
		if !r.converged("last") {
			t.Error(r)
		}
	})
}

// TestRaftFindsANodeThatMoved: Raft's configuration keeps the old address.
func TestRaftFindsANodeThatMoved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRafts(t, false)
		defer r.close()
		leader, others := r.leader()
		moved := others[0]
		r.apply(leader, "first")
		if err := r.nodes[moved].Shutdown().Error(); err != nil {
			t.Fatal(err)
		}
		end(t, r.ports[moved])
		r.apply(leader, "while it was away")

		// Another node, of the same cluster, got its address.
		c := &cluster{t: t, network: r.network, ports: map[string]*peer.Port{}}
		c.open("n9", func(config *peer.Config) {
			config.Network, config.ListenAddr = r.network.Host(moved), addressOf(moved)
		})
		defer c.close()
		stranger := countRaftRequests(c.ports["n9"].Transport())
		time.Sleep(10 * time.Second)

		for _, id := range r.ids {
			r.homes[id].set(moved, "elsewhere:1")
		}
		c = &cluster{t: t, network: r.network, ports: r.ports}
		port := c.open(moved, func(config *peer.Config) {
			config.Network, config.ListenAddr = r.network.Host("elsewhere"), "elsewhere:1"
		})
		r.start(moved, port.Transport())
		leader, _ = r.leader()
		r.apply(leader, "last")
		if !r.converged("last") {
			t.Error(r)
		}
		if n := stranger(); n != 0 {
			t.Errorf("%d requests came to the node at the old address", n)
		}
	})
}

// TestRaftSurvivesPartitions elects and replicates over ports while the leader
// is cut off, again and again.
func TestRaftSurvivesPartitions(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRafts(t, false)
		defer r.close()
		for round := range 10 {
			old, others := r.leader()
			r.apply(old, fmt.Sprint("before ", round))
			before := r.network.Traffic(old, others[0])
			r.network.Partition([]string{old}, others)
			time.Sleep(10 * time.Second)
			if now := r.network.Traffic(old, others[0]); now.Stalled+now.Waited == before.Stalled+before.Waited {
				t.Fatalf("the partition of %s was not felt: %s", old, r.network)
			}
			leader, _ := r.leader()
			if leader == old {
				t.Fatalf("%s leads in the minority", old)
			}
			r.apply(leader, fmt.Sprint("during ", round))
			r.network.HealAll()
			if !r.converged(fmt.Sprint("during ", round)) {
				t.Fatal(r)
			}
		}
	})
}
