//go:build !jepsen

package main

import "tally/node"

// hook is for the test build alone; see hooks_jepsen.go.
func hook(*node.Config, []string) error { return nil }
