package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"tally/storage"
)

// used makes a data directory of n1 with a term, a vote, 1,000 entries and a
// snapshot at 400, and closes it.
func used(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "data")
	store := mustOpen(tb, dir)
	defer mustClose(tb, store)
	mustStore(tb, store.Log, entries(1, 1000))
	if err := store.Stable.SetUint64([]byte("CurrentTerm"), 7); err != nil {
		tb.Fatal(err)
	}
	saveVote(tb, store.Stable, 7, "n2")
	if err := snapshot(store.Snapshots, 400, "the state at 400"); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func mustRead(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func mustWrite(tb testing.TB, path string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func mustRemove(tb testing.TB, path string) {
	tb.Helper()
	if err := os.RemoveAll(path); err != nil {
		tb.Fatal(err)
	}
}

func mustTruncate(tb testing.TB, path string, size int64) {
	tb.Helper()
	if err := os.Truncate(path, size); err != nil {
		tb.Fatal(err)
	}
}

// editIdentity changes values in node.json.
func editIdentity(tb testing.TB, dir string, values map[string]any) {
	tb.Helper()
	path := filepath.Join(dir, "node.json")
	document := map[string]any{}
	if err := json.Unmarshal(mustRead(tb, path), &document); err != nil {
		tb.Fatal(err)
	}
	for name, value := range values {
		document[name] = value
	}
	data, err := json.Marshal(document)
	if err != nil {
		tb.Fatal(err)
	}
	mustWrite(tb, path, data)
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   error
		text   string // in the message
	}{
		{"the data of another node", func(t *testing.T, dir string) {
			editIdentity(t, dir, map[string]any{"nodeId": "n2"})
		}, storage.ErrOtherNode, "start it with the node ID n2"},
		{"a newer version", func(t *testing.T, dir string) {
			editIdentity(t, dir, map[string]any{"version": 2, "shape": "unheard of"})
		}, storage.ErrNewerVersion, "node.json says 2, this program knows 1"},
		{"no version", func(t *testing.T, dir string) {
			editIdentity(t, dir, map[string]any{"version": 0})
		}, storage.ErrDamaged, "version 0"},
		{"an unknown field", func(t *testing.T, dir string) {
			editIdentity(t, dir, map[string]any{"shape": "unheard of"})
		}, storage.ErrDamaged, "shape"},
		{"no node ID", func(t *testing.T, dir string) {
			editIdentity(t, dir, map[string]any{"nodeId": ""})
		}, storage.ErrDamaged, "names no node"},
		{"a short incarnation", func(t *testing.T, dir string) {
			editIdentity(t, dir, map[string]any{"incarnation": "abcd"})
		}, storage.ErrDamaged, "32 hexadecimal digits"},
		{"another incarnation", func(t *testing.T, dir string) {
			editIdentity(t, dir, map[string]any{"incarnation": strings.Repeat("ab", 16)})
		}, storage.ErrDamaged, "log.bolt belongs to the incarnation"},
		{"a torn identity", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "node.json")
			mustTruncate(t, path, int64(len(mustRead(t, path))/2))
		}, storage.ErrDamaged, "node.json cannot be read"},
		{"an empty identity", func(t *testing.T, dir string) {
			mustTruncate(t, filepath.Join(dir, "node.json"), 0)
		}, storage.ErrDamaged, "node.json cannot be read"},
		{"two identities", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "node.json")
			mustWrite(t, path, append(mustRead(t, path), mustRead(t, path)...))
		}, storage.ErrDamaged, "node.json"},
		{"no identity", func(t *testing.T, dir string) {
			mustRemove(t, filepath.Join(dir, "node.json"))
		}, storage.ErrDamaged, "there is log.bolt but no node.json"},
		{"no identity but snapshots", func(t *testing.T, dir string) {
			mustRemove(t, filepath.Join(dir, "node.json"))
			mustRemove(t, filepath.Join(dir, "log.bolt"))
			mustRemove(t, filepath.Join(dir, "stable.bolt"))
		}, storage.ErrDamaged, "there is snapshots but no node.json"},
		{"no log", func(t *testing.T, dir string) {
			mustRemove(t, filepath.Join(dir, "log.bolt"))
		}, storage.ErrDamaged, "log.bolt is missing"},
		{"no stable store", func(t *testing.T, dir string) {
			mustRemove(t, filepath.Join(dir, "stable.bolt"))
		}, storage.ErrDamaged, "stable.bolt is missing"},
		{"an emptied log", func(t *testing.T, dir string) {
			mustTruncate(t, filepath.Join(dir, "log.bolt"), 0)
		}, storage.ErrDamaged, "log.bolt is empty"},
		{"a log that is cut off", func(t *testing.T, dir string) {
			mustTruncate(t, filepath.Join(dir, "log.bolt"), 40960)
		}, storage.ErrDamaged, "cut off at 40960 of"},
		{"a log of a few bytes", func(t *testing.T, dir string) {
			mustTruncate(t, filepath.Join(dir, "log.bolt"), 100)
		}, storage.ErrDamaged, "log.bolt"},
		{"a log that is something else", func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "log.bolt"), make([]byte, 1<<16))
		}, storage.ErrDamaged, "log.bolt"},
		{"a log whose pages are something else", func(t *testing.T, dir string) {
			overwrite(t, filepath.Join(dir, "log.bolt"), int64(2*os.Getpagesize()))
		}, storage.ErrDamaged, "log.bolt"},
		{"the log of another directory", func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "log.bolt"), mustRead(t, filepath.Join(used(t), "log.bolt")))
		}, storage.ErrDamaged, "log.bolt belongs to the incarnation"},
		{"the stable store of another directory", func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "stable.bolt"), mustRead(t, filepath.Join(used(t), "stable.bolt")))
		}, storage.ErrDamaged, "stable.bolt belongs to the incarnation"},
		{"a log that begins after the lost snapshots", func(t *testing.T, dir string) {
			store := mustOpen(t, dir)
			if err := store.Log.DeleteRange(1, 400); err != nil {
				t.Fatal(err)
			}
			mustClose(t, store)
			mustRemove(t, filepath.Join(dir, "snapshots"))
		}, storage.ErrDamaged, "the log begins at index 401, but the newest snapshot ends at 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := used(t)
			tt.damage(t, dir)
			// Twice: being refused must not be what makes it acceptable.
			for range 2 {
				store, err := storage.Open(fileConfig(t, dir))
				if err == nil {
					mustClose(t, store)
				}
				if !errors.Is(err, tt.want) || !strings.Contains(errorText(err), tt.text) || !strings.Contains(errorText(err), dir) {
					t.Errorf("got %v, want %v with %q and the directory", err, tt.want, tt.text)
				}
			}
		})
	}
}

