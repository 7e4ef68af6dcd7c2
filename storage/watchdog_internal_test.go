package storage

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// After a pause of the process, a ticker delivers one tick for all the time
// that has passed. The call under way has had no more of a chance than before.
func TestPauseIsNoHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		overdue := make(chan Operation, 1)
		w := newWatchdog(func(op Operation) { overdue <- op })
		ticks := make(chan time.Time)
		finished := make(chan struct{})
		go func() { w.run(ticks); close(finished) }()
		tick := func(n int) {
			for range n {
				ticks <- time.Now()
			}
			synctest.Wait()
		}

		tick(3)
		slot := w.begin(OpStoreLogs)
		tick(ticksPerTimeout / 2)
		time.Sleep(time.Hour) // paused
		tick(ticksPerTimeout / 2)
		if len(overdue) > 0 {
			t.Fatal("the pause was taken for a slow disk")
		}
		w.end(slot)

		slot = w.begin(OpStoreLogs)
		tick(ticksPerTimeout)
		if len(overdue) > 0 {
			t.Fatal("overdue before the timeout")
		}
		tick(1)
		if op := <-overdue; op != OpStoreLogs {
			t.Errorf("%s is overdue", op)
		}
		<-finished
		w.end(slot)
	})
}

// The guard is on the path of every append.
func TestGuardDoesNotAllocate(t *testing.T) {
	g := newGuard(Config{Timeout: time.Minute, Fatal: func(err error) { t.Error(err) }}, nil)
	defer func() {
		if err := g.close(nil); err != nil {
			t.Error(err)
		}
	}()
	log := &logStore{guard: g, inner: raft.NewInmemStore()}
	var entry raft.Log
	if err := log.inner.StoreLog(&raft.Log{Index: 1}); err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(1000, func() {
		if err := log.GetLog(1, &entry); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations for a call", allocations)
	}
}
