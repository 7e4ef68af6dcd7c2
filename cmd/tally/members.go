package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"tally/client"
	"tally/counter"
)

func (p *program) membersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the members of the cluster and their addresses",
		Example: `  tally members
  tally members -o json`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, err := p.lookAt(c.Context())
			if err != nil {
				return err
			}
			return p.print(membersDocument(cluster))
		},
	}
}

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show who leads, who is there, and whether all agree",
		Long: `Show who leads, who is there, how far each member is behind, and whether all agree:
members with equal indexes must show equal state hashes.`,
		Example: `  tally status
  tally status -o yaml`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, err := p.lookAt(c.Context())
			if err != nil {
				return err
			}
			return p.print(statusDocument(cluster))
		},
	}
}

func (p *program) transferCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "transfer-leader [NODE]",
		Short: "Hand leadership to another member",
		Long:  "Hand leadership to a voter, or to any that has caught up if none is named.",
		Example: `  tally transfer-leader
  tally transfer-leader n2`,
		Args:              arguments(0, 1, "[NODE]"),
		ValidArgsFunction: p.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return p.showCluster(statusDocument, func(calls *client.Client) (counter.Cluster, error) { return calls.TransferLeadership(c.Context(), id) })
		},
	}
}

func (p *program) joinCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "join NODE PEER-ADDRESS",
		Short: "Let a running node into the cluster",
		Long: `Let a running node into the cluster: first without a vote and, when it has caught up, as a voter.
A node that is started with tallyd --join does this by itself, and with --non-voter stays without a vote;
this gives it one. Doing it again is harmless.`,
		Example: `  tally join n4 10.0.0.4:9101
  tally join n5 10.0.0.5:9101 --non-voter`,
		Args: arguments(2, 2, "NODE PEER-ADDRESS"),
	}
	without := c.Flags().Bool("non-voter", false, "it takes part without a vote")
	c.RunE = func(c *cobra.Command, args []string) error {
		member := counter.NewMember{ID: args[0], PeerAddr: args[1], Voter: !*without}
		return p.showCluster(membersDocument, func(calls *client.Client) (counter.Cluster, error) { return calls.AddMember(c.Context(), member) })
	}
	return c
}

func (p *program) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NODE",
		Short: "Take a member out of the cluster for good",
		Long: `Take a member out of the cluster for good: neither its data nor its ID can come back.
Removing it again is harmless. A node that takes its place joins under another ID.`,
		Example:           `  tally remove n3`,
		Args:              arguments(1, 1, "NODE"),
		ValidArgsFunction: p.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			return p.showCluster(membersDocument, func(calls *client.Client) (counter.Cluster, error) { return calls.RemoveMember(c.Context(), args[0]) })
		},
	}
}

// showCluster prints what a call says of the cluster.
func (p *program) showCluster(show func(counter.Cluster) document, call func(*client.Client) (counter.Cluster, error)) error {
	return p.with(func(calls *client.Client) error {
		cluster, err := call(calls)
		if err != nil {
			return clusterError{err}
		}
		return p.print(show(cluster))
	})
}

// clusterError is what came of a call about the cluster, which has no idempotency key.
type clusterError struct{ error }

func (e clusterError) Unwrap() error { return e.error }

func membersDocument(cluster counter.Cluster) document {
	d := document{value: cluster, header: []string{"NODE", "ROLE", "VOTER", "REACHABLE", "CLIENTS", "PEERS"}}
	for _, m := range cluster.Members {
		d.rows = append(d.rows, []string{m.ID, roleOf(m), yesNo(m.Voter), yesNo(m.Reachable), orElse(m.URL, "-"), m.PeerAddr})
	}
	return d
}

