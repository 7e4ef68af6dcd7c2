package counter

// Cluster is what one node knows about the cluster, as GET /v1/cluster shows it.
type Cluster struct {
	ClusterID string   `json:"clusterId"`
	Node      string   `json:"node"` // the ID of the node that answers
	Leader    *Leader  `json:"leader,omitempty"`
	Term      uint64   `json:"term"`
	Members   []Member `json:"members"` // in the order of their IDs
}

// Member is one node's entry in the Raft configuration with what the node said
// of itself when it was asked just now. Of a member that did not answer, only
// the entry and what it said earlier of its addresses is known.
type Member struct {
	ID           string     `json:"id"`
	URL          string     `json:"url,omitempty"` // where clients reach it
	PeerAddr     string     `json:"peerAddr"`
	Role         Role       `json:"role,omitempty"`
	Voter        bool       `json:"voter"`
	Reachable    bool       `json:"reachable"`
	LastIndex    uint64     `json:"lastIndex"`
	CommitIndex  uint64     `json:"commitIndex"`
	AppliedIndex uint64     `json:"appliedIndex"`
	StateHash    *StateHash `json:"stateHash,omitempty"`
}

// Role is a Raft state.
type Role string

// The Raft states.
const (
	RoleLeader    Role = "leader"
	RoleFollower  Role = "follower"
	RoleCandidate Role = "candidate"
)

// StateHash is the hash of all of a state machine's state after it applied the
// log up to Index. Nodes with equal indexes must show equal hashes.
type StateHash struct {
	Index uint64 `json:"index"`
	Hash  string `json:"hash"` // 16 hexadecimal digits
}

// NewMember asks for a node to become a member. The node must be running and
// answer on PeerAddr.
type NewMember struct {
	ID       string `json:"id"`
	PeerAddr string `json:"peerAddr"`
	Voter    bool   `json:"voter"`
}

// Check is one condition of readiness.
type Check struct {
	Name   string
	OK     bool
	Detail string // what to do, or the figure that was looked at
}
