package workload_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"tally/fsm"
	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/journal"
	"tally/jepsen-lite/workload"
	"tally/node"
)

// cluster is three nodes of this process on loopback, with journals.
type cluster struct {
	dir     string // the run's folder
	members []node.Member
	urls    map[string]string
	nodes   map[string]*node.Node
	journal map[string]*journal.Journal
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), urls: map[string]string{}, nodes: map[string]*node.Node{}, journal: map[string]*journal.Journal{}}
	if err := os.Mkdir(filepath.Join(c.dir, checker.JournalsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		id := fmt.Sprintf("n%d", i+1)
		c.members = append(c.members, node.Member{ID: id, PeerAddr: freeAddr(t)})
		c.urls[id] = "http://" + freeAddr(t)
	}
	for _, m := range c.members {
		c.start(t, m.ID)
	}
	t.Cleanup(func() {
		for id := range c.nodes {
			c.stop(t, id)
		}
	})
	for id := range c.nodes {
		c.waitReady(t, id)
	}
	return c
}

func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start opens a node as the test build does, with a log so short that a node
// that was away needs a snapshot.
func (c *cluster) start(t *testing.T, id string) {
	t.Helper()
	j, err := journal.Open(filepath.Join(c.dir, checker.JournalsDir, id+".jsonl"), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	c.journal[id] = j
	config := node.Default()
	config.NodeID = id
	config.DataDir = filepath.Join(c.dir, id)
	config.HTTPAddr = c.urls[id][len("http://"):]
	for _, m := range c.members {
		if m.ID == id {
			config.PeerAddr = m.PeerAddr
		}
	}
	config.InitialCluster = c.members
	config.SnapshotThreshold, config.TrailingLogs, config.SnapshotInterval = 200, 50, 100*time.Millisecond
	config.WatchEventsMax = 200
	config.DiskReserveBytes = 0
	config.Observe = func(machine *fsm.Machine) raft.FSM { return j.Observe(machine) }
	config.Fatal = func(err error) { t.Errorf("%s ended itself: %v", id, err) }
	if c.nodes[id], err = node.Open(config); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) stop(t *testing.T, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(c.nodes[id].Close(ctx), c.journal[id].Close()); err != nil {
		t.Errorf("%s: %v", id, err)
	}
	delete(c.nodes, id)
}

func (c *cluster) waitReady(t *testing.T, id string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(c.urls[id] + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not become ready: %v", id, err)
		}
	}
}

func (c *cluster) present() []workload.Node {
	var list []workload.Node
	for _, m := range c.members {
		list = append(list, workload.Node{ID: m.ID, URL: c.urls[m.ID]})
	}
	return list
}

// TestRun lets all workloads run against a cluster of which one node after the
// other is stopped for a while, and has the run checked.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs for some seconds")
	}
	c := startCluster(t)
	recorder, err := history.Open(filepath.Join(c.dir, checker.HistoryFile), history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	recorder.Begin(history.Run{Seed: 1, Nodes: []string{"n1", "n2", "n3"}})
	suite, err := workload.New(workload.Config{Nodes: c.present, Recorder: recorder, Seed: 1, Rate: 1500})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- suite.Run(ctx) }()
	for _, id := range []string{"n1", "n2", "n3"} {
		c.restart(t, id, recorder)
	}
	cancel()
	patience, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	if err := errors.Join(<-ran, suite.FinalReads(patience), recorder.Close()); err != nil {
		t.Fatal(err)
	}
	verdict, err := checker.Check(c.dir, checker.Config{Floors: checker.Floors{Operations: 500, Events: 100, Faults: 3}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range verdict.Results {
		t.Logf("%-10s %-8s %s %v", r.Name, r.Outcome, r.Summary, r.Findings)
	}
	for _, k := range verdict.Stats.ByKind {
		t.Logf("%+v", k)
	}
	if err := verdict.Err(); err != nil {
		t.Error(err)
	}
}

// restart stops a node and starts it again when the log has gone on without it.
func (c *cluster) restart(t *testing.T, id string, recorder *history.Recorder) {
	t.Helper()
	c.waitApplied(t, id, c.applied(id)+400)
	fault := history.Fault{Kind: "stop", Phase: history.Begin, Targets: []string{id}}
	recorder.Fault(fault)
	c.stop(t, id)
	other := c.members[0].ID
	if other == id {
		other = c.members[1].ID
	}
	before := c.applied(other)
	c.waitApplied(t, other, before+400)
	c.start(t, id)
	c.waitReady(t, id)
	fault.Phase, fault.Proof = history.End, fmt.Sprintf("%d entries were applied without it", c.applied(other)-before)
	recorder.Fault(fault)
}

func (c *cluster) applied(id string) uint64 { return c.nodes[id].Machine().AppliedIndex() }

func (c *cluster) waitApplied(t *testing.T, id string, index uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.nodes[id].Machine().WaitApplied(ctx, index); err != nil {
		t.Fatalf("%s does not get to entry %d: %v", id, index, err)
	}
}
