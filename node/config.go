package node

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"tally/cluster"
	"tally/counter"
	"tally/fsm"
	"tally/httpapi"
	"tally/identity"
	"tally/peer"
	"tally/ratelimit"
	"tally/storage"
	"tally/watch"
)

// LogBytesMaxMin is the least bound of a log in bytes: one batch is as long.
const LogBytesMaxMin = 1 << 20

// Config is everything a node can be told. Default gives every field that has a
// sensible default; the rest is optional unless its comment says otherwise.
type Config struct {
	// NodeID is the node's name in the cluster: 1 to 64 letters, digits, '.', '_' or '-'.
	NodeID string
	// DataDir holds everything the node keeps on disk.
	DataDir string

	// HTTPAddr is where clients are served, host:port; port 0 takes a free one.
	HTTPAddr string
	// AdvertiseHTTPURL is what other nodes and problem bodies tell clients; by
	// default http:// and the address that is listened on.
	AdvertiseHTTPURL string
	// PeerAddr is where the other nodes are served, host:port.
	PeerAddr string
	// AdvertisePeerAddr is what other nodes dial; by default the address that is listened on.
	AdvertisePeerAddr string

	// InitialCluster are the members that found the cluster, this node among
	// them; the same on every node. It is used once, while the data directory is
	// empty. With neither InitialCluster nor Join the node founds a cluster of
	// its own.
	InitialCluster []Member
	// Join are peer addresses of members to ask for admission, tried in turn
	// until one lets this node in. Used once, while the data directory is empty.
	Join []string
	// NonVoter, with Join, asks for admission without a vote. A member can be given
	// one later.
	NonVoter bool

	// HeartbeatTimeout is how long a follower waits for the leader before it
	// thinks of an election.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits for votes before it tries again.
	ElectionTimeout time.Duration
	// LeaderLeaseTimeout is how long a leader that hears from no majority goes on
	// leading. It must be less than HeartbeatTimeout.
	LeaderLeaseTimeout time.Duration
	// CommitTimeout is the longest that followers lag behind the commit index when writes are sparse.
	CommitTimeout time.Duration
	// StorageTimeout is how long one call to the log or stable store may take
	// before the node takes its disk for hung and ends itself.
	StorageTimeout time.Duration
	// RequestTimeout bounds every request that does not wait for events.
	RequestTimeout time.Duration
	// ShutdownTimeout bounds a clean stop.
	ShutdownTimeout time.Duration

	// LogStore is how the Raft log is kept on disk. A data directory keeps the kind
	// that it was made with; the nodes of a cluster may differ.
	LogStore storage.LogStore
	// SnapshotInterval is how often the node looks whether a snapshot is due.
	SnapshotInterval time.Duration
	// SnapshotThreshold is how many log entries since the last snapshot make one due.
	SnapshotThreshold uint64
	// TrailingLogs is how many entries the log keeps behind a snapshot, so that a
	// follower that was away for a while needs no snapshot.
	TrailingLogs uint64
	// LogBytesMax bounds the log by the bytes of its commands, because one entry may
	// have a few or a megabyte: when so many were applied since the last snapshot,
	// or since the node began, one is taken, and no more are kept behind it. The
	// node looks once a second. At least LogBytesMaxMin; 0 turns that off.
	LogBytesMax uint64
	// DiskReserveBytes is the free space of DataDir's file system under which
	// the node refuses mutations and hands over leadership; 0 turns that off.
	DiskReserveBytes uint64
	// ProposalsMax is how many mutations may wait for the leader's log at once;
	// over it they are refused as overloaded.
	ProposalsMax int

	// UserMutationsMax and UserReadsMax are how many mutations, and how many reads
	// of counters, one user has in any UserCallsWindow; over it they are refused
	// as rate_limited. 0 switches the limit off, else it is 1 to
	// ratelimit.CallsMaxMax. The leader's figures count for all nodes, and each
	// node's own for stale reads.
	UserMutationsMax, UserReadsMax int
	// UserCallsWindow is whole seconds, 1 s to ratelimit.WindowMax.
	UserCallsWindow time.Duration

	// WatchEventsMax and WatchBytesMax bound the newest events that the node keeps
	// for watchers, by number and by memory. A watcher that comes back too late
	// for them is given the state of its group instead.
	WatchEventsMax, WatchBytesMax int
	// MaxWatchers is how many groups may be watched here at once, over all
	// connections; over it a watch is refused as too_many_watchers.
	MaxWatchers int
	// WatchInterval is the shortest interval between two replies to one watcher
	// that is busy, so that many changes reach it together.
	WatchInterval time.Duration

	// Identity is how callers are known: IdentityNone or IdentityJWT.
	Identity string
	// JWTSecretFile has the secret of HS256 tokens, and JWTKeyFiles the public keys
	// of others, as PEM or JWKS: at least one of them with IdentityJWT. They are
	// read when the node starts.
	JWTSecretFile string
	JWTKeyFiles   []string
	// JWTIssuer and JWTAudience are what a token must say: see identity.Config.
	JWTIssuer, JWTAudience string
	// MetricsFor is who may see /metrics: MetricsForAnyone, -Admins or -Nobody.
	MetricsFor string
	// Insecure allows Identity "none", and a peer port without credentials, on
	// addresses that are not loopback.
	Insecure bool
	// UserSigKeyFile has the secret that callers of the original's server API sign
	// with, and SDKAppID is their application: both, or neither. With neither they
	// are known as all callers are.
	UserSigKeyFile string
	SDKAppID       uint64
	// UserSigAdmins are the users who may call the original's server API with a UserSig.
	UserSigAdmins []string
	// CORSOrigins are the origins of browser pages that may call: as a browser
	// sends them (https://example.org), with any port (http://localhost:*), or *.
	CORSOrigins []string
	// RefuseGroups are patterns of group IDs that have no counters; '*' stands for any text.
	RefuseGroups []string

	// Logger takes what the node says; nil is silence.
	Logger hclog.Logger
	// Metrics is where the node registers its metrics and what /metrics shows;
	// nil makes a registry of the node's own.
	Metrics *prometheus.Registry
	// Fatal is told why the node must not live on: failing or hung storage, a
	// log entry that cannot be understood. It may be called by several goroutines
	// at once, must end the process, and must not wait for output. Required.
	Fatal func(error)
	// Version is the build's version, for GET / and the log.
	Version string

	// Observe returns what Raft drives instead of the state machine: something
	// that passes everything on to it and takes note. Nil, but in tests.
	Observe func(*fsm.Machine) raft.FSM
	// Between is put between the parts of the node. Empty, but in tests.
	Between Between
	// AppendEntriesMax is how many log entries are written, sent and applied together
	// at most, up to 1024; 0, but in tests, is what is best under load: each
	// message to a follower, also an empty one, takes memory for so many.
	AppendEntriesMax int
	// Network, OpenStorage and Clock are the world the node lives in: nil means
	// TCP, the files in DataDir, and the machine's clock. Tests bring their own.
	Network     peer.Network
	OpenStorage func(storage.Config) (*storage.Store, error)
	Clock       func() time.Time
}

