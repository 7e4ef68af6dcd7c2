package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands are all commands of tally that people see, and the root.
func commands(t *testing.T) []*cobra.Command {
	t.Helper()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c)
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(newCommand(&program{Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)}))
	if len(all) < 20 {
		t.Fatalf("only %d commands", len(all))
	}
	return all
}

// examples are the calls of tally in a help page, as words.
func examples(page string) (calls [][]string) {
	page = strings.ReplaceAll(page, "\\\n", " ")
	for line := range strings.SplitSeq(page, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		// What stands before the last pipe, and what is done with the output, is the shell's.
		if i := strings.LastIndex(line, "| tally "); i >= 0 {
			line = line[i+2:]
		}
		for _, end := range []string{" | ", " > ", " < ", ")"} {
			line, _, _ = strings.Cut(line, end)
		}
		line = strings.TrimPrefix(line, "source <(")
		if words := strings.Fields(line); len(words) > 0 && words[0] == "tally" {
			calls = append(calls, words[1:])
		}
	}
	return calls
}

// TestEveryHelpPageHasExamplesThatParse: commands, flags and the number of arguments.
func TestEveryHelpPageHasExamplesThatParse(t *testing.T) {
	for _, c := range commands(t) {
		calls := examples(c.Example)
		if len(calls) == 0 {
			t.Errorf("%s: no example that calls tally in %q", c.CommandPath(), c.Example)
		}
		for _, call := range calls {
			// A command line of its own: flags keep what was parsed into them.
			root := newCommand(&program{Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)})
			found, rest, err := root.Find(call)
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil && found.Args != nil {
				err = found.Args(found, found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: the example tally %s: %v", c.CommandPath(), strings.Join(call, " "), err)
			}
			if c.HasParent() && !strings.HasPrefix(found.CommandPath(), c.CommandPath()) && c.Name() != "token" && c.Name() != "help" {
				t.Errorf("%s: the example tally %s is one of %s", c.CommandPath(), strings.Join(call, " "), found.CommandPath())
			}
		}
	}
}

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	for _, c := range commands(t) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short text %q", c.CommandPath(), c.Short)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s says nothing", c.CommandPath(), f.Name)
			}
		})
	}
}

// TestDocumentNamesEverything: docs/cli.md has every command and every flag of ours.
func TestDocumentNamesEverything(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	document := string(text)
	for _, c := range commands(t) {
		if c.HasParent() && c.Parent().HasParent() { // a shell of completion
			continue
		}
		if !strings.Contains(document, "`"+c.CommandPath()) {
			t.Errorf("docs/cli.md does not have %s", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !strings.Contains(document, "--"+f.Name) {
				t.Errorf("docs/cli.md does not have --%s of %s", f.Name, c.CommandPath())
			}
		})
	}
	for _, code := range []string{"| 0 ", "| 1 ", "| 2 ", "| 3 ", "| 4 ", "| 130 "} {
		if !strings.Contains(document, code) {
			t.Errorf("docs/cli.md does not have exit code %s", strings.Trim(code, "| "))
		}
	}
}
