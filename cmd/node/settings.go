package main

import (
	"strings"

	"github.com/spf13/pflag"

	"tally/node"
)

// settings is everything a person can set, from whichever source.
type settings struct {
	Node      node.Config
	LogFormat string
	LogLevel  string
	// ConfigFile is the YAML file that was read; it can be named by flag and
	// environment only.
	ConfigFile string
}

// The log formats. Auto is text on a terminal and JSON elsewhere.
const (
	logFormatAuto = "auto"
	logFormatText = "text"
	logFormatJSON = "json"
)

func defaultSettings() settings {
	return settings{Node: node.Default(), LogFormat: logFormatAuto, LogLevel: "info"}
}

// standsAlone tells whether the node founds a cluster of one, as a newcomer's
// first does.
func (s *settings) standsAlone() bool {
	return len(s.Node.InitialCluster) == 0 && len(s.Node.Join) == 0
}

// flagGroup is a heading of --help with its flags.
type flagGroup struct {
	Title string
	Flags *pflag.FlagSet
}

// flagGroups is the one list of all settings: a flag's name is also its key in
// the configuration file, and TALLY_ and the name in capitals its environment
// variable. The flags write into s and have its values as defaults.
func (s *settings) flagGroups() []flagGroup {
	c := &s.Node
	group := func(title string, define func(*pflag.FlagSet)) flagGroup {
		flags := pflag.NewFlagSet(title, pflag.ContinueOnError)
		flags.SortFlags = false
		define(flags)
		return flagGroup{Title: title, Flags: flags}
	}
	return []flagGroup{
		group("This node", func(f *pflag.FlagSet) {
			f.StringVar(&c.NodeID, "node-id", c.NodeID, "the node's `name` in the cluster, never given to another node")
			f.StringVar(&c.DataDir, "data-dir", c.DataDir, "`directory` of everything the node keeps on disk")
			f.StringVar(&c.HTTPAddr, "http-addr", c.HTTPAddr, "`host:port` where clients are served")
			f.StringVar(&c.AdvertiseHTTPURL, "advertise-http-url", c.AdvertiseHTTPURL, "`URL` that clients are told (default: http:// and --http-addr)")
			f.StringVar(&c.PeerAddr, "peer-addr", c.PeerAddr, "`host:port` where the other nodes are served")
			f.StringVar(&c.AdvertisePeerAddr, "advertise-peer-addr", c.AdvertisePeerAddr, "`host:port` that other nodes dial (default: --peer-addr)")
			f.StringVar(&s.ConfigFile, "config", s.ConfigFile, "YAML `file` with settings; its keys are the names of these flags")
		}),
		group("The cluster (with neither, the node founds one of its own; used once, while the data directory is empty)", func(f *pflag.FlagSet) {
			f.Var((*memberList)(&c.InitialCluster), "initial-cluster", "the founders as `n1=host:port,...` with their peer addresses, the same on each of them")
			f.StringSliceVar(&c.Join, "join", c.Join, "peer address `host:port` of a member to ask for admission; repeatable, tried in turn")
			f.BoolVar(&c.NonVoter, "non-voter", c.NonVoter, "with --join: take part without a vote")
		}),
		group("Callers", func(f *pflag.FlagSet) {
			f.StringVar(&c.Identity, "identity", c.Identity, "how callers are known: none (everybody may do everything) or jwt (by tokens)")
			f.StringVar(&c.JWTSecretFile, "jwt-secret-file", c.JWTSecretFile, "`file` with the secret that tokens are signed with (HS256), 32 bytes or more that others cannot read")
			f.StringSliceVar(&c.JWTKeyFiles, "jwt-key-file", c.JWTKeyFiles, "`file` with public keys that tokens may be signed for (RS256, EdDSA), PEM or JWKS; repeatable")
			f.StringVar(&c.JWTIssuer, "jwt-issuer", c.JWTIssuer, "what iss must be in a token (default: anything)")
			f.StringVar(&c.JWTAudience, "jwt-audience", c.JWTAudience, "what must be among aud in a token (default: tokens with aud are refused)")
			f.StringVar(&c.MetricsFor, "metrics-for", c.MetricsFor, "who may see /metrics: anyone, admin or nobody")
			f.BoolVar(&c.Insecure, "insecure", c.Insecure, "allow --identity none, and a peer port without credentials, on an address that is not loopback")
			f.StringVar(&c.UserSigKeyFile, "usersig-key-file", c.UserSigKeyFile, "`file` with the key that UserSigs of the original's server API are verified with; needs --sdkappid")
			f.Uint64Var(&c.SDKAppID, "sdkappid", c.SDKAppID, "the application whose UserSigs they are")
			f.StringSliceVar(&c.UserSigAdmins, "usersig-admins", c.UserSigAdmins, "`user` who may call the original's server API with a UserSig; repeatable")
			f.StringSliceVar(&c.CORSOrigins, "cors-origin", c.CORSOrigins, "`origin` of browser pages that may call, such as https://example.org or http://localhost:*; repeatable")
			f.StringSliceVar(&c.RefuseGroups, "refuse-groups", c.RefuseGroups, "`pattern` of group IDs that have no counters, * for any text; repeatable")
			f.DurationVar(&c.RequestTimeout, "request-timeout", c.RequestTimeout, "how long a request may take that does not wait for events")
			f.IntVar(&c.ProposalsMax, "proposals-max", c.ProposalsMax, "how many mutations may wait for the log at once; more are refused as overloaded")
		}),
		group("Call limit of a user", func(f *pflag.FlagSet) {
			f.IntVar(&c.UserMutationsMax, "user-mutations-max", c.UserMutationsMax, "how many mutations a user has in any --user-calls-window, over the whole cluster; more are refused as rate_limited; 0 switches the limit off")
			f.IntVar(&c.UserReadsMax, "user-reads-max", c.UserReadsMax, "how many reads of counters a user has in it; 0 switches the limit off")
			f.DurationVar(&c.UserCallsWindow, "user-calls-window", c.UserCallsWindow, "the time in which calls are counted, whole seconds from 1s to 1h")
		}),
		group("Watches", func(f *pflag.FlagSet) {
			f.IntVar(&c.MaxWatchers, "max-watchers", c.MaxWatchers, "how many groups may be watched at once, over all connections; more are refused as too_many_watchers")
			f.DurationVar(&c.WatchInterval, "watch-interval", c.WatchInterval, "shortest interval between two replies to one watcher that is busy")
			f.IntVar(&c.WatchEventsMax, "watch-events-max", c.WatchEventsMax, "how many of the newest events are kept for watchers that come back")
			f.IntVar(&c.WatchBytesMax, "watch-bytes-max", c.WatchBytesMax, "how much memory those events may take, in bytes")
		}),
		group("Failover", func(f *pflag.FlagSet) {
			f.DurationVar(&c.HeartbeatTimeout, "heartbeat-timeout", c.HeartbeatTimeout, "how long a follower waits for the leader before it thinks of an election")
			f.DurationVar(&c.ElectionTimeout, "election-timeout", c.ElectionTimeout, "how long a candidate waits for votes before it tries again")
			f.DurationVar(&c.LeaderLeaseTimeout, "leader-lease-timeout", c.LeaderLeaseTimeout, "how long a leader without a majority goes on leading; less than --heartbeat-timeout")
			f.DurationVar(&c.CommitTimeout, "commit-timeout", c.CommitTimeout, "how far followers lag behind when writes are sparse")
			f.DurationVar(&c.StorageTimeout, "storage-timeout", c.StorageTimeout, "how long one call to the disk may take before the node ends itself")
			f.DurationVar(&c.ShutdownTimeout, "shutdown-timeout", c.ShutdownTimeout, "how long a clean stop may take")
		}),
		group("Log and snapshots", func(f *pflag.FlagSet) {
			f.StringVar((*string)(&c.LogStore), "log-store", string(c.LogStore), "how the log is kept on disk: boltdb, or wal (faster; its makers call it experimental)")
			f.DurationVar(&c.SnapshotInterval, "snapshot-interval", c.SnapshotInterval, "how often the node looks whether a snapshot is due")
			f.Uint64Var(&c.SnapshotThreshold, "snapshot-threshold", c.SnapshotThreshold, "how many log entries since the last snapshot make one due")
			f.Uint64Var(&c.TrailingLogs, "trailing-logs", c.TrailingLogs, "how many log entries are kept behind a snapshot for followers that were away")
			f.Uint64Var(&c.LogBytesMax, "log-bytes-max", c.LogBytesMax, "how many bytes of log since the last snapshot make one due, and are kept behind it, however few their entries; 0 turns that off")
			f.Uint64Var(&c.DiskReserveBytes, "disk-reserve-bytes", c.DiskReserveBytes, "free disk space under which mutations are refused; 0 turns that off")
		}),
		group("Diagnostics", func(f *pflag.FlagSet) {
			f.StringVar(&s.LogFormat, "log-format", s.LogFormat, "auto (text on a terminal, else json), text or json")
			f.StringVar(&s.LogLevel, "log-level", s.LogLevel, "trace, debug, info, warn, error or off")
		}),
	}
}

// memberList is the flag value of --initial-cluster.
type memberList []node.Member

func (l *memberList) Set(text string) error {
	if text == "" {
		*l = nil
		return nil
	}
	members, err := node.ParseInitialCluster(text)
	*l = members
	return err
}

func (l *memberList) String() string {
	entries := make([]string, len(*l))
	for i, m := range *l {
		entries[i] = m.ID + "=" + m.PeerAddr
	}
	return strings.Join(entries, ",")
}

func (l *memberList) Type() string { return "members" }
