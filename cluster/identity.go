package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"tally/fsm"
	"tally/peer"
	"tally/storage"
)

// identity is who this node is and which incarnation of every other member it
// knows. A member that comes back under its ID with another incarnation has
// lost its disk, and with it its votes and acknowledgements: letting it vote
// again could elect a leader without an acknowledged change.
//
// What it pins comes from the first exchange of the founders and, for everybody
// else, from the log; it is kept in the identity store too because the log may
// not be applied yet when the first hello arrives after a start.
type identity struct {
	store   storage.IdentityStore
	machine *fsm.Machine
	logger  hclog.Logger

	mu    sync.Mutex
	known storage.Identity
}

func loadIdentity(store storage.IdentityStore, machine *fsm.Machine, logger hclog.Logger) (*identity, error) {
	known, ok, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("identity: the store is empty; it must be made before Raft starts")
	}
	known.Incarnations = maps.Clone(known.Incarnations)
	return &identity{store: store, machine: machine, logger: logger, known: known}, nil
}

// incarnation returns this node's own.
func (i *identity) incarnation() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.known.Incarnation
}

// clusterID returns the cluster ID, or "" before it is known.
func (i *identity) clusterID() string {
	if id := i.machine.ClusterID(); id != "" {
		return id
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.known.ClusterID
}

// members returns every pinned incarnation, this node's own included, by ID.
func (i *identity) members() []fsm.Member {
	i.mu.Lock()
	defer i.mu.Unlock()
	members := []fsm.Member{{ID: i.known.NodeID, Incarnation: i.known.Incarnation}}
	for id, incarnation := range i.known.Incarnations {
		if id != i.known.NodeID {
			members = append(members, fsm.Member{ID: id, Incarnation: incarnation})
		}
	}
	slices.SortFunc(members, func(a, b fsm.Member) int { return strings.Compare(a.ID, b.ID) })
	return members
}

// pin remembers, durably before it returns, the incarnation of a founder.
func (i *identity) pin(id, incarnation string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known.Incarnations[id] == incarnation {
		return nil
	}
	next := i.known
	next.Incarnations = maps.Clone(i.known.Incarnations)
	if next.Incarnations == nil {
		next.Incarnations = map[string]string{}
	}
	next.Incarnations[id] = incarnation
	return i.saveLocked(next)
}

// follow copies into the identity store what the log says of cluster and members.
func (i *identity) follow() error {
	clusterID, members := i.machine.ClusterID(), i.machine.Members()
	i.mu.Lock()
	defer i.mu.Unlock()
	next := i.known
	next.Incarnations = maps.Clone(i.known.Incarnations)
	if next.Incarnations == nil {
		next.Incarnations = map[string]string{}
	}
	if clusterID != "" {
		next.ClusterID = clusterID
	}
	for _, member := range members {
		next.Incarnations[member.ID] = member.Incarnation
	}
	if next.ClusterID == i.known.ClusterID && maps.Equal(next.Incarnations, i.known.Incarnations) {
		return nil
	}
	return i.saveLocked(next)
}

func (i *identity) saveLocked(next storage.Identity) error {
	if err := i.store.Save(next); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	i.known = next
	return nil
}

// admit says why the other side of a connection is not who its ID says, or
// returns nil. The text goes to both sides, so it names the remedy.
func (i *identity) admit(hello peer.Hello) error {
	for _, member := range i.machine.Members() {
		if member.ID != hello.NodeID {
			continue
		}
		if member.Removed {
			return fmt.Errorf("%s was removed from the cluster; start the node with an empty data directory and join it under a new ID", hello.NodeID)
		}
		return i.compare(hello, member.Incarnation)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if pinned, ok := i.known.Incarnations[hello.NodeID]; ok {
		return i.compare(hello, pinned)
	}
	return nil
}

func (i *identity) compare(hello peer.Hello, pinned string) error {
	if hello.Incarnation == pinned {
		return nil
	}
	return fmt.Errorf("%s comes with another data directory than the one the cluster knows (incarnation %.8s, known %.8s): "+
		"it may have forgotten votes and changes; remove %s from the cluster, then join the node under a new ID",
		hello.NodeID, hello.Incarnation, pinned, hello.NodeID)
}
