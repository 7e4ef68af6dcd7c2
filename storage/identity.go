package storage

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
)

// Identity says whose data a directory holds.
type Identity struct {
	// NodeID is the node's name in the cluster.
	NodeID string
	// Incarnation names this very data: 128 random bits as 32 hexadecimal digits,
	// made and synced before anything of Raft exists. A node that comes back
	// under its ID with another incarnation has lost votes and entries.
	Incarnation string
	// ClusterID is the cluster's, or "" before it is known.
	ClusterID string
	// Incarnations are the pinned ones of the members, by node ID.
	Incarnations map[string]string
}

// IdentityStore keeps one Identity. One owner changes it.
type IdentityStore interface {
	// Load returns what was saved last, or false if nothing was.
	Load() (Identity, bool, error)
	// Save is atomic, and durable before it returns.
	Save(Identity) error
}

// establish returns the identity of the node's data and makes it if there is
// none. The function remains names what of Raft's data is there, "" for nothing:
// without an identity there must be nothing.
func establish(store IdentityStore, nodeID string, remains func() (string, error)) (Identity, error) {
	identity, ok, err := store.Load()
	if err != nil {
		return Identity{}, err
	}
	if ok {
		return identity, checkNodeID(identity, nodeID)
	}
	what, err := remains()
	if err != nil {
		return Identity{}, err
	}
	if what != "" {
		return Identity{}, damaged("there is %s but no %s, so nobody can tell whose votes and entries these are", what, identityFile)
	}
	identity = newIdentity(nodeID)
	return identity, store.Save(identity)
}

func newIdentity(nodeID string) Identity {
	random := make([]byte, incarnationBytes)
	rand.Read(random) // never fails: it ends the program instead
	return Identity{NodeID: nodeID, Incarnation: hex.EncodeToString(random)}
}

const incarnationBytes = 16

func checkNodeID(identity Identity, nodeID string) error {
	if identity.NodeID == nodeID {
		return nil
	}
	return fmt.Errorf("%w: it holds the data of %s, and this node is %s; start it with the node ID %s or with another data directory",
		ErrOtherNode, identity.NodeID, nodeID, identity.NodeID)
}

// damaged returns an ErrDamaged that says what is wrong and what to do.
func damaged(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s; the node must not vote again under this ID: remove it from the cluster, then join it under a new ID with an empty data directory",
		ErrDamaged, fmt.Sprintf(format, arguments...))
}

// identityStore is the guarded identity store.
type identityStore struct {
	guard *guard
	inner IdentityStore
}

var _ IdentityStore = (*identityStore)(nil)

// Load implements IdentityStore.
func (s *identityStore) Load() (identity Identity, ok bool, err error) {
	err = s.guard.do(OpLoadIdentity, func() (err error) {
		identity, ok, err = s.inner.Load()
		return err
	})
	return identity, ok, err
}

// Save implements IdentityStore.
func (s *identityStore) Save(identity Identity) error {
	identity.Incarnations = maps.Clone(identity.Incarnations)
	return s.guard.do(OpSaveIdentity, func() error { return s.inner.Save(identity) })
}
