package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const intro = `tallyd runs one node of a Tally cluster: a replicated store for group counters.
Any node answers any request; three nodes survive the loss of one.`

const examples = `  # One node on loopback: clients on 127.0.0.1:8101, data in ./tally-data
  tallyd

  # The first of three founders; the others differ in name and addresses only
  tallyd --node-id n1 --data-dir /var/lib/tally --insecure \
    --http-addr 10.0.0.1:8101 --peer-addr 10.0.0.1:9101 \
    --initial-cluster n1=10.0.0.1:9101,n2=10.0.0.2:9101,n3=10.0.0.3:9101

  # A node that comes later
  tallyd --node-id n4 --data-dir /var/lib/tally --insecure \
    --http-addr 10.0.0.4:8101 --peer-addr 10.0.0.4:9101 --join 10.0.0.1:9101`

const closing = `Settings come, the strongest first, from flags, from the environment
(TALLY_NODE_ID for --node-id), and from the YAML file that --config names
(its keys are the flags' names: "node-id: n1"). An unknown one is an error.

Exit codes:
  0    stopped cleanly after SIGINT, SIGTERM or SIGHUP
  1    could not start, or could not stop cleanly
  2    wrong flags, environment or configuration file: change them first
  70   the node ended itself: its storage failed or hung, or its log cannot be read
  130  ended at once by a second signal
`

// newCommand returns the command line of tallyd.
func newCommand(p *program) *cobra.Command {
	s := defaultSettings()
	groups := s.flagGroups()
	known := pflag.NewFlagSet("settings", pflag.ContinueOnError)

	root := &cobra.Command{
		Use:     "tallyd",
		Short:   "Run a node of a Tally cluster",
		Example: examples,
		Args:    cobra.ArbitraryArgs, // checked in RunE, for an error of our own
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("%q is neither a flag nor a command", args[0])}
			}
			if err := s.resolve(known, p.Environ); err != nil {
				return usageError{err}
			}
			return p.Serve(s)
		},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	for _, g := range groups {
		known.AddFlagSet(g.Flags)
	}
	root.Flags().AddFlagSet(known)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(explainFlagError)
	root.AddCommand(p.readyCommand(), p.statusCommand(), p.versionCommand())

	standardHelp := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if c == root {
			fmt.Fprint(p.Stdout, rootHelp(root, groups))
			return
		}
		standardHelp(c, args)
	})
	return root
}

func rootHelp(root *cobra.Command, groups []flagGroup) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\nUsage:\n  tallyd [flags]\n", intro)
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			fmt.Fprintf(&text, "  tallyd %-7s  %s\n", c.Name(), c.Short)
		}
	}
	fmt.Fprintf(&text, "\nExamples:\n%s\n\n", root.Example)
	for _, g := range groups {
		fmt.Fprintf(&text, "%s:\n%s\n", g.Title, g.Flags.FlagUsagesWrapped(100))
	}
	text.WriteString(closing)
	return text.String()
}

// explainFlagError adds to an unknown flag the one that was probably meant.
func explainFlagError(c *cobra.Command, err error) error {
	unknown := new(pflag.NotExistError)
	if errors.As(err, &unknown) {
		if guess := nearestFlag(unknown.GetSpecifiedName(), c.Flags()); guess != "" {
			err = fmt.Errorf("%w; did you mean --%s?", err, guess)
		}
	}
	return usageError{err}
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  noArguments,
		Run:   func(*cobra.Command, []string) { printVersion(p.Stdout) },
	}
}

func (p *program) readyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ready",
		Short: "wait until nodes are ready to serve, or say what they wait for",
		Args:  noArguments,
	}
	urls := urlFlag(c, "`URL` of a node; repeatable, all of them must be ready")
	wait := c.Flags().Duration("wait", 0, "how long to wait for it")
	c.RunE = func(c *cobra.Command, _ []string) error { return waitReady(c.Context(), *urls, *wait) }
	return c
}

func (p *program) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "show the members of the cluster as one node sees them",
		Args:  noArguments,
	}
	urls := urlFlag(c, "`URL` of a node; repeatable, the first that answers is shown")
	tokenFile := c.Flags().String("token-file", p.variable(tokenFileVariable), "`file` with the token of an admin, where nodes ask for one ("+tokenFileVariable+"; or the token itself in "+tokenVariable+")")
	leaderOnly := c.Flags().Bool("leader", false, "print the leader's ID and nothing else")
	c.RunE = func(c *cobra.Command, _ []string) error {
		token, err := p.readToken(*tokenFile)
		if err != nil {
			return usageError{err}
		}
		view, err := firstView(c.Context(), *urls, token)
		if err != nil {
			return err
		}
		if *leaderOnly {
			return printLeader(p.Stdout, view)
		}
		return printMembers(p.Stdout, view)
	}
	return c
}

func urlFlag(c *cobra.Command, usage string) *[]string {
	return c.Flags().StringSlice("url", []string{"http://127.0.0.1:8101"}, usage)
}

// readToken reads the token of a file or else of the environment, "" for none.
func (p *program) readToken(path string) (string, error) {
	if path == "" {
		return p.variable(tokenVariable), nil
	}
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

// variable returns the value of an environment variable, "" if it is not set.
func (p *program) variable(name string) (value string) {
	for _, entry := range p.Environ {
		if text, found := strings.CutPrefix(entry, name+"="); found {
			value = text // the last one wins, as in a process of its own
		}
	}
	return value
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q: no arguments are taken here", args[0])}
	}
	return nil
}

// requestTimeout bounds one question to one node: a paused node accepts
// connections and answers nothing.
const requestTimeout = 2 * time.Second
