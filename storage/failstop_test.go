package storage_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

// every operation with what an I/O error of it means.
var situations = []struct {
	op    storage.Operation
	file  string
	stops bool
}{
	{storage.OpFirstIndex, "log.bolt", true},
	{storage.OpLastIndex, "log.bolt", true},
	{storage.OpGetLog, "log.bolt", true},
	{storage.OpStoreLogs, "log.bolt", true},
	{storage.OpDeleteRange, "log.bolt", true},
	{storage.OpGet, "stable.bolt", true},
	{storage.OpGetUint64, "stable.bolt", true},
	{storage.OpSet, "stable.bolt", true},
	{storage.OpSetUint64, "stable.bolt", true},
	{storage.OpLoadIdentity, "node.json", true},
	{storage.OpSaveIdentity, "node.json", true},
	{storage.OpCreateSnapshot, "snapshots", true},
	{storage.OpWriteSnapshot, "snapshots", true},
	{storage.OpCloseSnapshot, "snapshots", true},
	{storage.OpCancelSnapshot, "snapshots", true},
	{storage.OpListSnapshots, "snapshots", false},
	{storage.OpOpenSnapshot, "snapshots", false},
}

func TestFirstErrorStopsTheNode(t *testing.T) {
	for _, tt := range situations {
		t.Run(string(tt.op), func(t *testing.T) {
			disk := memdisk.New()
			store, fatals := mustAssemble(t, disk)
			disk.Inject(tt.op, memdisk.Fault{Err: syscall.EIO, Times: 1})

			if err := call(tt.op, store); err == nil {
				t.Error("the call that failed returned no error")
			}
			first := fatals.first()
			if stopped := first != nil; stopped != tt.stops {
				t.Fatalf("stopped: %v (%v), want %v", stopped, first, tt.stops)
			}
			if !tt.stops {
				return
			}
			if !errors.Is(first, syscall.EIO) || !strings.Contains(first.Error(), string(tt.op)) || !strings.Contains(first.Error(), tt.file) {
				t.Errorf("%q does not name the error, %s and %s", first, tt.op, tt.file)
			}
			if strings.Contains(first.Error(), "\n") {
				t.Errorf("%q is more than one line", first)
			}
			checkNothingWorks(t, disk, store, first)
		})
	}
}

// checkNothingWorks makes every call and wants none to reach the disk.
func checkNothingWorks(t *testing.T, disk *memdisk.Disk, store *storage.Store, first error) {
	t.Helper()
	for _, later := range situations {
		before := disk.Calls(later.op)
		if err := call(later.op, store); !strings.Contains(errorText(err), first.Error()) {
			t.Errorf("%s after the failure: %v, want %v", later.op, err, first)
		}
		if disk.Calls(later.op) != before {
			t.Errorf("%s after the failure reached the disk", later.op)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestHarmlessErrors(t *testing.T) {
	tests := []struct {
		op  storage.Operation
		err error
	}{
		{storage.OpGetLog, raft.ErrLogNotFound},
		{storage.OpGet, storage.ErrKeyNotFound},
		{storage.OpGetUint64, storage.ErrKeyNotFound},
		{storage.OpCreateSnapshot, syscall.ENOSPC},
		{storage.OpWriteSnapshot, syscall.ENOSPC},
		{storage.OpCloseSnapshot, syscall.ENOSPC},
		{storage.OpCancelSnapshot, syscall.EDQUOT},
	}
	for _, tt := range tests {
		t.Run(string(tt.op), func(t *testing.T) {
			disk := memdisk.New()
			store, fatals := mustAssemble(t, disk)
			disk.Inject(tt.op, memdisk.Fault{Err: tt.err, Times: 1})
			if err := call(tt.op, store); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v itself", err, tt.err)
			}
			if err := fatals.first(); err != nil {
				t.Errorf("it stopped the node: %v", err)
			}
			if err := call(storage.OpStoreLogs, store); err != nil {
				t.Errorf("a later call: %v", err)
			}
		})
	}
}

// Raft compares the text.
func TestKeyNotFoundText(t *testing.T) {
	store, _ := mustAssemble(t, memdisk.New())
	_, err := store.Stable.GetUint64([]byte("CurrentTerm"))
	if err == nil || err.Error() != "not found" {
		t.Errorf("got %v, want not found", err)
	}
}

// A full disk ends the node where it hits the log.
func TestNoSpaceForTheLogStops(t *testing.T) {
	disk := memdisk.New()
	store, fatals := mustAssemble(t, disk)
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Err: syscall.ENOSPC})
	_ = call(storage.OpStoreLogs, store)
	if !errors.Is(fatals.first(), syscall.ENOSPC) {
		t.Errorf("got %v", fatals.first())
	}
}

func TestPanicStops(t *testing.T) {
	disk := memdisk.New()
	store, fatals := mustAssemble(t, disk)
	disk.Inject(storage.OpGetLog, memdisk.Fault{Call: func() { panic("page 7 is damaged") }})
	_ = call(storage.OpGetLog, store)
	if err := fatals.first(); !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "page 7") {
		t.Errorf("got %v", err)
	}
}

// While the first goroutine is still in Fatal, no other gets back to Raft.
func TestFatalTakesEveryGoroutine(t *testing.T) {
	disk := memdisk.New()
	var mu sync.Mutex
	told := map[string]int{}
	store, err := storage.Assemble(disk.Open(), storage.Config{NodeID: "n1", Fatal: func(err error) {
		mu.Lock()
		told[err.Error()]++
		mu.Unlock()
		runtime.Goexit()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, store)
	disk.Inject(storage.OpSet, memdisk.Fault{Err: syscall.EIO})

	const goroutines = 8
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			_ = call(storage.OpSet, store)
			t.Error("a call after the failure returned")
		})
	}
	wg.Wait()
	if len(told) != 1 {
		t.Errorf("Fatal was told %d different errors: %v", len(told), told)
	}
	for _, n := range told {
		if n != goroutines {
			t.Errorf("Fatal met %d of %d goroutines", n, goroutines)
		}
	}
}

func TestCallsAfterClose(t *testing.T) {
	disk := memdisk.New()
	store, fatals := mustAssemble(t, disk)
	mustClose(t, store)
	for _, tt := range situations {
		if err := call(tt.op, store); !strings.Contains(errorText(err), storage.ErrClosed.Error()) {
			t.Errorf("%s: %v, want %v", tt.op, err, storage.ErrClosed)
		}
	}
	if err := fatals.first(); err != nil {
		t.Errorf("a call after Close stopped the node: %v", err)
	}
}

// A straggler that meets files which Close has just closed is no failure.
func TestCallDuringClose(t *testing.T) {
	disk := memdisk.New()
	store, fatals := mustAssemble(t, disk)
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Call: func() { mustClose(t, store) }, Err: errors.New("database not open")})
	if err := call(storage.OpStoreLogs, store); !strings.Contains(errorText(err), storage.ErrClosed.Error()) {
		t.Errorf("got %v, want %v", err, storage.ErrClosed)
	}
	if err := fatals.first(); err != nil {
		t.Errorf("it stopped the node: %v", err)
	}
}
