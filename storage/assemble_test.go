package storage_test

import (
	"errors"
	"testing"

	"tally/storage"
	"tally/storage/memdisk"
)

// What Open refuses of files, Assemble refuses of any stores.
func TestAssembleRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, b storage.Backing)
		want    error
	}{
		{"another node", func(t *testing.T, b storage.Backing) {
			if err := b.Identity.Save(storage.Identity{NodeID: "n2", Incarnation: "x"}); err != nil {
				t.Fatal(err)
			}
		}, storage.ErrOtherNode},
		{"a log without identity", func(t *testing.T, b storage.Backing) {
			mustStore(t, b.Log, entries(1, 1))
		}, storage.ErrDamaged},
		{"a snapshot without identity", func(t *testing.T, b storage.Backing) {
			if err := snapshot(b.Snapshots, 1, "state"); err != nil {
				t.Fatal(err)
			}
		}, storage.ErrDamaged},
		{"a term without identity", func(t *testing.T, b storage.Backing) {
			if err := b.Stable.SetUint64([]byte("CurrentTerm"), 1); err != nil {
				t.Fatal(err)
			}
		}, storage.ErrDamaged},
		{"a log that begins after the snapshot", func(t *testing.T, b storage.Backing) {
			if err := b.Identity.Save(storage.Identity{NodeID: "n1", Incarnation: "x"}); err != nil {
				t.Fatal(err)
			}
			if err := snapshot(b.Snapshots, 40, "state"); err != nil {
				t.Fatal(err)
			}
			mustStore(t, b.Log, entries(42, 50))
		}, storage.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			backing := memdisk.New().Open()
			tt.prepare(t, backing)
			store, err := storage.Assemble(backing, storage.Config{NodeID: "n1", Fatal: func(error) {}})
			if err == nil {
				mustClose(t, store)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// The identity is on the disk before anything of Raft is.
func TestIdentityComesFirst(t *testing.T) {
	disk := memdisk.New()
	store, _ := mustAssemble(t, disk)
	before, _, err := store.Identity.Load()
	if err != nil {
		t.Fatal(err)
	}
	disk.Crash()
	store, _ = mustAssemble(t, disk)
	after, ok, err := store.Identity.Load()
	if err != nil || !ok || after.Incarnation != before.Incarnation || len(after.Incarnation) != 32 {
		t.Errorf("before the crash %+v, after it %+v (%v)", before, after, err)
	}
}

func TestIdentityThatCannotBeSaved(t *testing.T) {
	disk := memdisk.New()
	broken := errors.New("broken")
	disk.Inject(storage.OpSaveIdentity, memdisk.Fault{Err: broken})
	if store, err := storage.Assemble(disk.Open(), storage.Config{NodeID: "n1", Fatal: func(error) {}}); !errors.Is(err, broken) {
		if err == nil {
			mustClose(t, store)
		}
		t.Errorf("got %v", err)
	}
}
