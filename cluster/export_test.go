package cluster

import (
	"github.com/hashicorp/raft"

	"tally/peer"
)

// Raft is the library's node, for tests that show what it would do by itself.
func (n *Node) Raft() *raft.Raft { return n.raft }

// Port is the node's peer port, for tests that speak to other nodes as it would.
func (n *Node) Port() *peer.Port { return n.port }

// MethodPropose is the method of forwarded commands.
const MethodPropose = methodPropose