// Member is one of the founding members.
type Member = cluster.Member

// Default returns the configuration of a single node on loopback.
func Default() Config {
	return Config{
		NodeID:             "n1",
		DataDir:            "tally-data",
		HTTPAddr:           "127.0.0.1:8101",
		PeerAddr:           "127.0.0.1:9101",
		HeartbeatTimeout:   350 * time.Millisecond,
		ElectionTimeout:    350 * time.Millisecond,
		LeaderLeaseTimeout: 300 * time.Millisecond,
		CommitTimeout:      5 * time.Millisecond,
		StorageTimeout:     2 * time.Second,
		RequestTimeout:     5 * time.Second,
		ShutdownTimeout:    10 * time.Second,
		LogStore:           storage.LogStoreBolt,
		SnapshotInterval:   10 * time.Second,
		SnapshotThreshold:  65536,
		TrailingLogs:       102400,
		LogBytesMax:        1 << 30,
		DiskReserveBytes:   128 << 20,
		ProposalsMax:       16384,
		UserMutationsMax:   ratelimit.DefaultCallsMax,
		UserReadsMax:       ratelimit.DefaultCallsMax,
		UserCallsWindow:    ratelimit.DefaultWindow,
		WatchEventsMax:     watch.DefaultEventsMax,
		WatchBytesMax:      watch.DefaultBytesMax,
		MaxWatchers:        watch.DefaultWatchersMax,
		WatchInterval:      httpapi.DefaultWatchInterval,
		Identity:           IdentityNone,
		MetricsFor:         MetricsForAnyone,
		UserSigAdmins:      []string{identity.DefaultUserSigAdmin},
		RefuseGroups:       []string{"*@TOPIC#*"},
	}
}

