package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// The names in a data directory.
const (
	lockFile     = "LOCK"
	identityFile = "node.json"
	boltLogFile  = "log.bolt"
	walLogDir    = "log.wal"
	stableFile   = "stable.bolt"
	snapshotsDir = "snapshots" // raft.FileSnapshotStore insists on it

	// temporarySuffix marks what was being written when the node stopped.
	temporarySuffix = ".tmp"
)

// snapshotsRetained is how many snapshots are kept: the newest, and one to fall
// back on if it cannot be read.
const snapshotsRetained = 2

// Open opens the data directory of a node, or makes it, and locks it until
// Close. Errors: ErrInUse, ErrOtherNode, ErrOtherLogStore, ErrNewerVersion,
// ErrDamaged, or the system's; their texts say what to do.
func Open(config Config) (*Store, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := openDirectory(config)
	if err != nil {
		return nil, fmt.Errorf("storage: %s: %w", config.Dir, err)
	}
	s, err := assemble(d.backing(), config)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("storage: %s: %w", config.Dir, err), d.close())
	}
	return s, nil
}

// logFile is a log on the disk that can say whose it is.
type logFile interface {
	raft.LogStore
	marked
	Close() error
}

// marked keeps a few values beside its data. Get returns ErrKeyNotFound for a
// key that is not there.
type marked interface {
	Get(key []byte) ([]byte, error)
	Set(key, value []byte) error
}

// directory is an open data directory.
type directory struct {
	path      string
	lock      *os.File
	identity  *identityFileStore
	logStore  LogStore
	log       logFile
	stable    *raftboltdb.BoltStore
	snapshots raft.SnapshotStore
}

