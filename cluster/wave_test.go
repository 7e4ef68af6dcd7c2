package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/storage"
	"tally/storage/memdisk"
)

// slowLog lets every write of the leader's log take so long, and returns how to
// learn how many there were.
func slowLog(leader *clustertest.Node, each time.Duration) (writes func() int) {
	disk := leader.Disk()
	before := disk.Calls(storage.OpStoreLogs)
	disk.Inject(storage.OpStoreLogs, memdisk.Fault{Delay: each})
	return func() int { return disk.Calls(storage.OpStoreLogs) - before }
}

// Who comes while others wait goes with the next wave, and waits for no more
// than the waves that are under way.
func TestWavesShareWrites(t *testing.T) {
	for _, test := range []struct {
		clients   int64
		writesMax int
	}{{1, 1}, {2, 2}, {32, 7}, {1000, 12}} {
		t.Run(fmt.Sprint(test.clients, " clients"), func(t *testing.T) {
			clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
				leader := c.WaitLeader()
				c.WaitAgree()
				writes := slowLog(leader, 50*time.Millisecond)
				tally := newTally(t)
				for range test.clients {
					tally.send(leader)
				}
				tally.wait()
				if tally.acknowledged != test.clients {
					t.Errorf("%d of %d were acknowledged: %v", tally.acknowledged, test.clients, tally.codes)
				}
				if n := writes(); n > test.writesMax {
					t.Errorf("%d writes of the log, want at most %d", n, test.writesMax)
				}
			})
		})
	}
}

// Who comes when a crowd has gone waits for it no longer than is told.
func TestWaveDoesNotWaitForThoseWhoAreGone(t *testing.T) {
	const flight, waitMax = 50 * time.Millisecond, 20 * time.Millisecond
	clustertest.Run(t, clustertest.Options{}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		c.WaitAgree()
		slowLog(leader, flight)
		tally := newTally(t)
		for range 64 {
			tally.send(leader)
		}
		tally.wait()
		for _, wait := range []time.Duration{waitMax, 0} {
			asked := time.Now()
			if reply := leader.Increase(group, key, 1); !reply.OK() {
				t.Fatal(reply)
			}
			if took, most := time.Since(asked), wait+flight+5*time.Millisecond; took > most {
				t.Errorf("took %v, want at most %v", took, most)
			}
		}
	})
}