func statusDocument(cluster counter.Cluster) document {
	h := assess(cluster)
	d := document{value: cluster, header: []string{"NODE", "ROLE", "TERM", "APPLIED", "BEHIND", "STATE HASH", "CLIENTS"}, note: "\n" + h.sentence()}
	for _, m := range cluster.Members {
		applied, behind, hash := "-", "-", "-"
		if m.Reachable {
			applied, behind = strconv.FormatUint(m.AppliedIndex, 10), strconv.FormatUint(h.behind(m), 10)
		}
		if m.StateHash != nil {
			hash = fmt.Sprintf("%s @ %d", m.StateHash.Hash, m.StateHash.Index)
		}
		d.rows = append(d.rows, []string{m.ID, roleOf(m), strconv.FormatUint(cluster.Term, 10), applied, behind, hash, orElse(m.URL, "-")})
	}
	return d
}

func roleOf(m counter.Member) string {
	switch {
	case !m.Reachable:
		return "unreachable"
	case m.Role == "":
		return "-"
	}
	return string(m.Role)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// health is what a picture of the cluster says of its state.
type health struct {
	cluster           counter.Cluster
	leader            string
	voters, reachable int      // reachable voters
	missing           []string // members that do not answer
	committed         uint64   // as far as any member says
	lag               uint64   // of the reachable member that is furthest behind
	disagree          []string // members whose state hash differs from another's at the same index
}

func assess(cluster counter.Cluster) health {
	h := health{cluster: cluster}
	if cluster.Leader != nil {
		h.leader = cluster.Leader.ID
	}
	hashes := make(map[uint64]string)
	for _, m := range cluster.Members {
		h.committed = max(h.committed, m.CommitIndex)
	}
	for _, m := range cluster.Members {
		if m.Voter {
			h.voters++
		}
		if !m.Reachable {
			h.missing = append(h.missing, m.ID)
			continue
		}
		if m.Voter {
			h.reachable++
		}
		h.lag = max(h.lag, h.behind(m))
		if m.StateHash == nil {
			continue
		}
		if hash, known := hashes[m.StateHash.Index]; known && hash != m.StateHash.Hash {
			h.disagree = append(h.disagree, m.ID)
		}
		hashes[m.StateHash.Index] = m.StateHash.Hash
	}
	return h
}

// behind is how many committed entries the member has not applied.
func (h *health) behind(m counter.Member) uint64 {
	return h.committed - min(h.committed, m.AppliedIndex)
}

// majority is how many voters must be there for the cluster to work.
func (h *health) majority() int { return h.voters/2 + 1 }

func (h *health) sentence() string {
	leads := "no node leads"
	if h.leader != "" {
		leads = fmt.Sprintf("%s leads in term %d", h.leader, h.cluster.Term)
	}
	text := fmt.Sprintf("%s; %d of %d voters answer", leads, h.reachable, h.voters)
	switch spare := h.reachable - h.majority(); {
	case spare < 0:
		text += fmt.Sprintf(", %d are needed: nothing can be changed", h.majority())
	case spare == 0:
		text += ", and none can be lost"
	default:
		text += fmt.Sprintf(", and %d can be lost", spare)
	}
	if len(h.disagree) > 0 {
		text += fmt.Sprintf("; STATES DIFFER at equal index on %v", h.disagree)
	}
	return text
}

// lookAt asks for the cluster. A node that sees no leader may be the one that is
// cut off, so then the other endpoints are asked too.
func (p *program) lookAt(ctx context.Context) (cluster counter.Cluster, err error) {
	err = p.with(func(calls *client.Client) error {
		cluster, err = calls.Cluster(ctx)
		return err
	})
	if err != nil || cluster.Leader != nil {
		return cluster, err
	}
	for _, endpoint := range p.settings.Endpoints {
		calls, err := p.clientOf([]string{endpoint}, client.WithoutDiscovery())
		if err != nil {
			return cluster, err
		}
		other, err := calls.Cluster(ctx)
		_ = calls.Close() // it has nothing under way
		if err == nil && other.Leader != nil {
			return other, nil
		}
	}
	return cluster, nil
}
