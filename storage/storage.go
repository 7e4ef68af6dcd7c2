package storage

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// TimeoutDefault is how long a store call may take where Config does not say.
const TimeoutDefault = 2 * time.Second

// LogStore is a way to keep the Raft log on disk.
type LogStore string

// The log stores. Their words are values of a flag: never rename one.
const (
	// LogStoreBolt is one file, log.bolt, as hashicorp/raft-boltdb lays it out.
	LogStoreBolt LogStore = "boltdb"
	// LogStoreWAL is a directory of segment files, log.wal (hashicorp/raft-wal),
	// which its makers call experimental, and which is faster.
	LogStoreWAL LogStore = "wal"
)

// LogStores returns all that there are, the default first.
func LogStores() []LogStore { return []LogStore{LogStoreBolt, LogStoreWAL} }

// name is that of the log in a data directory.
func (s LogStore) name() string {
	if s == LogStoreWAL {
		return walLogDir
	}
	return boltLogFile
}

var (
	// ErrInUse means that another process has the data directory open.
	ErrInUse = errors.New("the data directory is in use")
	// ErrOtherNode means that the data directory belongs to another node ID.
	ErrOtherNode = errors.New("the data directory belongs to another node")
	// ErrNewerVersion means that a newer version of the program wrote the data directory.
	ErrNewerVersion = errors.New("the data directory is of a newer version")
	// ErrOtherLogStore means that the log in the data directory is of another
	// kind than Config.LogStore.
	ErrOtherLogStore = errors.New("the data directory has another log store")
	// ErrDamaged means that something is missing from the data, or does not
	// belong together. A voter in that state has forgotten votes or entries that
	// it promised to keep, so it must not start under its old ID.
	ErrDamaged = errors.New("the data directory is damaged")
	// ErrTimeout means that a store call took longer than it may.
	ErrTimeout = errors.New("the disk hangs or is too slow")
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("storage is closed")
)

// Config says where a node keeps its data and what happens when that fails.
type Config struct {
	// Dir is the data directory; Open creates it. Assemble uses it in messages only.
	Dir string
	// NodeID is whose data this is. Required.
	NodeID string
	// LogStore is how Open keeps the log; "" means LogStoreBolt. A directory
	// keeps the kind it was made with.
	LogStore LogStore
	// Timeout is how long one call to the log or stable store may take; 0 means
	// TimeoutDefault. Creating or writing a snapshot may take 5 times as long, other
	// calls to the snapshot store 30 times.
	Timeout time.Duration
	// Fatal is told why the node must not live on: the first error of a store, or
	// that a call is overdue. It ends the process and is not expected to return.
	// Required.
	//
	// While the first caller is still ending the process, every other goroutine
	// that comes to a store is sent to Fatal too, with the same error. None of
	// them may return to Raft, which would panic where it cannot save its term.
	// So Fatal must bear concurrent calls. A test's Fatal may end the goroutine
	// (runtime.Goexit); if it returns, the store call fails with the error. It
	// must not wait for Store.Close, which waits for the watchdog, which may be
	// the caller.
	Fatal func(error)
	// Verify looks at an entry that was read from the disk, and returns an error if
	// it is not what was written: that stops the node, before the entry is
	// applied or sent to another node. Nil verifies nothing.
	Verify func(*raft.Log) error
	// Logger takes what Open found and did; nil is silence. Nothing is logged on
	// the way to Fatal.
	Logger hclog.Logger
	// Registerer is where the metrics go, one registry for each node of a
	// process; nil means nowhere.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() (Config, error) {
	if c.NodeID == "" {
		return c, errors.New("storage: no node ID")
	}
	if c.Fatal == nil {
		return c, errors.New("storage: no Fatal")
	}
	if c.LogStore == "" {
		c.LogStore = LogStoreBolt
	}
	if !slices.Contains(LogStores(), c.LogStore) {
		return c, fmt.Errorf("storage: there is no log store %q; there are %v", c.LogStore, LogStores())
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("storage: the timeout is negative: %v", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = TimeoutDefault
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, nil
}

// Backing is what Assemble wraps: the files of a data directory, or a test's
// stores in memory. The functions may be nil.
type Backing struct {
	// Log must return raft.ErrLogNotFound for an entry that is not there. It may
	// be a raft.MonotonicLogStore.
	Log raft.LogStore
	// Stable must return ErrKeyNotFound for a key that is not there.
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
	Identity  IdentityStore

	// LogBytes is the size of the log on disk.
	LogBytes func() (uint64, error)
	// FreeBytes is how much the disk still takes.
	FreeBytes func() (uint64, error)
	// Close releases what the stores hold.
	Close func() error
}

// Store is one node's storage. Log, Stable and Snapshots are what
// raft.NewRaft takes.
type Store struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
	Identity  IdentityStore

	backing Backing
	guard   *guard
	metrics *metrics
}

// Assemble puts the wrappers around b and makes the node's identity if b has
// none yet. It refuses what Open refuses: ErrOtherNode, ErrDamaged. The store
// owns b from then on; if Assemble fails, b is still the caller's.
func Assemble(b Backing, config Config) (*Store, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := assemble(b, config)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return s, nil
}

func assemble(b Backing, config Config) (*Store, error) {
	if _, err := establish(b.Identity, config.NodeID, func() (string, error) { return remains(b) }); err != nil {
		return nil, err
	}
	if err := checkLogStart(b.Log, b.Snapshots); err != nil {
		return nil, err
	}
	if err := rejoinConsecutive(b.Log, b.Snapshots); err != nil {
		return nil, err
	}
	m := newMetrics(b)
	if err := m.register(config.Registerer); err != nil {
		return nil, err
	}
	g := newGuard(config, m)
	return &Store{
		Log:       newLogCache(&logStore{guard: g, inner: b.Log, metrics: m}, logCacheEntriesMax, logCacheBytesMax),
		Stable:    &stableStore{guard: g, inner: &voteStore{inner: b.Stable}},
		Snapshots: &snapshotStore{guard: g, inner: b.Snapshots, metrics: m},
		Identity:  &identityStore{guard: g, inner: b.Identity},
		backing:   b,
		guard:     g,
		metrics:   m,
	}, nil
}

// remains names what of Raft's data is in b, or "".
func remains(b Backing) (string, error) {
	last, err := b.Log.LastIndex()
	if err != nil {
		return "", err
	}
	if last > 0 {
		return "a log", nil
	}
	list, err := b.Snapshots.List()
	if err != nil {
		return "", err
	}
	if len(list) > 0 {
		return "a snapshot", nil
	}
	// Raft saves its term before it votes, and before its first entry.
	_, err = b.Stable.GetUint64([]byte("CurrentTerm"))
	if errors.Is(err, ErrKeyNotFound) {
		return "", nil
	}
	return "a term", err
}

// Close releases the stores and waits for the watchdog, which watches over the
// closing too. Raft must have stopped: a call under way is waited for, later
// ones return ErrClosed.
func (s *Store) Close() error {
	err := s.guard.close(s.backing.Close)
	s.metrics.unregister()
	return err
}

// FreeBytes returns how much the disk under the data still takes, in bytes. The
// node stops taking mutations before this reaches 0, because at 0 it fails.
func (s *Store) FreeBytes() (uint64, error) {
	if s.backing.FreeBytes == nil {
		return 0, errors.New("storage: this backing does not know its free space")
	}
	return s.backing.FreeBytes()
}
