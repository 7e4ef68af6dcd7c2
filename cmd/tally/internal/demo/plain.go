package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Options say how the demo is shown.
type Options struct {
	Config
	// PerSecond is how many changes the writers make together.
	PerSecond float64
	// Duration ends the demo by itself, counted from when the nodes run; 0 does not.
	Duration time.Duration
	// Tally is how this program is called, for what is printed to be tried, and
	// Endpoints where it looks for nodes unless it is told otherwise.
	Tally, Endpoints string
	// In is where lines or keys come from, Out where the demo is shown.
	In  io.Reader
	Out io.Writer
}

// statusInterval is how often the plain form says how the writers are doing.
const statusInterval = 5 * time.Second

// RunPlain shows the demo as lines, and takes lines: see commandHelp. It ends
// with the line "quit", after Options.Duration, when ctx does, or when Out takes
// no more; not when the lines end. The error is not nil if the cluster did not show what it had
// acknowledged.
func RunPlain(ctx context.Context, o Options) (err error) {
	out := newLines(o.Out)
	o.Say = out.say
	out.print("Starting three nodes in this process...")
	cluster, writers, err := o.open(ctx)
	if errors.Is(err, context.Canceled) {
		return nil // it was told to end before it had begun
	}
	if err != nil {
		return err
	}
	ctx, cancel := o.limit(ctx)
	defer cancel()
	defer func() {
		err = errors.Join(err, cluster.Close(), writers.Close())
		out.print(farewell)
	}()

	out.print(o.intro(cluster))
	out.print("Type: " + commandHelp)
	c := &control{cluster: cluster, writers: writers}
	err = o.converse(ctx, c, out)
	verdict, finalErr := c.final(context.WithoutCancel(ctx))
	out.say(verdict)
	return errors.Join(err, finalErr)
}

// open starts cluster and writers.
func (o *Options) open(ctx context.Context) (*Cluster, *Writers, error) {
	cluster, err := Open(ctx, o.Config)
	if err != nil {
		return nil, nil, err
	}
	writers, err := OpenWriters(cluster, o.PerSecond)
	if err != nil {
		return nil, nil, errors.Join(err, cluster.Close())
	}
	return cluster, writers, nil
}

// limit makes ctx end after Options.Duration.
func (o *Options) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.Duration == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.Duration)
}

// converse carries out lines until the end.
func (o *Options) converse(ctx context.Context, c *control, out *lines) error {
	ticker := time.NewTicker(statusInterval)
	defer ticker.Stop()
	typed := readLines(ctx, o.In)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-out.broken:
			return nil // nobody reads any more, so nobody wants it to go on
		case err := <-c.cluster.Failed():
			return err
		case <-ticker.C:
			t := c.writers.Tally()
			out.say(progress(t) + "; " + exactness(t))
		case line, open := <-typed:
			if !open {
				typed = nil // nobody types any more
				continue
			}
			err := c.do(ctx, line)
			if errors.Is(err, errQuit) {
				return nil
			}
			if errors.Is(err, errNotExact) {
				return err
			}
			if err != nil {
				out.say(err.Error())
			}
		}
	}
}

// readLines sends the lines of in. Its goroutine ends with ctx or with in: a
// read that waits for somebody to type cannot be ended otherwise.
func readLines(ctx context.Context, in io.Reader) <-chan string {
	typed := make(chan string)
	go func() {
		defer close(typed)
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			select {
			case typed <- strings.TrimSpace(scanner.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return typed
}

// lines writes whole lines, by several goroutines.
type lines struct {
	broken chan struct{} // closed when a line could not be written; none is from then on

	mu  sync.Mutex
	out io.Writer // nil when broken
}

func newLines(out io.Writer) *lines { return &lines{out: out, broken: make(chan struct{})} }

func (l *lines) print(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return
	}
	if _, err := fmt.Fprintln(l.out, text); err != nil {
		l.out = nil
		close(l.broken)
	}
}

func (l *lines) say(text string) { l.print(time.Now().Format("15:04:05.00") + "  " + text) }

const farewell = "The nodes have stopped and their files are removed."

// intro says where the cluster is and what to try.
func (o *Options) intro(c *Cluster) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThree nodes run in this process; any of them answers:\n\n")
	for i, url := range c.URLs() {
		fmt.Fprintf(&b, "  %s  %s\n", c.IDs()[i], url)
	}
	fmt.Fprintf(&b, "\nTry in another terminal:\n\n")
	for _, line := range o.toTry(c) {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	fmt.Fprintf(&b, "\nFiles of the nodes, removed at the end: %s\n", c.Dir())
	return b.String()
}

// toTry are lines to paste into another terminal.
func (o *Options) toTry(c *Cluster) []string {
	var lines, addrs []string
	for _, m := range c.members {
		addrs = append(addrs, m.httpAddr)
	}
	if endpoints := strings.Join(addrs, ","); endpoints != o.Endpoints {
		lines = append(lines, "export TALLY_ENDPOINTS="+endpoints)
	}
	return append(lines,
		o.Tally+" increase room likes",
		o.Tally+" watch room",
		o.Tally+" top",
		fmt.Sprintf("curl -X POST %s/v1/groups/room/counters/likes/increase", c.members[0].url()),
	)
}

// progress and exactness are how the writers are doing, each in a sentence.
func progress(t Tally) string {
	text := fmt.Sprintf("%d changes acknowledged, %d in the last second", t.Acknowledged, t.PerSecond)
	if t.Waiting > 0 {
		text += fmt.Sprintf("; %d wait for an answer", t.Waiting)
	}
	return text
}

func exactness(t Tally) string {
	if len(t.Wrong) > 0 {
		return fmt.Sprintf("%d answers were NOT the next number", len(t.Wrong))
	}
	return "each answer was the next number: none lost, none twice"
}
