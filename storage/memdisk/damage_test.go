package memdisk_test

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

// The end of a process loses nothing, and what is left of it writes no more.
func TestKill(t *testing.T) {
	disk := memdisk.New()
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Unsynced: true})
	before := disk.Open()
	must(t, before.Log.StoreLogs(logs(1, 3)))
	disk.Kill()
	must(t, before.Log.StoreLogs(logs(4, 4)))
	if got := lastIndex(t, disk.Open()); got != 3 {
		t.Errorf("the log ends at %d", got)
	}
}

// A power loss in the middle of a write leaves the first half of it.
func TestTornWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		before := disk.Open()
		must(t, before.Log.StoreLogs(logs(1, 1)))
		disk.Inject(storage.OpStoreLogs, memdisk.Fault{Torn: true, Hang: true, Times: 1})
		returned := make(chan error)
		go func() { returned <- before.Log.StoreLogs(logs(2, 6)) }()
		synctest.Wait()
		disk.Crash()
		must(t, <-returned)
		if got := lastIndex(t, disk.Open()); got != 3 {
			t.Errorf("the log ends at %d", got)
		}
	})
}

func TestCorruptLog(t *testing.T) {
	for name, end := range map[string]func(*memdisk.Disk){"running": func(*memdisk.Disk) {}, "after a crash": (*memdisk.Disk).Crash} {
		t.Run(name, func(t *testing.T) {
			disk := memdisk.New()
			before := disk.Open()
			must(t, before.Log.StoreLogs(logs(1, 2)))
			end(disk)
			if !disk.CorruptLog(2) || disk.CorruptLog(3) {
				t.Error("the wrong entries are there to damage")
			}
			disk.Crash()
			after := disk.Open()
			for index, want := range map[uint64]bool{1: true, 2: false} {
				var entry raft.Log
				must(t, after.Log.GetLog(index, &entry))
				if whole := string(entry.Data) == string(logs(index, index)[0].Data); whole != want {
					t.Errorf("entry %d is %q", index, entry.Data)
				}
			}
		})
	}
}

func TestCorruptSnapshot(t *testing.T) {
	disk := memdisk.New()
	before := disk.Open()
	if disk.CorruptSnapshot() {
		t.Error("there was no snapshot to damage")
	}
	writeSnapshot(t, before, 2)
	writeSnapshot(t, before, 4)
	if !disk.CorruptSnapshot() {
		t.Error("there was a snapshot to damage")
	}
	disk.Crash()
	after := disk.Open()
	list, err := after.Snapshots.List()
	must(t, err)
	for i, want := range []string{"", "state at 2"} {
		_, content, err := after.Snapshots.Open(list[i].ID)
		must(t, err)
		data, err := io.ReadAll(content)
		must(t, err)
		if whole := string(data) == want; want != "" && !whole || want == "" && string(data) == "state at 4" {
			t.Errorf("snapshot %d holds %q", list[i].Index, data)
		}
	}
}
