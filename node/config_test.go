package node_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tally/node"
)

// TestCallLimitsMustMakeSense: a figure out of range is a mistake, 0 calls are no limit.
func TestCallLimitsMustMakeSense(t *testing.T) {
	for _, test := range []struct {
		mutations, reads int
		window           time.Duration
		wrong            string // the setting that is named; "": none
	}{
		{20, 20, 5 * time.Second, ""},
		{0, 0, 5 * time.Second, ""},
		{1, 10_000, time.Hour, ""},
		{-1, 20, 5 * time.Second, "user mutations max"},
		{10_001, 20, 5 * time.Second, "user mutations max"},
		{20, 10_001, 5 * time.Second, "user reads max"},
		{20, 20, 0, "user calls window"},
		{20, 20, 1500 * time.Millisecond, "user calls window"},
		{20, 20, time.Hour + time.Second, "user calls window"},
	} {
		config := node.Default()
		config.Fatal = func(error) {}
		config.UserMutationsMax, config.UserReadsMax, config.UserCallsWindow = test.mutations, test.reads, test.window
		err := config.Validate()
		if (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%d, %d in %v: got %v", test.mutations, test.reads, test.window, err)
		}
	}
}

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

// TestUserSigsAreVerifiedOrNot: whoever asks for signatures is not served without.
func TestUserSigsAreVerifiedOrNot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*node.Config)
		want   string
	}{
		"key without application": {func(c *node.Config) { c.UserSigKeyFile = "key" }, "belong together"},
		"application without key": {func(c *node.Config) { c.SDKAppID = 1 }, "belong together"},
		"nobody may call":         {func(c *node.Config) { c.UserSigKeyFile, c.SDKAppID, c.UserSigAdmins = "key", 1, nil }, "name at least one"},
	} {
		config := node.Default()
		config.Fatal = func(error) {}
		c.change(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestUserSigKeyMustBeReadable: a node that cannot verify does not start.
func TestUserSigKeyMustBeReadable(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte(strings.Repeat("k", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), open} {
		config := node.Default()
		config.DataDir, config.HTTPAddr, config.PeerAddr = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
		config.Fatal = func(err error) { t.Error(err) }
		config.UserSigKeyFile, config.SDKAppID = path, 1400000000
		n, err := node.Open(config)
		if err == nil {
			t.Fatal("it serves without a key", n.Close(context.Background()))
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	}
}
