package cluster_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tally/internal/clustertest"
	"tally/node"
)

// TestLogIsBoundedInBytes: large entries are cut off behind snapshots long before
// there are enough of them, and small ones after them are not.
func TestLogIsBoundedInBytes(t *testing.T) {
	bound := func(config *node.Config) { config.LogBytesMax = node.LogBytesMaxMin }
	clustertest.Run(t, clustertest.Options{Configure: bound}, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		const batches = 100
		batch, bytes := largeBatch()
		for range batches {
			if reply := leader.Do(http.MethodPost, "/v1/batch", batch); !reply.OK() {
				t.Fatal(reply)
			}
			time.Sleep(100 * time.Millisecond) // virtual, as are the looks at the log
		}
		c.WaitAgree()
		// The bound before a snapshot and the bound behind it, and what comes until it is done.
		most := uint64(3 * node.LogBytesMaxMin / bytes)
		if batches < 2*most {
			t.Fatalf("%d batches of %d bytes show nothing", batches, bytes)
		}
		var firsts []uint64
		for _, n := range c.Nodes() {
			first, last, snapshot := n.Disk().Extent()
			if last-first >= most || snapshot == 0 {
				t.Errorf("the log of %s has %d entries from %d on, its snapshot ends at %d; want fewer than %d", n.ID, last-first+1, first, snapshot, most)
			}
			firsts = append(firsts, first)
		}
		for range 3 * most {
			mustIncrease(t, leader, 1)
		}
		time.Sleep(5 * time.Second) // virtual: five more looks, of which none may cut
		for i, n := range c.Nodes() {
			if first, _, _ := n.Disk().Extent(); first != firsts[i] {
				t.Errorf("%s has cut small entries: its log begins at %d and began at %d", n.ID, first, firsts[i])
			}
			n.Crash()
		}
		for _, n := range c.Nodes() {
			n.Start()
		}
		c.WaitLeader()
		c.WaitAgree()
	})
}

// largeBatch is a batch of as many operations as are allowed, and about how many
// bytes it takes in the log.
func largeBatch() (body string, bytes int) {
	var operations []string
	for i := range 1000 {
		operation := fmt.Sprintf(`{"op":"increase","group":"%s%04d","counters":{"%s":1}}`, strings.Repeat("g", 60), i, strings.Repeat("k", 60))
		operations, bytes = append(operations, operation), bytes+130
	}
	return `{"operations":[` + strings.Join(operations, ",") + `]}`, bytes
}