// overwrite replaces a file's content from offset on.
func overwrite(tb testing.TB, path string, offset int64) {
	tb.Helper()
	data := mustRead(tb, path)
	for i := offset; i < int64(len(data)); i++ {
		data[i] = 0x5a
	}
	mustWrite(tb, path, data)
}

func TestOpenKeepsData(t *testing.T) {
	dir := used(t)
	store := mustOpen(t, dir)
	defer mustClose(t, store)
	if got, want := bounds(t, store.Log), [2]uint64{1, 1000}; got != want {
		t.Errorf("the log goes from %d to %d", got[0], got[1])
	}
	var entry raft.Log
	if err := store.Log.GetLog(1000, &entry); err != nil || string(entry.Data) != "entry 1000" || entry.Term != 1 {
		t.Errorf("got %+v, %v", entry, err)
	}
	if term, err := store.Stable.GetUint64([]byte("CurrentTerm")); term != 7 || err != nil {
		t.Errorf("term %d, %v", term, err)
	}
	if term, candidate := lastVote(t, store.Stable); term != 7 || candidate != "n2" {
		t.Errorf("voted for %q in term %d", candidate, term)
	}
	list, err := store.Snapshots.List()
	if err != nil || len(list) != 1 || list[0].Index != 400 {
		t.Fatalf("snapshots %v, %v", list, err)
	}
	_, content, err := store.Snapshots.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if data, err := io.ReadAll(content); string(data) != "the state at 400" || err != nil {
		t.Errorf("snapshot %q, %v", data, err)
	}
}

func TestIdentityOverRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	store := mustOpen(t, dir)
	identity, ok, err := store.Identity.Load()
	if err != nil || !ok || identity.NodeID != "n1" || len(identity.Incarnation) != 32 {
		t.Fatalf("got %+v, %v, %v", identity, ok, err)
	}
	identity.ClusterID = "c1"
	identity.Incarnations = map[string]string{"n2": "another"}
	if err := store.Identity.Save(identity); err != nil {
		t.Fatal(err)
	}
	mustClose(t, store)

	store = mustOpen(t, dir)
	defer mustClose(t, store)
	again, ok, err := store.Identity.Load()
	if err != nil || !ok || fmt.Sprint(again) != fmt.Sprint(identity) {
		t.Errorf("got %+v, %v, %v, want %+v", again, ok, err, identity)
	}

	other := mustOpen(t, t.TempDir())
	defer mustClose(t, other)
	if theirs, _, err := other.Identity.Load(); err != nil || theirs.Incarnation == identity.Incarnation {
		t.Errorf("two directories have the incarnation %s (%v)", theirs.Incarnation, err)
	}
}

// The first start was cut short after the identity was made: nothing of Raft
// can have been promised, so the next start finishes it.
func TestInterruptedFirstStart(t *testing.T) {
	for _, missing := range [][]string{{"log.bolt", "stable.bolt", "snapshots"}, {"stable.bolt", "snapshots"}, {"snapshots"}} {
		t.Run(strings.Join(missing, " "), func(t *testing.T) {
			dir := t.TempDir()
			store := mustOpen(t, dir)
			before, _, err := store.Identity.Load()
			if err != nil {
				t.Fatal(err)
			}
			mustClose(t, store)
			editIdentity(t, dir, map[string]any{"filesCreated": false})
			for _, name := range missing {
				mustRemove(t, filepath.Join(dir, name))
			}
			store = mustOpen(t, dir)
			defer mustClose(t, store)
			if after, _, err := store.Identity.Load(); err != nil || after.Incarnation != before.Incarnation {
				t.Errorf("the incarnation changed from %s to %s (%v)", before.Incarnation, after.Incarnation, err)
			}
		})
	}
}

