package storage

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// The buckets of a bolt file. Their names are raft-boltdb's.
var (
	entriesBucket = []byte("logs") // index, big-endian, to entry
	marksBucket   = []byte("conf") // marks; see marked
)

const (
	// scratchKeepBytes is the largest buffer that is kept for the next batch.
	scratchKeepBytes = 1 << 20
	// touchedBytesMax is how much of the log is read and written before its pages
	// are let go. All that was ever touched would else count as memory of the
	// process, up to the whole file, though little of it is looked at twice.
	touchedBytesMax = 8 << 20
	// commitBytes is what a transaction touches besides entries: the pages on the
	// way to them, and the neighbours that the system maps with each.
	commitBytes = 32 << 10
)

// boltLog is a log in one bolt file, which is raft-boltdb's to the byte. A
// third of what the library's own store needs of a processor for a large batch
// goes into the encoding of its entries; and it leaves its pages half full.
type boltLog struct {
	db *bbolt.DB
	// scratch holds the entries of a batch until the transaction ends. It
	// belongs to whoever has the write transaction, of which there is one.
	scratch []byte
	// touched is about how many bytes of the file were read and written since its
	// pages were let go.
	touched atomic.Int64
}

var _ logFile = (*boltLog)(nil)

// newBoltLog owns db from then on. If it fails, db is still the caller's.
func newBoltLog(db *bbolt.DB) (*boltLog, error) {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{entriesBucket, marksBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l := &boltLog{db: db}
	l.letGo() // of what the walk over the file left
	return l, nil
}

// letGoOfMuch is called after each transaction that touches entries.
func (l *boltLog) letGoOfMuch() {
	if l.touched.Load() >= touchedBytesMax {
		l.letGo()
	}
}

func (l *boltLog) letGo() {
	l.touched.Store(0)
	// A transaction keeps the file from being mapped elsewhere meanwhile. A file
	// that has been closed has nothing to let go of.
	_ = l.db.View(func(tx *bbolt.Tx) error {
		letGoOfPages(l.db.Info().Data, uintptr(tx.Size()))
		return nil
	})
}

// Close waits for transactions under way.
func (l *boltLog) Close() error { return l.db.Close() }

// FirstIndex implements raft.LogStore.
func (l *boltLog) FirstIndex() (uint64, error) { return l.edge((*bbolt.Cursor).First) }

// LastIndex implements raft.LogStore.
func (l *boltLog) LastIndex() (uint64, error) { return l.edge((*bbolt.Cursor).Last) }

// edge returns the index at one end of the log, 0 for an empty one.
func (l *boltLog) edge(seek func(*bbolt.Cursor) (key, value []byte)) (index uint64, err error) {
	err = l.db.View(func(tx *bbolt.Tx) error {
		if key, _ := seek(tx.Bucket(entriesBucket).Cursor()); key != nil {
			index = binary.BigEndian.Uint64(key)
		}
		return nil
	})
	return index, err
}

// GetLog implements raft.LogStore.
func (l *boltLog) GetLog(index uint64, entry *raft.Log) error {
	defer l.letGoOfMuch()
	return l.db.View(func(tx *bbolt.Tx) error {
		encoded := tx.Bucket(entriesBucket).Get(keyOf(index))
		if encoded == nil {
			return raft.ErrLogNotFound
		}
		l.touched.Add(int64(len(encoded)))
		if err := decodeEntry(encoded, entry); err != nil {
			return fmt.Errorf("index %d: %w", index, err)
		}
		return nil
	})
}

// StoreLog implements raft.LogStore.
func (l *boltLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore: one transaction, synced when it returns.
func (l *boltLog) StoreLogs(entries []*raft.Log) error {
	defer l.letGoOfMuch()
	return l.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(entriesBucket)
		// Entries come at the end, so a page that is full stays as it is. Left
		// half empty for insertions, as by default, there would be twice as many
		// to write, and the file would be twice as long.
		bucket.FillPercent = 1
		// bbolt keeps the values until it has written them, so those that a
		// growing buffer leaves behind stay where they are.
		buffer := l.scratch[:0]
		for _, entry := range entries {
			start := len(buffer)
			buffer = appendEntry(buffer, entry)
			if err := bucket.Put(keyOf(entry.Index), buffer[start:len(buffer):len(buffer)]); err != nil {
				return err
			}
		}
		l.touched.Add(int64(commitBytes + len(buffer)))
		if l.scratch = buffer; cap(buffer) > scratchKeepBytes {
			l.scratch = nil
		}
		return nil
	})
}

// DeleteRange implements raft.LogStore, in one transaction.
func (l *boltLog) DeleteRange(minimum, maximum uint64) error {
	defer l.letGoOfMuch()
	return l.db.Update(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(entriesBucket).Cursor()
		for key, value := cursor.Seek(keyOf(minimum)); key != nil; key, value = cursor.Next() {
			if binary.BigEndian.Uint64(key) > maximum {
				return nil
			}
			l.touched.Add(int64(len(value)))
			if err := cursor.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get implements marked.
func (l *boltLog) Get(key []byte) (value []byte, err error) {
	err = l.db.View(func(tx *bbolt.Tx) error {
		found := tx.Bucket(marksBucket).Get(key)
		if found == nil {
			return ErrKeyNotFound
		}
		value = copied(found)
		return nil
	})
	return value, err
}

// Set implements marked.
func (l *boltLog) Set(key, value []byte) error {
	return l.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(marksBucket).Put(key, value) })
}

func keyOf(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }
