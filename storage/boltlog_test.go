package storage_test

import (
	"bytes"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"tally/storage"
)

// manifold returns consecutive entries with every size of number, text and time.
func manifold() []*raft.Log {
	var logs []*raft.Log
	next := uint64(1)
	add := func(entry raft.Log) {
		entry.Index = next
		next++
		logs = append(logs, &entry)
	}
	for _, n := range []uint64{0, 1, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		add(raft.Log{Term: n, Type: raft.LogType(n)})
	}
	for _, n := range []int{0, 1, 31, 32, 255, 256, 65535, 65536, 70000} {
		add(raft.Log{Term: 3, Data: bytes.Repeat([]byte{'x'}, n)})
		add(raft.Log{Term: 3, Extensions: bytes.Repeat([]byte{0xc0}, n)})
	}
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(0, 1), time.Unix(1, 999_999_999), time.Unix(math.MaxUint32, 0), time.Unix(math.MaxUint32+1, 0),
		time.Unix(1<<34-1, 5), time.Unix(1<<34, 5), time.Unix(-1, 0), time.Unix(-1, 7),
		time.Date(2026, 11, 23, 3, 0, 0, 123_456_789, time.FixedZone("", 3600)),
	} {
		add(raft.Log{Term: 4, AppendedAt: at})
	}
	return logs
}

// read returns what a log has at the indexes of entries.
func read(t *testing.T, log raft.LogStore, entries []*raft.Log) []raft.Log {
	t.Helper()
	found := make([]raft.Log, len(entries))
	for i, entry := range entries {
		if err := log.GetLog(entry.Index, &found[i]); err != nil {
			t.Fatalf("index %d: %v", entry.Index, err)
		}
	}
	return found
}

// encoded returns the bytes of all entries in a file that no store has open.
func encoded(t *testing.T, path string) (values [][]byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("logs")).ForEach(func(_, value []byte) error {
			values = append(values, bytes.Clone(value))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func mustOpenLibrary(t *testing.T, path string) *raftboltdb.BoltStore {
	t.Helper()
	store, err := raftboltdb.New(raftboltdb.Options{Path: path, MsgpackUseNewTimeFormat: true})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// A log of raft-boltdb is a log of ours, and the other way round, to the byte.
func TestBoltLogIsTheLibrarys(t *testing.T) {
	logs := manifold()

	dir := t.TempDir()
	ours := mustOpen(t, dir)
	mustStore(t, ours.Log, logs)
	mustClose(t, ours)
	oursPath := filepath.Join(dir, "log.bolt")

	theirsPath := filepath.Join(t.TempDir(), "log.bolt")
	theirs := mustOpenLibrary(t, theirsPath)
	mustStore(t, theirs, logs)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	got, want := encoded(t, oursPath), encoded(t, theirsPath)
	if len(got) != len(want) {
		t.Fatalf("%d entries, the library has %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("entry %d is encoded as %x, the library has %x", i+1, got[i], want[i])
		}
	}

	library := mustOpenLibrary(t, oursPath)
	theirView := read(t, library, logs)
	// What the library appends, and deletes, we find so.
	mustStore(t, library, entries(uint64(len(logs))+1, uint64(len(logs))+50))
	if err := library.DeleteRange(uint64(len(logs))+41, uint64(len(logs))+50); err != nil {
		t.Fatal(err)
	}
	if err := library.Close(); err != nil {
		t.Fatal(err)
	}
	ours = mustOpen(t, dir)
	defer mustClose(t, ours)
	if got, want := bounds(t, ours.Log), [2]uint64{1, uint64(len(logs)) + 40}; got != want {
		t.Errorf("the log goes from %d to %d, want %d to %d", got[0], got[1], want[0], want[1])
	}
	if got, want := read(t, ours.Log, logs), theirView; !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, the library %v", got, want)
	}
}

// Batches of every size are all there afterwards.
func TestBoltLogGrows(t *testing.T) {
	dir := t.TempDir()
	store := mustOpen(t, dir)
	var all []*raft.Log
	for size := uint64(1); size <= 300; size += 23 {
		batch := entries(uint64(len(all))+1, uint64(len(all))+size)
		for _, entry := range batch {
			entry.Data = bytes.Repeat(entry.Data, int(entry.Index%97)+1)
		}
		mustStore(t, store.Log, batch)
		all = append(all, batch...)
	}
	// A large batch, the buffer of which is not kept, and one after it.
	big := entries(uint64(len(all))+1, uint64(len(all))+2)
	big[0].Data = bytes.Repeat([]byte("a"), 3<<20)
	mustStore(t, store.Log, big)
	mustStore(t, store.Log, entries(big[1].Index+1, big[1].Index+1))
	all = append(append(all, big...), entries(big[1].Index+1, big[1].Index+1)...)
	// The end is written anew, as after a change of the leader.
	if err := store.Log.DeleteRange(500, all[len(all)-1].Index); err != nil {
		t.Fatal(err)
	}
	again := entries(500, 900)
	mustStore(t, store.Log, again)
	all = append(all[:499], again...)
	mustClose(t, store) // what is read from here on is read from the file
	store = mustOpen(t, dir)
	defer mustClose(t, store)
	for i, got := range read(t, store.Log, all) {
		if got.Index != all[i].Index || !bytes.Equal(got.Data, all[i].Data) {
			t.Fatalf("index %d has %d bytes, want %d", all[i].Index, len(got.Data), len(all[i].Data))
		}
	}
	if got, want := bounds(t, store.Log), [2]uint64{1, 900}; got != want {
		t.Errorf("the log goes from %d to %d, want %d to %d", got[0], got[1], want[0], want[1])
	}
}

// An entry that is not what was written ends the node, and is not guessed at.
func TestDamagedEntry(t *testing.T) {
	dir := t.TempDir()
	store := mustOpen(t, dir)
	mustStore(t, store.Log, entries(1, 3))
	mustClose(t, store)
	db, err := bbolt.Open(filepath.Join(dir, "log.bolt"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("logs"))
		key := []byte{0, 0, 0, 0, 0, 0, 0, 2}
		value := bytes.Clone(bucket.Get(key))
		return bucket.Put(key, value[:len(value)-1])
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f := &fatals{}
	config := fileConfig(t, dir)
	config.Fatal = f.fatal
	store, err = storage.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, store)
	var entry raft.Log
	if err := store.Log.GetLog(1, &entry); err != nil {
		t.Fatal(err)
	}
	if err := store.Log.GetLog(2, &entry); !errors.Is(err, storage.ErrDamaged) || !errors.Is(f.first(), storage.ErrDamaged) {
		t.Errorf("got %v and fatal %v, want both damaged", err, f.first())
	}
}
