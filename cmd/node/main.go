package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"tally/node"
)

func main() {
	p := &program{Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Exit: os.Exit}
	os.Exit(p.Run(os.Args[1:]))
}

// program is tallyd with everything that ties it to its process, so that tests
// run it with other arguments, environments and outputs.
type program struct {
	Environ        []string
	Stdout, Stderr io.Writer
	// Exit ends the process at once; it is used where nothing may be waited for.
	Exit func(code int)
}

// Run carries out one command line and returns the exit code.
func (p *program) Run(args []string) int {
	root := newCommand(p)
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.Stderr, "tallyd: %v\n", err)
	if errors.As(err, new(usageError)) {
		fmt.Fprintln(p.Stderr, "Every setting is explained by: tallyd --help")
		return exitUsage
	}
	return exitFailure
}

// Serve runs a node until it is told to stop or cannot go on.
func (p *program) Serve(s settings) error {
	// Signals first: from here on a signal means a clean stop, also one that
	// comes while the node still opens its files.
	ctx, release := stopOnSignal(context.Background(), p.Exit)
	defer release()

	logs := newLogWriter(p.Stderr)
	logger := newLogger(s, p.Stderr, logs)
	// What was logged last is what a reader wants most, but not at the price of
	// hanging on an output that nobody reads.
	defer logs.Flush(lastWordsTimeout)

	registry, err := newRegistry(logs)
	if err != nil {
		return fmt.Errorf("set up metrics: %w", err)
	}

	config := s.Node
	config.Logger = logger
	config.Metrics = registry
	config.Version = version()
	if err := hook(&config, p.Environ); err != nil {
		return err
	}
	var ending sync.Once // whoever comes second waits inside for the end of the process
	config.Fatal = func(err error) { ending.Do(func() { p.failStop(err, logs) }) }
	if err := config.Validate(); err != nil {
		return usageError{err}
	}

	addProcessors()
	defer keepMemory()()
	n, err := node.Open(config)
	if err != nil {
		return err
	}
	if s.standsAlone() {
		p.greet(ctx, n.HTTPURL(), config.Identity)
	}

	<-ctx.Done()
	logger.Info("stopping", "node", config.NodeID, "reason", context.Cause(ctx))
	return closeNode(n, config.ShutdownTimeout)
}

// closeNode stops the node cleanly. The node is asked to keep to the timeout;
// one that does not is left behind, since the process ends anyway.
func closeNode(n *node.Node, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- n.Close(ctx) }()

	const grace = time.Second // for a Close that notices the timeout and gives up in order
	select {
	case err := <-closed:
		return err
	case <-time.After(timeout + grace):
		return fmt.Errorf("the node did not stop within %v (--shutdown-timeout); it was abandoned, which loses nothing that was acknowledged", timeout)
	}
}

// addProcessors gives the scheduler more processors than the machine has: a
// goroutine in fsync holds its processor until the runtime notices, and with
// few of them commits wait for that. GOMAXPROCS in the environment wins.
func addProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), min(8, 4*runtime.GOMAXPROCS(0))))
	}
}

// greet prints what a newcomer can paste into another terminal, once it works.
func (p *program) greet(ctx context.Context, url, identity string) {
	token := ""
	if identity == node.IdentityJWT {
		token = `-H "Authorization: Bearer $TOKEN" `
	}
	if err := waitReady(ctx, []string{url}, 10*time.Second); err != nil {
		return // the log says why; lines that do not work would only mislead
	}
	fmt.Fprintf(p.Stdout, `Tally counts. Paste into another terminal:

  curl -X POST %[2]s%[1]s/v1/groups/room/counters/likes/increase
  curl %[2]s%[1]s/v1/groups/room/counters
  curl %[2]s%[1]s/v1/cluster

`, url, token)
}
