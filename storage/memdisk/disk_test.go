package memdisk_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

func logs(first, last uint64) []*raft.Log {
	var logs []*raft.Log
	for index := first; index <= last; index++ {
		logs = append(logs, &raft.Log{Index: index, Term: 1, Data: fmt.Appendf(nil, "entry %d", index)})
	}
	return logs
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func lastIndex(tb testing.TB, b storage.Backing) uint64 {
	tb.Helper()
	last, err := b.Log.LastIndex()
	must(tb, err)
	return last
}

func TestWhatACrashLeaves(t *testing.T) {
	unsynced := func(op storage.Operation) func(*memdisk.Disk) {
		return func(d *memdisk.Disk) { d.Inject(op, memdisk.Fault{Unsynced: true, Times: 1}) }
	}
	tests := []struct {
		name    string
		prepare func(*memdisk.Disk)
		end     func(*memdisk.Disk)
		want    string
	}{
		{"nothing happens", nil, nil, "log 2, term 7, node n1, snapshot 2"},
		{"power loss, all synced", nil, (*memdisk.Disk).Crash, "log 2, term 7, node n1, snapshot 2"},
		{"power loss, log unsynced", unsynced(storage.OpStoreLogs), (*memdisk.Disk).Crash, "log 0, term 7, node n1, snapshot 2"},
		{"power loss, term unsynced", unsynced(storage.OpSetUint64), (*memdisk.Disk).Crash, "log 2, term 0, node n1, snapshot 2"},
		{"power loss, identity unsynced", unsynced(storage.OpSaveIdentity), (*memdisk.Disk).Crash, "log 2, term 7, node , snapshot 2"},
		{"power loss, snapshot unsynced", unsynced(storage.OpCloseSnapshot), (*memdisk.Disk).Crash, "log 2, term 7, node n1, snapshot 0"},
		{"end of the process, log unsynced", unsynced(storage.OpStoreLogs), nil, "log 2, term 7, node n1, snapshot 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := memdisk.New()
			if tt.prepare != nil {
				tt.prepare(disk)
			}
			before := disk.Open()
			must(t, before.Log.StoreLogs(logs(1, 2)))
			must(t, before.Stable.SetUint64([]byte("CurrentTerm"), 7))
			must(t, before.Identity.Save(storage.Identity{NodeID: "n1"}))
			writeSnapshot(t, before, 2)
			if tt.end != nil {
				tt.end(disk)
			}
			if got := contents(t, disk.Open()); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func writeSnapshot(tb testing.TB, b storage.Backing, index uint64) {
	tb.Helper()
	sink, err := b.Snapshots.Create(1, index, 1, raft.Configuration{}, 1, nil)
	must(tb, err)
	_, err = fmt.Fprintf(sink, "state at %d", index)
	must(tb, err)
	must(tb, sink.Close())
}

// contents says what is on a disk.
func contents(tb testing.TB, b storage.Backing) string {
	tb.Helper()
	term, err := b.Stable.GetUint64([]byte("CurrentTerm"))
	if !errors.Is(err, storage.ErrKeyNotFound) {
		must(tb, err)
	}
	identity, _, err := b.Identity.Load()
	must(tb, err)
	list, err := b.Snapshots.List()
	must(tb, err)
	var newest uint64
	if len(list) > 0 {
		newest = list[0].Index
		_, content, err := b.Snapshots.Open(list[0].ID)
		must(tb, err)
		data, err := io.ReadAll(content)
		must(tb, err)
		if want := fmt.Sprintf("state at %d", newest); string(data) != want || list[0].Size != int64(len(want)) {
			tb.Errorf("the snapshot holds %q of %d bytes", data, list[0].Size)
		}
	}
	return fmt.Sprintf("log %d, term %d, node %s, snapshot %d", lastIndex(tb, b), term, identity.NodeID, newest)
}

// A later call on the same file that is synced makes the earlier ones durable.
func TestSyncCoversWhatCameBefore(t *testing.T) {
	disk := memdisk.New()
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Unsynced: true, Times: 1})
	before := disk.Open()
	must(t, before.Log.StoreLogs(logs(1, 5)))
	must(t, before.Log.StoreLogs(logs(6, 6)))
	disk.Crash()
	if got := lastIndex(t, disk.Open()); got != 6 {
		t.Errorf("the log ends at %d", got)
	}
}

// What a process does after the power has gone reaches nobody, and fails nobody.
func TestDeadProcess(t *testing.T) {
	disk := memdisk.New()
	before := disk.Open()
	must(t, before.Log.StoreLogs(logs(1, 5)))
	disk.Crash()
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Err: errors.New("for the living")})
	must(t, before.Log.StoreLogs(logs(6, 9)))
	if got := lastIndex(t, before); got != 9 {
		t.Errorf("the dead process sees a log that ends at %d", got)
	}
	disk.Crash()
	if got := lastIndex(t, disk.Open()); got != 5 {
		t.Errorf("the log ends at %d", got)
	}
}

func TestUnfinishedSnapshot(t *testing.T) {
	disk := memdisk.New()
	backing := disk.Open()
	writeSnapshot(t, backing, 2)
	sink, err := backing.Snapshots.Create(1, 3, 1, raft.Configuration{}, 1, nil)
	must(t, err)
	_, err = sink.Write([]byte("half"))
	must(t, err)
	must(t, sink.Cancel())
	must(t, sink.Close())
	if got, want := contents(t, backing), "log 0, term 0, node , snapshot 2"; got != want {
		t.Errorf("found %q, want %q", got, want)
	}
	if _, err := sink.Write([]byte("more")); err == nil {
		t.Error("a cancelled snapshot was written to")
	}
}

