package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// control carries out what somebody types, be it keys or lines.
type control struct {
	cluster *Cluster
	writers *Writers
}

// errQuit is what the line "quit" returns.
var errQuit = errors.New("quit")

// checkTimeout bounds a check: without a majority a change waits for its answer.
const checkTimeout = 5 * time.Second

// commandHelp are the lines that are understood.
const commandHelp = "kill, pause, resume, start or lead with a node (n1, n2, n3) or \"leader\"; check; wait 2s; quit"

// do carries out one line.
func (c *control) do(ctx context.Context, line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	argument := ""
	if len(words) > 1 {
		argument = words[1]
	}
	switch words[0] {
	case "quit":
		return errQuit
	case "check":
		return c.check(ctx)
	case "wait":
		return wait(ctx, argument)
	case "kill", "pause", "resume", "start", "lead":
		id, err := c.target(words[0], argument)
		if err != nil {
			return err
		}
		return c.act(ctx, words[0], id)
	}
	return fmt.Errorf("%q is not understood; there are: %s", line, commandHelp)
}

func (c *control) act(ctx context.Context, action, id string) error {
	switch action {
	case "kill":
		return c.cluster.Kill(id)
	case "pause":
		return c.cluster.Pause(id)
	case "resume":
		return c.cluster.Resume(id)
	case "start":
		return c.cluster.Start(ctx, id)
	}
	return c.cluster.Transfer(ctx, id)
}

// target is the node that is meant: the one that is named, the leader, or, for
// what only one node can be meant by, that one.
func (c *control) target(action, argument string) (string, error) {
	if argument != "" && argument != "leader" {
		return argument, nil
	}
	wanted := map[string]State{"resume": Paused, "start": Killed}
	if state, ok := wanted[action]; ok {
		for _, m := range c.cluster.members {
			if now, _ := m.now(); now == state {
				return m.id, nil
			}
		}
		return "", fmt.Errorf("no node is %s", state)
	}
	if action == "lead" {
		return "", fmt.Errorf("name the node that is to lead: lead %s", slices.Max(c.cluster.IDs()))
	}
	if leader := c.cluster.Leader(); leader != "" {
		return leader, nil
	}
	return "", errors.New("there is no leader now; name a node")
}

func wait(ctx context.Context, argument string) error {
	pause, err := time.ParseDuration(argument)
	if err != nil {
		return fmt.Errorf("wait how long? %w", err)
	}
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
	return nil
}

// errNotExact is what check returns if the cluster and the writers disagree.
var errNotExact = errors.New("the cluster does not show what it acknowledged")

func (c *control) check(ctx context.Context) error {
	verdict, err := c.verdict(ctx)
	if verdict != "" {
		c.cluster.config.Say(verdict)
	}
	return err
}

// verdict checks and returns the outcome in a sentence.
func (c *control) verdict(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	verdict, err := c.writers.Check(ctx)
	switch {
	case err != nil:
		return "", err
	case !verdict.Exact && len(verdict.Values) > 0:
		err = errNotExact
	}
	return verdict.String(), err
}

// String is the verdict in a sentence.
func (v Verdict) String() string {
	nodes := fmt.Sprintf("each of %d nodes", len(v.Values))
	switch {
	case len(v.Values) == 0:
		return fmt.Sprintf("%d changes acknowledged; no node can be read now: are two of three running?", v.Acknowledged)
	case !v.Exact:
		return fmt.Sprintf("NOT EXACT: %d changes acknowledged; the nodes count %v", v.Acknowledged, v.Values)
	case len(v.Values) == 1:
		nodes = "1 node"
	}
	return fmt.Sprintf("exact: %d changes acknowledged, %d counted on %s", v.Acknowledged, v.Acknowledged, nodes)
}

// final lets paused nodes go on and starts killed ones, so that all three are
// there to be compared, and checks.
func (c *control) final(ctx context.Context) (string, error) {
	for _, m := range c.cluster.members {
		var err error
		switch state, _ := m.now(); state {
		case Paused:
			err = c.cluster.Resume(m.id)
		case Killed:
			err = c.cluster.Start(ctx, m.id)
		}
		if err != nil {
			return "", err
		}
	}
	return c.verdict(ctx)
}