// ParseInitialCluster reads "n1=host:port,n2=host:port".
func ParseInitialCluster(text string) ([]Member, error) {
	var members []Member
	for _, part := range strings.Split(text, ",") {
		id, addr, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form id=host:port", part)
		}
		members = append(members, Member{ID: id, PeerAddr: addr})
	}
	return members, nil
}

// Validate says what is wrong with the configuration and what to do about it.
func (c *Config) Validate() error {
	for _, check := range []func() error{c.validateNames, c.validateMembers, c.validateTimeouts, c.validateLimits, c.validateCallers, c.validateUserSig} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) validateNames() error {
	if c.Fatal == nil {
		return errors.New("Fatal is required: a node that cannot store must be able to end itself")
	}
	if err := counter.CheckNodeID(c.NodeID); err != nil {
		return err
	}
	if c.DataDir == "" {
		return errors.New("the data directory is empty; name one")
	}
	if !slices.Contains(storage.LogStores(), c.LogStore) {
		return fmt.Errorf("there is no log store %q; there are %v", c.LogStore, storage.LogStores())
	}
	for _, addr := range []struct{ name, value string }{{"HTTP address", c.HTTPAddr}, {"peer address", c.PeerAddr}} {
		if _, _, err := net.SplitHostPort(addr.value); err != nil {
			return fmt.Errorf("%s %q: want host:port", addr.name, addr.value)
		}
	}
	if c.AdvertisePeerAddr != "" {
		if host, port, err := net.SplitHostPort(c.AdvertisePeerAddr); err != nil || host == "" || port == "" {
			return fmt.Errorf("advertised peer address %q: want host:port", c.AdvertisePeerAddr)
		}
	}
	if c.AdvertiseHTTPURL != "" {
		if u, err := url.Parse(c.AdvertiseHTTPURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("advertised HTTP URL %q: want http://host:port", c.AdvertiseHTTPURL)
		}
	}
	if c.AdvertisePeerAddr == "" && isUnspecified(c.PeerAddr) {
		return fmt.Errorf("the peer address %s is every address of this machine; set the advertised peer address that other nodes can dial", c.PeerAddr)
	}
	if c.AdvertiseHTTPURL == "" && isUnspecified(c.HTTPAddr) {
		return fmt.Errorf("the HTTP address %s is every address of this machine; set the advertised HTTP URL that clients can use", c.HTTPAddr)
	}
	return nil
}

