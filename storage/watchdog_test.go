package storage_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tally/storage"
	"tally/storage/memdisk"
)

func TestHungCallStops(t *testing.T) {
	for _, tt := range situations {
		t.Run(string(tt.op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := memdisk.New()
				store, fatals := mustAssemble(t, disk)
				disk.Inject(tt.op, memdisk.Fault{Hang: true})
				began := time.Now()
				returned := make(chan error, 1)
				go func() { returned <- call(tt.op, store) }()

				limit := timeout
				switch {
				case tt.op == storage.OpCreateSnapshot, tt.op == storage.OpWriteSnapshot:
					limit *= 5 // a follower is deaf while it is sent a snapshot
				case tt.file == "snapshots":
					limit *= 30
				}
				time.Sleep(limit - time.Millisecond)
				synctest.Wait()
				if err := fatals.first(); err != nil {
					t.Fatalf("stopped too early: %v", err)
				}
				time.Sleep(timeout/10 + time.Millisecond)
				synctest.Wait()
				first := fatals.first()
				if !errors.Is(first, storage.ErrTimeout) || !strings.Contains(first.Error(), string(tt.op)) {
					t.Fatalf("after %v: %v", time.Since(began), first)
				}
				if len(returned) > 0 {
					t.Fatal("the call returned although the disk hangs")
				}

				// The disk comes back: too late, nothing may be acknowledged.
				disk.Heal()
				if err := <-returned; !strings.Contains(errorText(err), first.Error()) {
					t.Errorf("the call that hung returned %v", err)
				}
			})
		})
	}
}

func TestSlowCallsDoNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		store, fatals := mustAssemble(t, disk)
		disk.Inject(storage.OpStoreLogs, memdisk.Fault{Delay: timeout - time.Millisecond})
		disk.Inject(storage.OpSet, memdisk.Fault{Delay: timeout / 3})
		for range 20 {
			done := make(chan error)
			go func() { done <- call(storage.OpSet, store) }()
			if err := errors.Join(call(storage.OpStoreLogs, store), <-done); err != nil {
				t.Fatal(err)
			}
		}
		if err := fatals.first(); err != nil {
			t.Error(err)
		}
	})
}

// The call that hangs is found among others that do not.
func TestHungCallAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		store, fatals := mustAssemble(t, disk)
		disk.Inject(storage.OpSet, memdisk.Fault{Hang: true})
		go func() { _ = call(storage.OpSet, store) }()
		for fatals.first() == nil {
			if err := call(storage.OpStoreLogs, store); err != nil {
				break
			}
			time.Sleep(timeout / 100)
		}
		if err := fatals.first(); !strings.Contains(errorText(err), "set in stable.bolt") {
			t.Errorf("got %v", err)
		}
		disk.Heal()
	})
}

// Closing is watched too: a node that cannot close its files must not stay.
func TestHungCloseStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backing := memdisk.New().Open()
		release := make(chan struct{})
		backing.Close = func() error { <-release; return nil }
		f := &fatals{}
		store, err := storage.Assemble(backing, storage.Config{NodeID: "n1", Timeout: timeout, Fatal: f.fatal})
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() { closed <- store.Close() }()
		time.Sleep(2 * timeout)
		synctest.Wait()
		if err := f.first(); !errors.Is(err, storage.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}
