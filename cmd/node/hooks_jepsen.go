//go:build jepsen

package main

import (
	"os"
	"strings"

	"github.com/hashicorp/raft"

	"tally/fsm"
	"tally/jepsen-lite/journal"
	"tally/node"
)

// hook makes the node of a test build write down what it applies, and believe
// in the wrong clock that it is given. Both are told by the environment, and
// not by settings, which the product would have to know:
//
//	JEPSEN_JOURNAL  the file to append to, away from the disk that faults are made on
//	JEPSEN_CLOCK    a file with the milliseconds by which the wall clock is wrong
func hook(config *node.Config, environ []string) error {
	stand, err := plant(config)
	if err != nil {
		return err
	}
	for _, variable := range environ {
		name, path, _ := strings.Cut(variable, "=")
		switch name {
		case "JEPSEN_JOURNAL":
			j, err := journal.Open(path, os.Getpid())
			if err != nil {
				return err
			}
			config.Observe = func(m *fsm.Machine) raft.FSM { return j.Observe(stand(m)) }
		case "JEPSEN_CLOCK":
			config.Clock = journal.SkewedClock(path)
		}
	}
	return nil
}