func (c *Config) validateMembers() error {
	if len(c.InitialCluster) > 0 && len(c.Join) > 0 {
		return errors.New("initial cluster and join exclude each other: founders take the first, later nodes the second")
	}
	if c.NonVoter && len(c.Join) == 0 {
		return errors.New("non-voter is for a node that joins; give the address of a member with join, or leave it out")
	}
	for _, addr := range c.Join {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("join address %q: want host:port", addr)
		}
	}
	seen := map[string]bool{}
	for _, m := range c.InitialCluster {
		if err := counter.CheckNodeID(m.ID); err != nil {
			return fmt.Errorf("initial cluster: %w", err)
		}
		if _, _, err := net.SplitHostPort(m.PeerAddr); err != nil {
			return fmt.Errorf("initial cluster: address %q of %s: want host:port", m.PeerAddr, m.ID)
		}
		if seen[m.ID] || seen[m.PeerAddr] {
			return fmt.Errorf("initial cluster: %s=%s is named twice", m.ID, m.PeerAddr)
		}
		seen[m.ID], seen[m.PeerAddr] = true, true
	}
	if len(c.InitialCluster) > 0 && !seen[c.NodeID] {
		return fmt.Errorf("node %s is not in the initial cluster; add %s=host:port, or use join for a node that comes later", c.NodeID, c.NodeID)
	}
	return nil
}

func (c *Config) validateTimeouts() error {
	for _, d := range []struct {
		name     string
		value    time.Duration
		shortest time.Duration
	}{
		{"heartbeat timeout", c.HeartbeatTimeout, 5 * time.Millisecond},
		{"election timeout", c.ElectionTimeout, 5 * time.Millisecond},
		{"leader lease timeout", c.LeaderLeaseTimeout, 5 * time.Millisecond},
		{"commit timeout", c.CommitTimeout, time.Millisecond},
		{"storage timeout", c.StorageTimeout, 10 * time.Millisecond},
		{"request timeout", c.RequestTimeout, time.Millisecond},
		{"shutdown timeout", c.ShutdownTimeout, time.Millisecond},
		{"snapshot interval", c.SnapshotInterval, 5 * time.Millisecond},
		{"watch interval", c.WatchInterval, time.Millisecond},
	} {
		if d.value < d.shortest {
			return fmt.Errorf("%s %v is too short; give at least %v", d.name, d.value, d.shortest)
		}
	}
	if c.LeaderLeaseTimeout >= c.HeartbeatTimeout {
		return fmt.Errorf("leader lease timeout %v must be less than heartbeat timeout %v, or an old leader outlives a new one's election", c.LeaderLeaseTimeout, c.HeartbeatTimeout)
	}
	if c.ElectionTimeout < c.HeartbeatTimeout {
		return fmt.Errorf("election timeout %v must be at least the heartbeat timeout %v", c.ElectionTimeout, c.HeartbeatTimeout)
	}
	if c.SnapshotThreshold == 0 || c.TrailingLogs == 0 || c.ProposalsMax <= 0 {
		return errors.New("snapshot threshold, trailing logs and proposals max must be at least 1")
	}
	if c.LogBytesMax != 0 && c.LogBytesMax < LogBytesMaxMin {
		return fmt.Errorf("log bytes max %d is not 0 (no bound) or at least %d", c.LogBytesMax, LogBytesMaxMin)
	}
	if c.WatchEventsMax <= 0 || c.WatchBytesMax <= 0 || c.MaxWatchers <= 0 {
		return errors.New("watch events max, watch bytes max and max watchers must be at least 1")
	}
	return nil
}

func (c *Config) validateLimits() error {
	for _, figure := range []struct {
		name  string
		value int
	}{{"user mutations max", c.UserMutationsMax}, {"user reads max", c.UserReadsMax}} {
		if figure.value < 0 || figure.value > ratelimit.CallsMaxMax {
			return fmt.Errorf("%s %d is not 1 to %d, or 0 for no limit", figure.name, figure.value, ratelimit.CallsMaxMax)
		}
	}
	if w := c.UserCallsWindow; w < time.Second || w > ratelimit.WindowMax || w%time.Second != 0 {
		return fmt.Errorf("user calls window %v is not whole seconds from 1s to %v", w, ratelimit.WindowMax)
	}
	return nil
}

func isUnspecified(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return host == "" || (ip != nil && ip.IsUnspecified())
}
