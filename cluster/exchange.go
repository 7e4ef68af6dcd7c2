package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/peer"
)

const (
	// exchangeInterval is how often a node asks the others what they are.
	exchangeInterval = time.Second
	// exchangeTimeout bounds one such question.
	exchangeTimeout = 800 * time.Millisecond
	// statusTimeout bounds the questions behind one GET /v1/cluster.
	statusTimeout = 500 * time.Millisecond
)

// info is what a node says of itself when it is asked. It travels as JSON:
// it is rare, and a person with a packet capture should be able to read it.
type info struct {
	ID           string              `json:"id"`
	PeerAddr     string              `json:"peerAddr"`
	URL          string              `json:"url"`
	ClusterID    string              `json:"clusterId"`
	Role         counter.Role        `json:"role"`
	Leader       string              `json:"leader"`
	Term         uint64              `json:"term"`
	LastIndex    uint64              `json:"lastIndex"`
	CommitIndex  uint64              `json:"commitIndex"`
	AppliedIndex uint64              `json:"appliedIndex"`
	Hash         counter.StateHash   `json:"hash"`        // at AppliedIndex
	Checkpoints  []counter.StateHash `json:"checkpoints"` // at multiples of 1,000, ascending
	Addresses    map[string]string   `json:"addresses"`   // where the node last met other members
	ClockMs      int64               `json:"clockMs"`     // the node's wall clock, Unix milliseconds
	Founded      bool                `json:"founded"`     // it has a Raft configuration
}

// info describes this node as of now.
func (n *Node) info() info {
	hash := n.machine.StateHash()
	return info{
		ID:           n.config.NodeID,
		PeerAddr:     n.peerAddr(),
		URL:          n.config.HTTPURL,
		ClusterID:    n.identity.clusterID(),
		Role:         n.role(),
		Leader:       n.leaderID(),
		Term:         n.raft.CurrentTerm(),
		LastIndex:    n.raft.LastIndex(),
		CommitIndex:  n.raft.CommitIndex(),
		AppliedIndex: hash.Index,
		Hash:         hash,
		Checkpoints:  n.machine.Checkpoints(),
		Addresses:    n.exchange.addresses(),
		ClockMs:      n.config.Clock().UnixMilli(),
		Founded:      len(n.configuration()) > 0,
	}
}

func (n *Node) role() counter.Role {
	switch n.raft.State() {
	case raft.Leader:
		return counter.RoleLeader
	case raft.Candidate:
		return counter.RoleCandidate
	}
	return counter.RoleFollower
}

// exchange keeps what the other members said of themselves lately: who can be
// reached, where clients find them, and to which peer address they have moved.
type exchange struct {
	mu    sync.Mutex
	heard map[string]heard // by member ID
}

type heard struct {
	info info
	at   time.Time
}

func newExchange() *exchange { return &exchange{heard: map[string]heard{}} }

func (e *exchange) note(i info, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[i.ID] = heard{i, at}
}

func (e *exchange) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.heard, id)
}

// get returns what the member said last.
func (e *exchange) get(id string) (info, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, ok := e.heard[id]
	return h.info, ok
}

// since reports whether the member answered after the given time.
func (e *exchange) since(id string, after time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, ok := e.heard[id]
	return ok && h.at.After(after)
}

// addresses returns where each member said that it can be dialed.
func (e *exchange) addresses() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	addresses := make(map[string]string, len(e.heard))
	for id, h := range e.heard {
		addresses[id] = h.info.PeerAddr
	}
	return addresses
}

// exchangeInfo asks the other members once a second until the node closes, and
// does what follows from the answers.
func (n *Node) exchangeInfo() {
	ticker := time.NewTicker(exchangeInterval)
	defer ticker.Stop()
	for {
		ctx, cancel := context.WithTimeout(n.life, exchangeTimeout)
		n.askMembers(ctx)
		cancel()
		if err := n.identity.follow(); err != nil {
			n.config.Fatal(err)
			return
		}
		n.settleClock()
		n.healAddresses()
		select {
		case <-n.life.Done():
			return
		case <-ticker.C:
		}
	}
}

