package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

// completeKeys completes a flag with the counters of the first group that is named.
func (p *program) completeKeys(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeGroupAndKeys(c, args, begun)
}

// completeFlags gives every flag of a command and of those below it the words that
// it takes. The names of files are for flags that take a file.
func (p *program) completeFlags(c *cobra.Command) {
	words := map[string]cobra.CompletionFunc{
		"tally --output":        cobra.FixedCompletions(outputForms(), cobra.ShellCompDirectiveNoFileComp),
		"tally bench --work":    cobra.FixedCompletions(benchWorks(), cobra.ShellCompDirectiveNoFileComp),
		"tally token --role":    cobra.FixedCompletions(tokenRoles(), cobra.ShellCompDirectiveNoFileComp),
		"tally check --probe":   p.completeGroups,
		"tally groups --prefix": p.completeGroups,
		"tally top --prefix":    p.completeGroups,
		"tally watch --key":     p.completeKeys,
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		complete, ok := words[c.CommandPath()+" --"+f.Name]
		value, _ := pflag.UnquoteUsage(f)
		if f.NoOptDefVal != "" || !ok && value == "file" {
			return
		}
		if !ok {
			complete = cobra.NoFileCompletions
		}
		_ = c.RegisterFlagCompletionFunc(f.Name, complete) // fails only for flags that are not there
	})
	for _, below := range c.Commands() {
		p.completeFlags(below)
	}
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
