package fsm_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"tally/counter"
	"tally/fsm"
)

// TestStateDoesNotKeepCommands changes one counter with each of many large
// commands: names in the state that were substrings of a command would keep all
// of it in memory.
func TestStateDoesNotKeepCommands(t *testing.T) {
	const commands, operations = 100, 500
	n := newNode(t, fsm.Config{})
	before := heapBytes()
	sent := 0
	for range 2 { // groups that are new, and groups that are known
		for i := range commands {
			list := []counter.Operation{increase(fmt.Sprint("g", i), by(fmt.Sprint("k", i), 1))}
			for range operations {
				list = append(list, remove(strings.Repeat("x", counter.GroupBytesMax)))
			}
			entry := n.entry(mutation(list...))
			sent += len(entry.Data)
			if applied := n.Apply(entry).(*fsm.Applied); applied.Err != nil {
				t.Fatal(applied.Err)
			}
		}
	}
	if kept := int64(heapBytes()) - int64(before); kept > int64(sent/20) {
		t.Errorf("%d bytes are kept after %d bytes of commands", kept, sent)
	}
	runtime.KeepAlive(n)
}