// settleClock lets the clocks that were just exchanged count, and says so when
// this node's own is wrong.
func (n *Node) settleClock() {
	before := n.clock.ownSkew()
	n.clock.settle(n.config.NodeID, n.voters(), n.machine.TimeMs())
	skew := n.clock.ownSkew()
	if isOff := skew.Abs() > clockSkewMax; isOff != (before.Abs() > clockSkewMax) {
		n.logger.Warn("this node's clock", "ahead_of_median", skew, "wrong", isOff)
	}
}

// agreeOnTime asks for the clocks that this node has not heard of since it
// started, and fails while it knows those of no majority. A leader whose own
// clock alone counted could put a time into the log that is far ahead, and log
// time never goes back: idempotency keys would be too old for as long.
func (n *Node) agreeOnTime() error {
	voters := n.voters()
	if n.clock.knows(voters) < len(voters) {
		ctx, cancel := context.WithTimeout(n.life, exchangeTimeout)
		defer cancel()
		n.askMembers(ctx)
	}
	n.settleClock()
	if known := n.clock.knows(voters); known < len(voters)/2+1 {
		return fmt.Errorf("%d of %d voters have told the time", known, len(voters))
	}
	return nil
}

// askMembers asks every other member at once and returns the answers by ID.
func (n *Node) askMembers(ctx context.Context) map[string]info {
	var mu sync.Mutex
	answers := map[string]info{}
	question, err := n.encodedInfo()
	if err != nil {
		return answers
	}
	var asked sync.WaitGroup
	for _, server := range n.configuration() {
		id := string(server.ID)
		if id == n.config.NodeID {
			continue
		}
		asked.Go(func() {
			answer, err := n.askMember(ctx, id, question)
			if err != nil {
				return
			}
			n.exchange.note(answer, time.Now())
			mu.Lock()
			defer mu.Unlock()
			answers[id] = answer
		})
	}
	asked.Wait()
	return answers
}

// askInfo asks one member.
func (n *Node) askInfo(ctx context.Context, id string) (info, error) {
	question, err := n.encodedInfo()
	if err != nil {
		return info{}, err
	}
	return n.askMember(ctx, id, question)
}

// askMember asks one member. The question is what this node says of itself.
func (n *Node) askMember(ctx context.Context, id string, question []byte) (info, error) {
	asked := n.clock.elapsed()
	reply, err := n.port.Call(ctx, id, methodInfo, question)
	if err != nil {
		return info{}, err
	}
	answer, err := decodeInfo(reply, id)
	if err == nil {
		n.clock.observe(id, answer.ClockMs, asked, n.clock.elapsed())
	}
	return answer, err
}

func (n *Node) encodedInfo() ([]byte, error) {
	data, err := json.Marshal(n.info())
	if err != nil {
		n.logger.Error("cannot encode this node's information", "error", err)
	}
	return data, err
}

// decodeInfo reads what the given node says of itself. Every node does so several
// times a second, in less than half the time that encoding/json takes.
func decodeInfo(data []byte, id string) (info, error) {
	var answer info
	if err := jsonv2.Unmarshal(data, &answer); err != nil {
		return info{}, fmt.Errorf("information about %s: %w", id, err)
	}
	if answer.ID != id {
		return info{}, fmt.Errorf("information about %s came from %q", id, answer.ID)
	}
	return answer, nil
}

// handleInfo answers with this node's info and takes note of the asker's.
func (n *Node) handleInfo(call *peer.Call) {
	if asker, err := decodeInfo(call.Payload, call.From.NodeID); err == nil && n.isMember(asker.ID) {
		n.exchange.note(asker, time.Now())
	}
	if reply, err := n.encodedInfo(); err == nil {
		call.Reply(reply)
	}
}

