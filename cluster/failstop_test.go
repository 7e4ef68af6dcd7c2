package cluster_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
	"tally/storage"
	"tally/storage/memdisk"
)

var (
	errIO      error = syscall.EIO
	errNoSpace error = syscall.ENOSPC
)

// A leader whose disk hangs or fails ends itself, and the others elect another.
func TestLeaderWithoutADiskEndsItself(t *testing.T) {
	for _, test := range []struct {
		name   string
		op     storage.Operation
		fault  memdisk.Fault
		want   error
		within time.Duration // from the first write to the end
	}{
		{"hangs", storage.OpStoreLogs, hangs, storage.ErrTimeout, 2500 * time.Millisecond},
		{"too slow", storage.OpStoreLogs, memdisk.Fault{Delay: 3 * time.Second}, storage.ErrTimeout, 2500 * time.Millisecond},
		{"fails", storage.OpStoreLogs, memdisk.Fault{Err: errIO}, errIO, 100 * time.Millisecond},
		{"fails after writing", storage.OpStoreLogs, memdisk.Fault{Err: errIO, Done: true}, errIO, 100 * time.Millisecond},
		{"is full", storage.OpStoreLogs, memdisk.Fault{Err: errNoSpace}, errNoSpace, 100 * time.Millisecond},
		{"cannot compact", storage.OpDeleteRange, memdisk.Fault{Err: errIO}, errIO, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{Configure: withSmallLog}, func(t *testing.T, c *clustertest.Cluster) {
				leader := c.WaitLeader()
				others := c.Others(leader)
				mustIncrease(t, leader, 1)
				leader.Disk().Inject(test.op, test.fault)
				broken := time.Now()
				acknowledged := int64(1)
				for leader.Running() {
					if leader.Increase(group, key, 1).OK() {
						acknowledged++
					}
					time.Sleep(5 * time.Millisecond)
				}
				if lived := time.Since(broken); lived > test.within {
					t.Errorf("the leader lived on for %v, want at most %v", lived, test.within)
				}
				if err := leader.WaitFailure(); !errors.Is(err, test.want) {
					t.Errorf("it ended itself with %v, want %v", err, test.want)
				}
				c.WaitLeader(others...)
				if gone := time.Since(broken); gone > test.within+3*time.Second {
					t.Errorf("the others had no leader for %v", gone)
				}
				reply := others[0].Read(group)
				if got := reply.Counters[key]; got < acknowledged || got > acknowledged+1 {
					t.Errorf("%d changes after %d acknowledged and one open", got, acknowledged)
				}
				leader.Disk().Heal()
				leader.Start()
				c.WaitAgree()
			})
		})
	}
}

// Without fail-stop a hanging disk keeps its leader in place for good, because
// heartbeats need no disk (hashicorp/raft#503): the test above shows a repair.
func TestHangingDiskWithoutFailStop(t *testing.T) {
	patient := func(config *node.Config) { config.StorageTimeout = time.Hour }
	clustertest.Run(t, clustertest.Options{Configure: patient}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		mustIncrease(t, leader, 1)
		leader.Disk().Inject(storage.OpStoreLogs, hangs)
		start := time.Now()
		for time.Since(start) < time.Minute {
			if reply := c.Others(leader)[0].Increase(group, key, 1); reply.OK() {
				t.Fatalf("a change was acknowledged after %v: the library has learned to give up", time.Since(start))
			}
		}
		leader.Disk().Heal()
		c.WaitAgree()
	})
}

// A follower whose disk hangs takes nobody with it.
func TestFollowerWithoutADiskEndsItself(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		follower := c.Others(leader)[0]
		follower.Disk().Inject(storage.OpStoreLogs, hangs)
		mustIncrease(t, leader, 1)
		if err := follower.WaitFailure(); !errors.Is(err, storage.ErrTimeout) {
			t.Errorf("it ended itself with %v", err)
		}
		mustIncrease(t, leader, 1)
		if c.WaitLeader() != leader {
			t.Error("leadership moved")
		}
	})
}

// A vote that cannot be saved must not be given, and the node must not go on.
func TestNodeThatCannotSaveItsVoteEndsItself(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		for _, n := range c.Others(leader) {
			n.Disk().Inject(storage.OpSet, memdisk.Fault{Err: errIO})
			n.Disk().Inject(storage.OpSetUint64, memdisk.Fault{Err: errIO})
		}
		leader.Crash()
		c.WaitFor("an attempt to vote", func() bool { return len(c.Running()) < 2 })
		for _, n := range c.Nodes() {
			n.Disk().Heal()
			if !n.Running() {
				n.Start()
			}
		}
		c.WaitAgree()
	})
}
