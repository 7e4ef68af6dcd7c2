package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tally/jepsen-lite/history"
)

// FinalReads is called when all faults are healed and Run has returned. Through
// every node it makes one change, which shows that the node serves and that the
// log goes on after whatever may have been lost; then it reads every group that
// was ever used from every node, lets each watcher have what there is left, and
// asks the nodes for their state hashes at an equal index. An error means that
// the cluster did not come back before ctx ended: the run is no good.
func (s *Suite) FinalReads(ctx context.Context) error {
	nodes := s.config.Nodes()
	if len(nodes) == 0 {
		return errors.New("final reads: there is no node")
	}
	for _, node := range nodes {
		if err := s.finalChange(ctx, node); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		if err := s.readAll(ctx, node); err != nil {
			return err
		}
	}
	for i, w := range s.watchers {
		if err := w.drain(ctx, nodes[i%len(nodes)]); err != nil {
			return err
		}
	}
	return s.finalHashes(ctx, nodes)
}

// finalGroup is changed once through every node at the end.
const finalGroup = "final-0"

func (s *Suite) finalClient(node Node, transport *http.Transport) *client {
	c := s.newClient(lane{workload: "final"}, node, transport, rand.New(rand.NewPCG(s.config.Seed, 0)))
	c.final = true
	return c
}

func (s *Suite) finalChange(ctx context.Context, node Node) error {
	c := s.finalClient(node, s.newTransport())
	defer c.http.CloseIdleConnections()
	part := history.Part{Kind: history.Increase, Group: finalGroup, Counters: []history.Counter{{Key: node.ID, Value: 1}}}
	return untilOK(ctx, func() (history.Type, history.Reply) { return c.one(ctx, part) })
}

// untilOK repeats an operation, as a new invocation each time, until it is done.
func untilOK(ctx context.Context, send func() (history.Type, history.Reply)) error {
	for {
		outcome, reply := send()
		switch {
		case outcome == history.TypeOK:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("the cluster does not serve after the faults were healed: %s: %s", reply.Code, reply.Error)
		}
		sleep(ctx, failurePause)
	}
}

// finalReaders is how many groups are read at the same time.
const finalReaders = 8

func (s *Suite) readAll(ctx context.Context, node Node) error {
	groups := append(s.groups.all(), finalGroup)
	var next atomic.Int64
	var readers errgroup.Group
	transport := s.newTransport()
	defer transport.CloseIdleConnections()
	for range finalReaders {
		c := s.finalClient(node, transport)
		readers.Go(func() error {
			for {
				at := next.Add(1) - 1
				if at >= int64(len(groups)) {
					return nil
				}
				read := history.Part{Kind: history.Read, Group: groups[at]}
				if err := untilOK(ctx, func() (history.Type, history.Reply) { return c.one(ctx, read) }); err != nil {
					return err
				}
			}
		})
	}
	return readers.Wait()
}

// drain lets the watcher have what there is left. The node has applied all of
// it: it was read there.
func (w *watcher) drain(ctx context.Context, node Node) error {
	defer w.http.CloseIdleConnections()
	for quiet := false; !quiet; {
		events, err := w.poll(ctx, node, 0)
		quiet = err == nil && events == 0
		if ctx.Err() != nil {
			return fmt.Errorf("watcher %s cannot catch up at %s: %w", w.name, node.ID, errors.Join(err, ctx.Err()))
		}
		if err != nil {
			sleep(ctx, failurePause)
		}
	}
	return nil
}

// view is what is read of GET /v1/cluster.
type view struct {
	Members []struct {
		ID           string `json:"id"`
		Reachable    bool   `json:"reachable"`
		AppliedIndex uint64 `json:"appliedIndex"`
		StateHash    *struct {
			Index uint64 `json:"index"`
			Hash  string `json:"hash"`
		} `json:"stateHash"`
	} `json:"members"`
}

func (s *Suite) view(ctx context.Context, client *http.Client, node Node) (v view, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.URL+"/v1/cluster", nil)
	if err != nil {
		return v, err
	}
	response, err := client.Do(request)
	if err != nil {
		return v, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return v, err
	}
	if response.StatusCode != http.StatusOK {
		return v, fmt.Errorf("%s answers %s", node.ID, response.Status)
	}
	return v, json.Unmarshal(body, &v)
}

// record writes down the hashes of a view.
func (v *view) record(recorder *history.Recorder, final bool) {
	for _, m := range v.Members {
		if m.Reachable && m.StateHash != nil {
			recorder.Hash(history.NodeHash{Node: m.ID, Index: m.StateHash.Index, Hash: m.StateHash.Hash, Final: final})
		}
	}
}

// isEven says that all members are there and have said their hash at the end of
// the same log.
func (v *view) isEven() bool {
	for _, m := range v.Members {
		first := v.Members[0]
		if !m.Reachable || m.StateHash == nil || m.AppliedIndex != first.AppliedIndex || m.StateHash.Index != m.AppliedIndex {
			return false
		}
	}
	return len(v.Members) > 0
}

// finalHashes asks each node until all of them stand at the end of the log.
func (s *Suite) finalHashes(ctx context.Context, nodes []Node) error {
	client := &http.Client{Transport: s.newTransport()}
	defer client.CloseIdleConnections()
	for _, node := range nodes {
		for {
			v, err := s.view(ctx, client, node)
			if err == nil && v.isEven() {
				v.record(s.config.Recorder, true)
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s does not see all members at the end of the log: %w", node.ID, errors.Join(err, ctx.Err()))
			}
			sleep(ctx, failurePause)
		}
	}
	return nil
}

// hashInterval is how often nodes are asked for their hashes during a run.
const hashInterval = time.Second

// sampleHashes writes down, until ctx ends, what nodes say of their states.
func (s *Suite) sampleHashes(ctx context.Context) {
	client := &http.Client{Transport: s.newTransport()}
	defer client.CloseIdleConnections()
	for at := 0; ctx.Err() == nil; at++ {
		if nodes := s.config.Nodes(); len(nodes) > 0 {
			if v, err := s.view(ctx, client, nodes[at%len(nodes)]); err == nil {
				v.record(s.config.Recorder, false)
			}
		}
		sleep(ctx, hashInterval)
	}
}
