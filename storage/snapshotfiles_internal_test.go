package storage

import (
	"io"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Raft takes a snapshot of its own while another is being installed. When the disk
// has no room for the one, the other may be written already.
func TestSnapshotThatCannotBeginLeavesTheOtherAlone(t *testing.T) {
	d := &directory{path: t.TempDir()}
	if err := d.openSnapshots(hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	own, err := d.snapshots.Create(raft.SnapshotVersionMax, 7, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(own, "the state"); err != nil {
		t.Fatal(err)
	}
	abandoned := filepath.Join(d.path, snapshotsDir, "1-8-1"+temporarySuffix)
	if err := makeDir(abandoned); err != nil {
		t.Fatal(err)
	}
	if _, err := d.snapshots.Create(0, 8, 1, raft.Configuration{}, 1, nil); err == nil {
		t.Fatal("a snapshot of an unknown version was begun")
	}
	if there, err := exists(abandoned); there || err != nil {
		t.Errorf("what the one that failed has left is there: %v, %v", there, err)
	}
	if err := own.Close(); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if list, err := d.snapshots.List(); err != nil || len(list) != 1 || list[0].Index != 7 {
		t.Errorf("snapshots %v, %v", list, err)
	}
}
