package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"tally/internal/planted"
)

const (
	// boltLockWait is how long opening waits for another process to let go of a file.
	boltLockWait = time.Second
	// boltMmapBytes is the address space reserved for a file. While the file is
	// smaller, a growing log need not be mapped anew, which would wait for every
	// reader. It costs neither memory nor disk.
	boltMmapBytes = 1 << 30
)

// boltOptions are those of a file that the node keeps open. NoFreelistSync saves
// a page in every commit; the list of free pages is found again by a walk over
// the file at the next opening.
func boltOptions() *bbolt.Options {
	return &bbolt.Options{
		Timeout:         boltLockWait,
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: boltMmapBytes,
		NoStatistics:    true,
	}
}

// openBoltStable opens a bolt file that holds the stable store, or makes it.
func openBoltStable(path string) (store *raftboltdb.BoltStore, err error) {
	defer recoverFault(debug.SetPanicOnFault(true), &err)
	if err := checkBolt(path); err != nil {
		return nil, boltError(err)
	}
	store, err = raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		BoltOptions:             boltOptions(),
		NoSync:                  planted.On("unsynced-log"),
		MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		return nil, boltError(err)
	}
	return store, nil
}

// openBoltLog opens a bolt file that holds the log, or makes it.
func openBoltLog(path string) (_ logFile, err error) {
	defer recoverFault(debug.SetPanicOnFault(true), &err)
	if err := checkBolt(path); err != nil {
		return nil, boltError(err)
	}
	options := boltOptions()
	options.NoSync = planted.On("unsynced-log")
	db, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		return nil, boltError(err)
	}
	log, err := newBoltLog(db)
	if err != nil {
		return nil, errors.Join(boltError(err), db.Close())
	}
	return log, nil
}

// checkBolt refuses a file that is shorter than what it says it holds, or
// whose pages do not hang together. Bolt meets such a page when it opens the
// file too, but in a goroutine of its own, where it ends the process with a
// stack trace. Here it is a panic that openBolt recovers.
func checkBolt(path string) (err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: boltLockWait})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return file.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return damaged("the file is cut off at %d of %d bytes", info.Size(), tx.Size())
		}
		return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
			bucket.Stats() // visits every page
			return nil
		})
	})
}

// boltError says in our words why a file could not be opened.
func boltError(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: another process holds the file; stop it first", ErrInUse)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return damaged("it cannot be read: %v", err)
	}
	return err
}