func TestTwoSnapshotsAreKept(t *testing.T) {
	disk := memdisk.New()
	for _, index := range []uint64{10, 30, 20, 40} {
		writeSnapshot(t, disk.Open(), index)
	}
	list, err := disk.Open().Snapshots.List()
	must(t, err)
	if len(list) != 2 || list[0].Index != 40 || list[1].Index != 30 {
		t.Errorf("got %v", list)
	}
}

// The disk keeps copies, as a file does.
func TestEntriesAreCopied(t *testing.T) {
	backing := memdisk.New().Open()
	stored := logs(1, 1)
	must(t, backing.Log.StoreLogs(stored))
	stored[0].Data[0] = 'X'
	var entry raft.Log
	must(t, backing.Log.GetLog(1, &entry))
	entry.Data[1] = 'Y'
	must(t, backing.Log.GetLog(1, &entry))
	if string(entry.Data) != "entry 1" {
		t.Errorf("got %q", entry.Data)
	}
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name     string
		fault    memdisk.Fault
		release  func(*memdisk.Disk)
		want     error
		wantLast uint64 // of the log after the call of entries 1 to 3, and a power loss
		wantTime time.Duration
	}{
		{"error", memdisk.Fault{Err: broken}, nil, broken, 0, 0},
		{"error after the write", memdisk.Fault{Err: broken, Done: true}, nil, broken, 3, 0},
		{"delay", memdisk.Fault{Delay: time.Minute}, nil, nil, 3, time.Minute},
		{"unsynced", memdisk.Fault{Unsynced: true}, nil, nil, 0, 0},
		{"hang, healed", memdisk.Fault{Hang: true}, func(d *memdisk.Disk) { d.Heal(storage.OpStoreLogs) }, nil, 3, time.Hour},
		{"hang, all healed", memdisk.Fault{Hang: true}, func(d *memdisk.Disk) { d.Heal() }, nil, 3, time.Hour},
		{"hang, another fault", memdisk.Fault{Hang: true}, func(d *memdisk.Disk) { d.Inject(storage.OpStoreLogs, memdisk.Fault{}) }, nil, 3, time.Hour},
		{"hang, power loss", memdisk.Fault{Hang: true}, (*memdisk.Disk).Crash, nil, 0, time.Hour},
		{"hang, next process", memdisk.Fault{Hang: true}, func(d *memdisk.Disk) { d.Open() }, nil, 0, time.Hour},
		{"spent", memdisk.Fault{Err: broken, Times: 1}, nil, broken, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := memdisk.New()
				backing := disk.Open()
				disk.Inject(storage.OpStoreLogs, tt.fault)
				began := time.Now()
				returned := make(chan error)
				go func() { returned <- backing.Log.StoreLogs(logs(1, 3)) }()
				if tt.release != nil {
					time.Sleep(time.Hour)
					tt.release(disk)
				}
				if err := <-returned; !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took != tt.wantTime {
					t.Errorf("it took %v, want %v", took, tt.wantTime)
				}
				disk.Crash()
				if got := lastIndex(t, disk.Open()); got != tt.wantLast {
					t.Errorf("the log ends at %d, want %d", got, tt.wantLast)
				}
			})
		})
	}
}

func TestFaultTimes(t *testing.T) {
	disk := memdisk.New()
	backing := disk.Open()
	broken := errors.New("broken")
	disk.Inject(storage.OpLastIndex, memdisk.Fault{Err: broken, Times: 2})
	for i, want := range []error{broken, broken, nil, nil} {
		if _, err := backing.Log.LastIndex(); !errors.Is(err, want) {
			t.Errorf("call %d: %v, want %v", i, err, want)
		}
	}
	if got := disk.Calls(storage.OpLastIndex); got != 4 {
		t.Errorf("%d calls", got)
	}
}

// A node that answers before its entries are durable loses acknowledged ones
// with the power. A test of lost acknowledgements must be able to see that.
func TestAcknowledgedEntriesAfterPowerLoss(t *testing.T) {
	for name, tt := range map[string]struct {
		fault    memdisk.Fault
		wantLost bool
	}{
		"a disk that syncs": {memdisk.Fault{Delay: time.Millisecond}, false},
		"a disk that lies":  {memdisk.Fault{Unsynced: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := memdisk.New()
				disk.Inject(storage.OpStoreLogs, tt.fault)
				acknowledged := applyTen(t, disk)
				disk.Crash()
				lost := lastIndex(t, disk.Open()) < acknowledged
				if lost != tt.wantLost {
					t.Errorf("acknowledged entries lost: %v, want %v", lost, tt.wantLost)
				}
			})
		})
	}
}

// applyTen runs a Raft node of its own on disk, applies ten entries, and
// returns the index of the last that was acknowledged. The node is alive until
// the test's end, as one that loses its power.
func applyTen(t *testing.T, disk *memdisk.Disk) uint64 {
	t.Helper()
	store, err := storage.Assemble(disk.Open(), storage.Config{NodeID: "n1", Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	_, transport := raft.NewInmemTransport("n1")
	config := raft.DefaultConfig()
	config.LocalID = "n1"
	config.Logger = hclog.NewNullLogger()
	must(t, raft.BootstrapCluster(config, store.Log, store.Stable, store.Snapshots, transport,
		raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "n1"}}}))
	node, err := raft.NewRaft(config, &raft.MockFSM{}, store.Log, store.Stable, store.Snapshots, transport)
	must(t, err)
	t.Cleanup(func() { must(t, node.Shutdown().Error()) })
	for leading := range node.LeaderCh() {
		if leading {
			break
		}
	}
	var last uint64
	for range 10 {
		future := node.Apply([]byte("entry"), 0)
		must(t, future.Error())
		last = future.Index()
	}
	return last
}