func openDirectory(config Config) (d *directory, err error) {
	if config.Dir == "" {
		return nil, errors.New("no data directory")
	}
	d = &directory{path: config.Dir, logStore: config.LogStore, identity: &identityFileStore{dir: config.Dir}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := makeDir(d.path); err != nil {
		return d, err
	}
	// The lock before anything is read: another process may be changing it.
	if d.lock, err = lock(filepath.Join(d.path, lockFile)); err != nil {
		return d, err
	}
	if err := removeTemporary(d.path, nil, config.Logger); err != nil {
		return d, err
	}
	// The identity before anything of Raft exists: a directory with the one but
	// without the other has lost it.
	identity, err := establish(d.identity, config.NodeID, d.remains)
	if err != nil {
		return d, err
	}
	if err := d.openFiles(identity, config.Logger); err != nil {
		return d, err
	}
	return d, d.openSnapshots(config.Logger)
}

// remains names what of Raft's data is in the directory, or "".
func (d *directory) remains() (string, error) {
	for _, name := range []string{boltLogFile, walLogDir, stableFile, snapshotsDir} {
		exists, err := exists(filepath.Join(d.path, name))
		if err != nil {
			return "", err
		}
		if exists {
			return name, nil
		}
	}
	return "", nil
}

// openFiles opens log and stable store. It makes them on the first start only,
// which has ended when both are known to be on the disk.
func (d *directory) openFiles(identity Identity, logger hclog.Logger) error {
	firstStart := !d.identity.filesCreated
	if err := d.openLog(identity, firstStart, logger); err != nil {
		return err
	}
	if err := d.openStable(identity, firstStart); err != nil {
		return err
	}
	if !firstStart {
		return nil
	}
	if err := syncDir(d.path); err != nil {
		return err
	}
	return d.identity.markFilesCreated(identity)
}

// openLog opens the log, unless the directory has one of the other kind: its
// entries would be out of sight, and the node would have forgotten them.
func (d *directory) openLog(identity Identity, firstStart bool, logger hclog.Logger) (err error) {
	for _, other := range LogStores() {
		exists, err := exists(filepath.Join(d.path, other.name()))
		if err != nil {
			return err
		}
		if exists && other != d.logStore {
			return fmt.Errorf("%w: the log of this data directory is in %s; start with the log store %s, or remove the node from the cluster and let it join again with an empty directory and a new ID",
				ErrOtherLogStore, other.name(), other)
		}
	}
	name := d.logStore.name()
	path := filepath.Join(d.path, name)
	switch d.logStore {
	case LogStoreWAL:
		if err := mustExist(walMade(path), name, firstStart); err != nil {
			return err
		}
		d.log, err = openWAL(path, logger)
	default:
		if err := mustExist(path, name, firstStart); err != nil {
			return err
		}
		d.log, err = openBoltLog(path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return claim(d.log, name, identity, firstStart)
}

func (d *directory) openStable(identity Identity, firstStart bool) (err error) {
	path := filepath.Join(d.path, stableFile)
	if err := mustExist(path, stableFile, firstStart); err != nil {
		return err
	}
	if d.stable, err = openBoltStable(path); err != nil {
		return fmt.Errorf("%s: %w", stableFile, err)
	}
	return claim(d.stable, stableFile, identity, firstStart)
}

// mustExist refuses to make anew what has been there before.
func mustExist(path, name string, firstStart bool) error {
	exists, err := exists(path)
	if err == nil && !exists && !firstStart {
		err = damaged("%s is missing", name)
	}
	return err
}

// claim sees to it that a file belongs to identity: one of another node, or one
// from before the directory was made anew, must not be taken for this node's.
func claim(file marked, name string, identity Identity, firstStart bool) error {
	mark, err := file.Get([]byte(incarnationKey))
	switch {
	case errors.Is(err, ErrKeyNotFound) && firstStart:
		return file.Set([]byte(incarnationKey), []byte(identity.Incarnation))
	case errors.Is(err, ErrKeyNotFound):
		return damaged("%s is empty", name)
	case err != nil:
		return err
	case string(mark) != identity.Incarnation:
		return damaged("%s belongs to the incarnation %.8s, but %s to %.8s", name, mark, identityFile, identity.Incarnation)
	}
	return nil
}

// incarnationKey is the key under which log and stable store say to which
// incarnation of a node they belong.
const incarnationKey = "Incarnation"

func (d *directory) openSnapshots(logger hclog.Logger) error {
	path := filepath.Join(d.path, snapshotsDir)
	if err := makeDir(path); err != nil {
		return err
	}
	if err := removeTemporary(path, nil, logger); err != nil {
		return err
	}
	inner, err := raft.NewFileSnapshotStoreWithLogger(d.path, snapshotsRetained, logger.Named("snapshots"))
	if err != nil {
		return fmt.Errorf("%s: %w", snapshotsDir, err)
	}
	d.snapshots = &snapshotFiles{SnapshotStore: inner, path: path, underWay: map[string]bool{}}
	return nil
}

func (d *directory) backing() Backing {
	return Backing{
		Log:       d.log,
		Stable:    d.stable,
		Snapshots: d.snapshots,
		Identity:  d.identity,
		LogBytes:  func() (uint64, error) { return bytesUnder(filepath.Join(d.path, d.logStore.name())) },
		FreeBytes: func() (uint64, error) { return freeBytes(d.path) },
		Close:     d.close,
	}
}

// close closes what is open, the lock last.
func (d *directory) close() error {
	var errs []error
	if d.log != nil {
		errs = append(errs, d.log.Close())
	}
	if d.stable != nil {
		errs = append(errs, d.stable.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// snapshotFiles repairs raft.FileSnapshotStore, which leaves a snapshot's
// temporary directory behind when it fails for lack of space: each further
// attempt would take up more of it.
type snapshotFiles struct {
	raft.SnapshotStore
	path string

	mu       sync.Mutex
	underWay map[string]bool // temporary directories of snapshots that are being written
}

// Create implements raft.SnapshotStore.
func (s *snapshotFiles) Create(version raft.SnapshotVersion, index, term uint64,
	configuration raft.Configuration, configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, transport)
	if err != nil {
		// But for what Raft writes beside it: one of its own while another is installed.
		return nil, errors.Join(err, removeTemporary(s.path, s.underWay, nil))
	}
	temporary := sink.ID() + temporarySuffix
	s.underWay[temporary] = true
	return &snapshotFile{SnapshotSink: sink, store: s, temporary: temporary}, nil
}

// snapshotFile is one snapshot on its way to the disk.
type snapshotFile struct {
	raft.SnapshotSink
	store     *snapshotFiles
	temporary string // its directory until Close gives it its name
}

// Close implements io.Closer.
func (s *snapshotFile) Close() error { return s.clean(s.SnapshotSink.Close()) }

// Cancel implements raft.SnapshotSink.
func (s *snapshotFile) Cancel() error { return s.clean(s.SnapshotSink.Cancel()) }

func (s *snapshotFile) clean(err error) error {
	s.store.mu.Lock()
	delete(s.store.underWay, s.temporary)
	s.store.mu.Unlock()
	if err == nil {
		return nil
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(s.store.path, s.temporary)))
}

// removeTemporary removes what was being written in dir when the node stopped, or
// what failed to be, but not what is still being written.
func removeTemporary(dir string, underWay map[string]bool, logger hclog.Logger) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), temporarySuffix) || underWay[entry.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
		if logger != nil {
			logger.Info("removed an unfinished file", "path", filepath.Join(dir, entry.Name()))
		}
	}
	return nil
}

// makeDir makes a directory that only the node's user can read, and makes its
// name durable.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// bytesUnder is the size of a file, or of the files in a directory.
func bytesUnder(path string) (total uint64, err error) {
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name != path {
			return nil // a segment that was deleted meanwhile
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		total += uint64(info.Size())
		return nil
	})
	return total, err
}