func TestUnfinishedFilesAreRemoved(t *testing.T) {
	dir := used(t)
	leftovers := []string{
		filepath.Join(dir, "node.json.tmp"),
		filepath.Join(dir, "snapshots", "1-500-17.tmp"),
	}
	mustWrite(t, leftovers[0], []byte(`{"version": 1, "nodeI`))
	if err := os.Mkdir(leftovers[1], 0o700); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, filepath.Join(leftovers[1], "state.bin"), []byte("half"))
	mustClose(t, mustOpen(t, dir))
	for _, path := range leftovers {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}

func TestInUse(t *testing.T) {
	dir := used(t)
	store := mustOpen(t, dir)
	_, err := storage.Open(fileConfig(t, dir))
	if !errors.Is(err, storage.ErrInUse) || !strings.Contains(errorText(err), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("got %v, want %v with the process", err, storage.ErrInUse)
	}
	mustClose(t, store)
	mustClose(t, mustOpen(t, dir))
}

// Everything is for the node's user alone.
func TestPermissions(t *testing.T) {
	dir := used(t)
	for path, want := range map[string]fs.FileMode{
		dir:                               fs.ModeDir | 0o700,
		filepath.Join(dir, "snapshots"):   fs.ModeDir | 0o700,
		filepath.Join(dir, "LOCK"):        0o600,
		filepath.Join(dir, "node.json"):   0o600,
		filepath.Join(dir, "log.bolt"):    0o600,
		filepath.Join(dir, "stable.bolt"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s is %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestOpenNeedsItsConfiguration(t *testing.T) {
	fatal := func(error) {}
	for name, config := range map[string]storage.Config{
		"no directory":       {NodeID: "n1", Fatal: fatal},
		"no node ID":         {Dir: t.TempDir(), Fatal: fatal},
		"no Fatal":           {Dir: t.TempDir(), NodeID: "n1"},
		"a negative timeout": {Dir: t.TempDir(), NodeID: "n1", Fatal: fatal, Timeout: -1},
	} {
		if store, err := storage.Open(config); err == nil {
			mustClose(t, store)
			t.Errorf("%s: opened", name)
		}
	}
}

// A file that is cut off under a running node faults where it is read. That
// must end the node as any error does, and not as a crash of the program.
func TestFaultWhileRunning(t *testing.T) {
	dir := used(t)
	f := &fatals{}
	store, err := storage.Open(storage.Config{Dir: dir, NodeID: "n1", Fatal: f.fatal})
	if err != nil {
		t.Fatal(err)
	}
	mustTruncate(t, filepath.Join(dir, "log.bolt"), int64(2*os.Getpagesize()))
	if err := store.Log.GetLog(500, &raft.Log{}); err == nil {
		t.Error("an entry was read from a file that is gone")
	}
	if err := f.first(); !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "get_log in "+filepath.Join(dir, "log.bolt")) {
		t.Errorf("got %v", err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// Deleting from a bolt file leaves none of the range and all of the rest.
func TestDeleteRangeOfFile(t *testing.T) {
	for name, tt := range map[string]struct{ from, to, first, last uint64 }{
		"prefix": {1, 7000, 7001, 10000},
		"suffix": {3001, 10000, 1, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			store := mustOpen(t, t.TempDir())
			defer mustClose(t, store)
			mustStore(t, store.Log, entries(1, 10000))
			if err := store.Log.DeleteRange(tt.from, tt.to); err != nil {
				t.Fatal(err)
			}
			var entry raft.Log
			for index := uint64(1); index <= 10000; index++ {
				err := store.Log.GetLog(index, &entry)
				if kept := index >= tt.first && index <= tt.last; kept != (err == nil) {
					t.Fatalf("entry %d: %v", index, err)
				}
			}
		})
	}
}

// A snapshot that cannot be finished leaves nothing behind.
func TestFailedSnapshotIsRemoved(t *testing.T) {
	dir := used(t)
	f := &fatals{}
	store, err := storage.Open(storage.Config{Dir: dir, NodeID: "n1", Fatal: f.fatal})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, store)
	sink, err := store.Snapshots.Create(raft.SnapshotVersionMax, 900, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "snapshots", sink.ID()+".tmp")
	// With meta.json a directory, Raft's store fails after the content is written.
	mustRemove(t, filepath.Join(path, "meta.json"))
	if err := os.Mkdir(filepath.Join(path, "meta.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err == nil || f.first() == nil {
		t.Errorf("got %v, %v", err, f.first())
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

func TestFreeBytes(t *testing.T) {
	store := mustOpen(t, t.TempDir())
	defer mustClose(t, store)
	if n, err := store.FreeBytes(); err != nil || n == 0 {
		t.Errorf("%d bytes free, %v", n, err)
	}
}
