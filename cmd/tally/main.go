package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/term"
)

func main() {
	p := &program{Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	ctx, release := endOnSignal()
	code := p.Run(ctx, os.Args[1:])
	release()
	os.Exit(code)
}

// endOnSignal returns a context that ends at the first SIGINT or SIGTERM, or with
// the terminal. The second one ends the process as if nobody had asked for the first.
func endOnSignal() (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as by nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// program is tally with everything that ties it to its process, so that tests
// run it with other arguments, environments and outputs.
type program struct {
	Environ        []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	settings settings
}

// Run carries out one command line and returns the exit code.
func (p *program) Run(ctx context.Context, args []string) int {
	root := newCommand(p)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	e := explain(err, ctx.Err() != nil)
	if isCheck(command) && e.code != exitOK {
		return p.checkFailed(err, e)
	}
	if e.text != "" {
		fmt.Fprintf(p.Stderr, "tally: %s\n", e.text)
	}
	if e.next != "" {
		fmt.Fprintln(p.Stderr, e.next)
	}
	return e.code
}

// getenv returns a variable of the environment, "" if it is not there.
func (p *program) getenv(name string) string {
	for _, entry := range p.Environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// isTerminal tells whether a person is at the other end of a stream.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// calledAs is how this program is called, for examples to paste: by go run it
// has no name that would work.
func calledAs() string {
	path, err := os.Executable()
	if err == nil && strings.Contains(filepath.ToSlash(path), "/go-build") {
		return "go run ./cmd/tally"
	}
	return "tally"
}
