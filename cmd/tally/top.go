package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"tally/client"
	"tally/cmd/tally/internal/top"
)

func (p *program) topCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "top",
		Short: "Show live which groups change most, and the members",
		Long: `Show live which groups change most, who leads, and how far members are behind. The rates are those of
committed changes in the last five seconds, counted by a watch of at most 1,000 groups. With tokens it takes the role admin.

Without a terminal, or with --once, it watches for --interval, prints one picture, and ends.`,
		Example: `  tally top
  tally top --prefix room: --interval 500ms
  tally top --once --interval 5s -o json`,
		Args: arguments(0, 0, "[flags]"),
	}
	prefix := c.Flags().String("prefix", "", "only groups whose IDs begin with this `text`")
	interval := c.Flags().Duration("interval", time.Second, "how often it looks")
	once := c.Flags().Bool("once", false, "print one picture and end")
	most := c.Flags().Int("limit", 20, "how many groups one picture has")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *interval < 10*time.Millisecond || *most < 1 {
			return usagef("--interval must be at least 10ms, --limit at least 1")
		}
		return p.with(func(calls *client.Client) error {
			// Asked once before anything is drawn: a mistake is told where it stays to be read.
			if _, err := calls.Cluster(c.Context()); err != nil {
				return err
			}
			m := top.Open(top.Config{Client: calls, Prefix: *prefix})
			defer m.Close()
			if *once || p.settings.Output != "" || !isTerminal(p.Stdin) || !isTerminal(p.Stdout) {
				return p.topOnce(c.Context(), m, *interval, *most)
			}
			return top.Show(c.Context(), m, *interval, p.Stdin, p.Stdout)
		})
	}
	return c
}

func (p *program) topOnce(ctx context.Context, m *top.Monitor, interval time.Duration, most int) error {
	select {
	case <-time.After(interval):
	case <-ctx.Done():
		return ctx.Err()
	}
	picture := m.Look(ctx, most)
	if picture.Err != nil {
		return picture.Err
	}
	switch p.form() {
	case formJSON, formYAML:
		return p.print(document{value: picture})
	}
	return picture.Print(p.Stdout)
}
