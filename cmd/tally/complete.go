package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"tally/client"
)

// What completion of arguments may cost: somebody waits with a finger on Tab.
const (
	completionTimeout = time.Second
	completionMax     = 200
)

// complete asks the cluster for words. A cluster that is not there completes nothing.
func (p *program) complete(ctx context.Context, ask func(context.Context, *client.Client) []string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if p.settings.resolve(p) == nil {
		ctx, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		_ = p.with(func(calls *client.Client) error { // it fails in silence: a message would land in the command line
			words = ask(ctx, calls)
			return nil
		})
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func (p *program) completeGroups(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(c.Context(), func(ctx context.Context, calls *client.Client) (words []string) {
		for group, err := range calls.Groups(ctx, begun) {
			if err != nil || len(words) == completionMax {
				break
			}
			words = append(words, group.Group)
		}
		return words
	})
}

func (p *program) completeGroupAndKeys(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return p.completeGroups(c, args, begun)
	}
	return p.complete(c.Context(), func(ctx context.Context, calls *client.Client) (words []string) {
		reading, err := calls.GetStale(ctx, args[0])
		if err != nil {
			return nil
		}
		for _, one := range reading.Counters {
			words = append(words, one.Key)
		}
		return words
	})
}

func (p *program) completeNodes(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.complete(c.Context(), func(ctx context.Context, calls *client.Client) (words []string) {
		cluster, err := calls.Cluster(ctx)
		if err != nil {
			return nil
		}
		for _, m := range cluster.Members {
			words = append(words, m.ID)
		}
		return words
	})
}
