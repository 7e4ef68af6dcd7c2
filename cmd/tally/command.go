package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tally/client"
)

const intro = `tally is the command line of Tally, a replicated store for group counters.

Nothing running yet? "tally demo" starts three nodes and shows what they do.`

const rootExamples = `  # Three nodes in one process, with keys to kill and pause them
  tally demo

  # Count, read, watch
  tally increase room likes
  tally get room
  tally watch room

  # Another cluster
  tally --endpoints 10.0.0.1:8101,10.0.0.2:8101 status`

// The groups of commands on the help page.
const (
	countersGroup = "counters"
	clusterGroup  = "cluster"
	toolsGroup    = "tools"
)

// newCommand returns the command line of tally.
func newCommand(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:           "tally",
		Short:         "The command line of a Tally cluster",
		Long:          intro,
		Example:       rootExamples,
		Args:          cobra.ArbitraryArgs, // checked in RunE, for an error of our own
		RunE:          p.root,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(explainFlagError)
	p.settings.addFlags(root.PersistentFlags())
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return p.settings.resolve(p) }
	root.AddGroup(
		&cobra.Group{ID: countersGroup, Title: "Counters:"},
		&cobra.Group{ID: clusterGroup, Title: "The cluster:"},
		&cobra.Group{ID: toolsGroup, Title: "Tools:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(countersGroup, p.getCommand(), p.setCommand(), p.increaseCommand(), p.decreaseCommand(), p.deleteCommand(),
		p.watchCommand(), p.batchCommand(), p.groupsCommand())
	add(clusterGroup, p.statusCommand(), p.membersCommand(), p.transferCommand(), p.joinCommand(), p.removeCommand(),
		p.topCommand(), p.checkCommand())
	add(toolsGroup, p.demoCommand(), p.benchCommand(), p.tokenCommand(), p.versionCommand())
	root.SetCompletionCommandGroupID(toolsGroup)
	root.SetHelpCommandGroupID(toolsGroup)
	p.adaptStandardCommands(root)
	p.completeFlags(root)
	root.SetUsageTemplate(root.UsageTemplate() + "{{if not .HasParent}}\n" + exitCodes + "{{end}}")
	return root
}

func (p *program) root(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean \"%s\"?", strings.Join(near, `" or "`))
	}
	return usagef("%s\nAll commands: tally --help", text)
}

// adaptStandardCommands gives the commands that come with the library what ours have.
func (p *program) adaptStandardCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Example = "  tally help watch"
			c.Args = func(_ *cobra.Command, args []string) error {
				if found, _, _ := root.Find(args); found == root && len(args) > 0 {
					return p.root(root, args)
				}
				return nil
			}
		case "completion":
			c.Example = "  # In this shell, and in those to come\n  source <(tally completion bash)\n  tally completion bash > /etc/bash_completion.d/tally"
			for _, shell := range c.Commands() {
				shell.Example = fmt.Sprintf("  tally completion %s > tally.%s", shell.Name(), shell.Name())
			}
		}
	}
}

// explainFlagError adds to an unknown flag where all of them are listed.
func explainFlagError(c *cobra.Command, err error) error {
	unknown, invalid := new(pflag.NotExistError), new(pflag.InvalidValueError)
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedName() == "token":
		return usagef("a token is not given as an argument, which every user of this machine could read; use --token-file or TALLY_TOKEN")
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return usagef("--%s %s: want %s\nAll flags: %s --help", flag.Name, invalid.GetValue(), flagForm(flag.Value.Type()), c.CommandPath())
	}
	return usageError{fmt.Errorf("%w\nAll flags: %s --help", err, c.CommandPath())}
}

// flagForm says what a flag of a type takes.
func flagForm(name string) string {
	switch name {
	case "duration":
		return "a time such as 500ms, 5s or 2m"
	case "uint64", "uint":
		return "a whole number, 0 or more"
	case "int", "int64":
		return "a whole number"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	}
	return "a " + name
}

// exclusive refuses two flags that contradict each other.
func exclusive(c *cobra.Command, one, other string) error {
	if c.Flags().Changed(one) && c.Flags().Changed(other) {
		return usagef("--%s and --%s are both given; give one", one, other)
	}
	return nil
}

// arguments checks how many there are; max -1 is any number.
func arguments(least, most int, form string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef("want: %s\nAll of it: %s --help", strings.TrimSpace(c.CommandPath()+" "+form), c.CommandPath())
		}
		return nil
	}
}

// settings are the flags that all commands have.
type settings struct {
	Endpoints []string
	TokenFile string
	User      string
	Timeout   time.Duration
	Output    string

	token string // what was read from TokenFile or the environment
}

// defaultEndpoints are those of scripts/cluster.sh and "tally demo"; a node that
// is started without flags has the first.
const defaultEndpoints = "127.0.0.1:8101,127.0.0.1:8102,127.0.0.1:8103"

func (s *settings) addFlags(f *pflag.FlagSet) {
	f.StringSliceVarP(&s.Endpoints, "endpoints", "e", nil, "`nodes` to ask, host:port or URL; the others are learned (TALLY_ENDPOINTS; default "+defaultEndpoints+")")
	f.StringVar(&s.TokenFile, "token-file", "", "`file` with a bearer token (TALLY_TOKEN_FILE; or the token itself in TALLY_TOKEN)")
	f.StringVar(&s.User, "user", "", "`name` to be known by, where nodes take the caller's word (TALLY_USER)")
	f.DurationVar(&s.Timeout, "timeout", 5*time.Second, "how long a call may take with all its attempts")
	f.StringVarP(&s.Output, "output", "o", "", "`form`: table, plain, json or yaml (default: table on a terminal, else plain)")
}

// resolve takes from the environment what no flag says, and checks it.
func (s *settings) resolve(p *program) error {
	if len(s.Endpoints) == 0 {
		s.Endpoints = strings.Split(orElse(p.getenv("TALLY_ENDPOINTS"), defaultEndpoints), ",")
	}
	for i, endpoint := range s.Endpoints {
		s.Endpoints[i] = strings.TrimSpace(endpoint)
	}
	s.User = orElse(s.User, p.getenv("TALLY_USER"))
	s.TokenFile = orElse(s.TokenFile, p.getenv("TALLY_TOKEN_FILE"))
	s.token = strings.TrimSpace(p.getenv("TALLY_TOKEN"))
	if s.TokenFile != "" {
		token, err := readToken(s.TokenFile)
		if err != nil {
			return usageError{err}
		}
		s.token = token
	}
	if s.Output != "" && !slices.Contains(outputForms(), s.Output) {
		return usagef("there is no output form %q; there are: %s", s.Output, strings.Join(outputForms(), ", "))
	}
	if s.Timeout <= 0 {
		return usagef("--timeout must be more than 0")
	}
	return nil
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// client makes the client of one command.
func (p *program) client() (*client.Client, error) { return p.clientOf(p.settings.Endpoints) }

func (p *program) clientOf(endpoints []string, options ...client.Option) (*client.Client, error) {
	options = append(options, client.WithTimeout(p.settings.Timeout))
	if p.settings.token != "" {
		options = append(options, client.WithToken(p.settings.token))
	}
	if p.settings.User != "" {
		options = append(options, client.WithUser(p.settings.User))
	}
	c, err := client.New(endpoints, options...)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// with carries out what needs a client, and closes it.
func (p *program) with(call func(*client.Client) error) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	return errors.Join(call(c), c.Close())
}
