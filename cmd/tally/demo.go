package main

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tally/cmd/tally/internal/demo"
)

// demoing are the flags of demo.
type demoing struct {
	port     int
	rate     float64
	duration time.Duration
	noKeys   bool
}

func (p *program) demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run three nodes in this process and see what they survive",
		Long: `Run three nodes in this process, with a light load on them, and see what they survive. Nothing is left
behind: their files are in a temporary directory that is removed at the end.

On a terminal, keys kill, pause and start nodes. Otherwise, or with --no-keys, lines do: kill, pause,
resume, start or lead with n1, n2, n3 or "leader"; check; wait 2s; quit.

The nodes being in one process, what is done to them is done to their traffic. Killed: every connection
of the node breaks, its ports close, and nothing is handed over; its files stay. Paused: nothing reaches
it and nothing leaves it, but its clocks go on. For signals to real processes see scripts/cluster.sh.

The load is four writers, each with a counter of group "demo" that is its own. It increases it by one
under an idempotency key until it is answered, so the answers must be 1, 2, 3 and so on: a lost change
would repeat a number, one that counted twice would skip one. At the end all nodes are read and compared.

Pages from localhost may call the nodes from a browser.`,
		Example: `  tally demo
  tally demo --http-port 0 --rate 200
  printf 'wait 1s\nkill leader\nwait 2s\nstart\nquit\n' | tally demo --no-keys
  tally demo --no-keys --time 10s < /dev/null`,
		Args: arguments(0, 0, "[flags]"),
	}
	var d demoing
	c.Flags().IntVar(&d.port, "http-port", 8101, "`port` of the first node on 127.0.0.1, the others behind it; 0 takes free ones")
	c.Flags().Float64Var(&d.rate, "rate", 40, "how many changes `a second` the writers make together")
	c.Flags().DurationVar(&d.duration, "time", 0, "end after this time (default: when told to)")
	c.Flags().BoolVar(&d.noKeys, "no-keys", false, "print lines and read lines, also on a terminal")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if d.rate <= 0 || d.rate > 10_000 || d.port < 0 || d.port > 65533 {
			return usagef("--rate must be more than 0 and at most 10000, --http-port 0 to 65533")
		}
		addProcessors()
		signal.Ignore(syscall.SIGPIPE) // else a reader that goes ends the process before its files are removed
		show := demo.RunScreen
		if d.noKeys || !isTerminal(p.Stdin) || !isTerminal(p.Stdout) {
			show = demo.RunPlain
		}
		return show(c.Context(), demo.Options{
			Config:    demo.Config{HTTPPort: d.port, Version: version()},
			PerSecond: d.rate, Duration: d.duration, Tally: calledAs(), Endpoints: defaultEndpoints, In: p.Stdin, Out: p.Stdout,
		})
	}
	return c
}

// addProcessors gives the scheduler more processors than the machine has: a
// goroutine in fsync holds its processor until the runtime notices, and three
// nodes wait for the disk in this process. GOMAXPROCS in the environment wins.
func addProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), min(8, 4*runtime.GOMAXPROCS(0))))
	}
}
