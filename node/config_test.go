package node_test

import (
	"strings"
	"testing"
	"time"

	"tally/node"
)

// TestWatchLimitsMustMakeSense: a node without room for a watcher or an event is a mistake.
func TestWatchLimitsMustMakeSense(t *testing.T) {
	for name, change := range map[string]func(*node.Config){
		"max watchers":     func(c *node.Config) { c.MaxWatchers = 0 },
		"watch events max": func(c *node.Config) { c.WatchEventsMax = -1 },
		"watch bytes max":  func(c *node.Config) { c.WatchBytesMax = 0 },
		"watch interval":   func(c *node.Config) { c.WatchInterval = time.Microsecond },
	} {
		config := node.Default()
		config.Fatal = func(error) {}
		if err := config.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
