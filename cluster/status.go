package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"tally/counter"
)

// Cluster asks every member what it is and returns the whole picture. A member
// that does not answer within half a second is shown as not reachable.
func (n *Node) Cluster(ctx context.Context) (counter.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answers := n.askMembers(ctx)
	answers[n.config.NodeID] = n.info()

	cluster := counter.Cluster{
		ClusterID: n.identity.clusterID(),
		Node:      n.config.NodeID,
		Leader:    n.Leader(),
		Term:      n.raft.CurrentTerm(),
		Members:   []counter.Member{},
	}
	hashes := comparableHashes(answers)
	for _, server := range n.servers() {
		id := string(server.ID)
		member := counter.Member{ID: id, URL: n.httpURL(id), PeerAddr: string(server.Address), Voter: server.Suffrage == raft.Voter}
		if answer, ok := answers[id]; ok {
			member.Reachable = true
			member.Role = answer.Role
			member.LastIndex, member.CommitIndex, member.AppliedIndex = answer.LastIndex, answer.CommitIndex, answer.AppliedIndex
			member.StateHash = hashes[id]
		}
		cluster.Members = append(cluster.Members, member)
	}
	return cluster, nil
}

// comparableHashes returns each member's state hash at one index that all of
// them have applied: the applied index if it is the same everywhere, else the
// newest multiple of 1,000 that all remember. Without such an index it is empty.
func comparableHashes(answers map[string]info) map[string]*counter.StateHash {
	hashes := make(map[string]*counter.StateHash, len(answers))
	for _, candidates := range [](func(info) []counter.StateHash){
		func(i info) []counter.StateHash { return []counter.StateHash{i.Hash} },
		func(i info) []counter.StateHash { return i.Checkpoints },
	} {
		index, ok := newestCommon(answers, candidates)
		if !ok {
			continue
		}
		for id, answer := range answers {
			for _, hash := range candidates(answer) {
				if hash.Index == index {
					hashes[id] = &hash
				}
			}
		}
		return hashes
	}
	return hashes
}

// newestCommon returns the greatest index at which every answer has a hash.
func newestCommon(answers map[string]info, candidates func(info) []counter.StateHash) (uint64, bool) {
	count := map[uint64]int{}
	newest, found := uint64(0), false
	for _, answer := range answers {
		for _, hash := range candidates(answer) {
			count[hash.Index]++
			if count[hash.Index] == len(answers) && hash.Index >= newest {
				newest, found = hash.Index, true
			}
		}
	}
	return newest, found
}

// Ready returns the conditions under which this node serves clients well.
func (n *Node) Ready(context.Context) []counter.Check {
	leader := counter.Check{Name: "leader", OK: true, Detail: n.leaderID()}
	if leader.Detail == "" {
		leader.OK = false
		if leader.Detail = n.quorumDetail(); leader.Detail == "" {
			leader.Detail = "an election is under way"
		}
	}
	caughtUp := counter.Check{Name: "caught_up", OK: n.caughtUp.Load(), Detail: fmt.Sprintf("applied %d, committed %d", n.machine.AppliedIndex(), n.raft.CommitIndex())}
	disk := counter.Check{Name: "disk", OK: !n.proposer.diskFull.Load(), Detail: fmt.Sprintf("%d MiB free, reserve %d MiB", n.freeBytes.Load()>>20, n.config.DiskReserveBytes>>20)}
	return []counter.Check{leader, caughtUp, n.memberCheck(), disk, n.clock.check()}
}

// ClockSkew is how far this node's wall clock is ahead of the voters' median, as
// it knows since the last exchange with them.
func (n *Node) ClockSkew() time.Duration { return n.clock.ownSkew() }

// memberCheck tells a node that was taken out of the cluster from one that belongs to it.
func (n *Node) memberCheck() counter.Check {
	check := counter.Check{Name: "member", OK: true, Detail: n.config.NodeID}
	if !n.isMember(n.config.NodeID) {
		check.OK, check.Detail = false, n.founding.progress()
	}
	if n.removed() {
		check.OK, check.Detail = false, n.config.NodeID+" was removed from the cluster; stop it"
	}
	return check
}
