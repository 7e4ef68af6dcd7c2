//go:build jepsen && planted

package main

import (
	"tally/fsm"
	internal "tally/internal/planted"
	"tally/jepsen-lite/journal"
	"tally/jepsen-lite/planted"
	"tally/node"
)

// plant lets the node make the mistake that PLANTED_BUG names, and returns what
// stands for the state machine under the journal.
func plant(config *node.Config) (func(*fsm.Machine) journal.Machine, error) {
	if name := internal.Name(); name != "" {
		config.Logger.Warn("this node makes a mistake on purpose", "bug", name)
	}
	return planted.Plant(config, internal.Name())
}