// resolve finds the peer address of a member: where it said it is, else where
// another member met it, else what the Raft configuration has, else what the
// founders were told.
func (n *Node) resolve(id string) (string, bool) {
	<-n.opened
	if hello, ok := n.port.Known(id); ok && hello.PeerAddr != "" {
		return hello.PeerAddr, true
	}
	if answer, ok := n.exchange.get(id); ok {
		return answer.PeerAddr, true
	}
	for _, server := range n.servers() {
		if string(server.ID) == id {
			return n.exchange.gossiped(id, string(server.Address)), true
		}
	}
	for _, member := range n.config.InitialCluster {
		if member.ID == id {
			return member.PeerAddr, true
		}
	}
	return "", false
}

// gossiped returns the address at which another member met id, if it differs
// from the configured one.
func (e *exchange) gossiped(id, configured string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		if address := h.info.Addresses[id]; address != "" && address != configured {
			return address
		}
	}
	return configured
}

// httpURL returns where clients reach a member, or "".
func (n *Node) httpURL(id string) string {
	if id == n.config.NodeID {
		return n.config.HTTPURL
	}
	if answer, ok := n.exchange.get(id); ok && answer.URL != "" {
		return answer.URL
	}
	if hello, ok := n.port.Known(id); ok {
		return hello.HTTPURL
	}
	return ""
}

// healAddresses lets the leader write into the Raft configuration where members
// are now, so that the next start of any node finds them.
func (n *Node) healAddresses() {
	if !n.ready() {
		return
	}
	for _, server := range n.servers() {
		id, address := string(server.ID), n.peerAddr()
		if id != n.config.NodeID {
			answer, ok := n.exchange.get(id)
			if !ok {
				continue
			}
			address = answer.PeerAddr
		}
		if address == string(server.Address) {
			continue
		}
		n.logger.Info("member has moved", "node", id, "from", server.Address, "to", address)
		if err := n.configure(n.life, server.ID, raft.ServerAddress(address), server.Suffrage == raft.Voter); err != nil {
			n.logger.Warn("cannot record the member's new address", "node", id, "error", err)
		}
	}
}

// configuration returns the members in the latest Raft configuration. It is
// Raft's own list: nobody may change it.
func (n *Node) configuration() []raft.Server {
	if n.raft == nil {
		return nil // Raft did not start; only what it had started already still asks
	}
	future := n.raft.GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	return future.Configuration().Servers
}

// servers returns the members in the latest Raft configuration, ordered by ID.
func (n *Node) servers() []raft.Server {
	servers := slices.Clone(n.configuration())
	slices.SortFunc(servers, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return servers
}

// voters returns the IDs of the voters of the latest configuration.
func (n *Node) voters() []string {
	var voters []string
	for _, server := range n.servers() {
		if server.Suffrage == raft.Voter {
			voters = append(voters, string(server.ID))
		}
	}
	return voters
}

func (n *Node) isMember(id string) bool {
	return slices.ContainsFunc(n.configuration(), func(s raft.Server) bool { return string(s.ID) == id })
}

// quorumDetail tells a caller which voters are missing, or returns "" when
// enough of them answer.
func (n *Node) quorumDetail() string {
	voters := n.voters()
	if len(voters) == 0 {
		return fmt.Sprintf("%s belongs to no cluster yet: %s", n.config.NodeID, n.founding.progress())
	}
	recently := time.Now().Add(-2*exchangeInterval - exchangeTimeout)
	var missing []string
	for _, id := range voters {
		if id != n.config.NodeID && !n.exchange.since(id, recently) {
			missing = append(missing, id)
		}
	}
	if seen := len(voters) - len(missing); seen < len(voters)/2+1 {
		return fmt.Sprintf("%s sees %d of %d voters; start %s", n.config.NodeID, seen, len(voters), strings.Join(missing, " or "))
	}
	return ""
}
