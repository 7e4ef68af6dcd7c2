package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"tally/counter"
)

// lookInterval is how often the screen is drawn anew.
const lookInterval = 250 * time.Millisecond

// RunScreen shows the demo on a terminal, with keys. It ends with the key q,
// after Options.Duration, or when ctx does. The error is not nil if the cluster
// did not show what it had acknowledged.
func RunScreen(ctx context.Context, o Options) (err error) {
	said := make(chan string, 256)
	o.Say = func(text string) {
		select {
		case said <- text:
		default: // the screen has gone
		}
	}
	fmt.Fprintln(o.Out, "Starting three nodes in this process...")
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
		fmt.Fprintln(o.Out, farewell)
	}()

	c := &control{cluster: cluster, writers: writers}
	err = o.show(ctx, c, said)
	verdict, checkErr := c.final(context.WithoutCancel(ctx))
	fmt.Fprintln(o.Out, verdict)
	return errors.Join(err, checkErr)
}

// show runs the screen until its end.
func (o *Options) show(ctx context.Context, c *control, said <-chan string) error {
	program := tea.NewProgram(newScreen(ctx, c, o.toTry(c.cluster)), tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithoutSignalHandler())
	over := make(chan struct{})
	forwarded := make(chan error, 1)
	go func() {
		for {
			select {
			case text := <-said:
				program.Send(saidMsg{time.Now(), text})
			case err := <-c.cluster.Failed():
				program.Quit()
				forwarded <- err
				return
			case <-over:
				forwarded <- nil
				return
			}
		}
	}()
	_, err := program.Run()
	close(over)
	failed := <-forwarded
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		err = nil // it was asked to end
	}
	return errors.Join(err, failed)
}

// What the screen is told.
type (
	lookedMsg struct {
		view  View
		tally Tally
	}
	saidMsg struct {
		at   time.Time
		text string
	}
	doneMsg struct{ err error } // an action is over
	lookMsg struct{}            // it is time to look again
)

// screen is the bubbletea model of the demo.
type screen struct {
	ctx     context.Context
	control *control
	toTry   []string
	ids     []string
	urls    []string

	chosen        int // index of the node that keys act on
	view          View
	tally         Tally
	events        []saidMsg // newest last
	busy          int       // actions under way
	width, height int
}

func newScreen(ctx context.Context, c *control, toTry []string) screen {
	return screen{
		ctx: ctx, control: c, ids: c.cluster.IDs(), urls: c.cluster.URLs(),
		toTry: toTry, width: 100, height: 30,
	}
}

// Init implements tea.Model.
func (s screen) Init() tea.Cmd { return s.look() }

// look asks the cluster, which can take half a second while a node is paused.
func (s screen) look() tea.Cmd {
	return func() tea.Msg {
		return lookedMsg{s.control.cluster.Look(s.ctx), s.control.writers.Tally()}
	}
}

// Update implements tea.Model.
func (s screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case lookedMsg:
		s.view, s.tally = m.view, m.tally
		return s, tea.Tick(lookInterval, func(time.Time) tea.Msg { return lookMsg{} })
	case lookMsg:
		return s, s.look()
	case saidMsg:
		s.events = append(s.events, m)
		s.events = s.events[max(0, len(s.events)-eventsKept):]
	case doneMsg:
		s.busy--
		if m.err != nil && !errors.Is(m.err, errNotExact) { // the check has said so itself
			s.events = append(s.events, saidMsg{time.Now(), m.err.Error()})
		}
	case tea.KeyPressMsg:
		return s.key(m.String())
	}
	return s, nil
}

// eventsKept is how many events are kept for a screen of any height.
const eventsKept = 100

// key acts on a key.
func (s screen) key(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "q", "ctrl+c", "esc":
		return s, tea.Quit
	case "up":
		s.chosen = (s.chosen + len(s.ids) - 1) % len(s.ids)
	case "down", "tab":
		s.chosen = (s.chosen + 1) % len(s.ids)
	case "1", "2", "3":
		s.chosen = int(key[0] - '1')
	case "l":
		if i := slices.Index(s.ids, s.control.cluster.Leader()); i >= 0 {
			s.chosen = i
		}
	case "k":
		return s.do("kill")
	case "p":
		if s.view.States[s.ids[s.chosen]] == Paused {
			return s.do("resume")
		}
		return s.do("pause")
	case "s":
		return s.do("start")
	case "t":
		return s.do("lead")
	case "c":
		return s.do("check")
	}
	return s, nil
}

// do starts an action on the chosen node.
func (s screen) do(action string) (tea.Model, tea.Cmd) {
	line := action + " " + s.ids[s.chosen]
	s.busy++
	return s, func() tea.Msg { return doneMsg{s.control.do(s.ctx, line)} }
}

// The looks of the screen.
func bold(text string) string  { return lipgloss.NewStyle().Bold(true).Render(text) }
func faint(text string) string { return lipgloss.NewStyle().Faint(true).Render(text) }
func alarm(text string) string {
	return lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("1")).Render(text)
}
func good(text string) string {
	return lipgloss.NewStyle().Foreground(lipgloss.Color("2")).Render(text)
}

// View implements tea.Model.
func (s screen) View() tea.View {
	v := tea.NewView(s.text())
	v.AltScreen = true
	return v
}

func (s screen) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n\n", bold("Tally demo"), faint("three nodes in this process; their files are removed at the end"))
	s.writeNodes(&b)
	fmt.Fprintf(&b, "\n%s\n", s.load())
	head, tail := b.String(), s.foot()
	room := max(3, s.height-strings.Count(head, "\n")-strings.Count(tail, "\n")-1)
	var shown strings.Builder
	shown.WriteString("\n")
	for _, e := range s.events[max(0, len(s.events)-room+1):] {
		fmt.Fprintf(&shown, "  %s  %s\n", faint(e.at.Format("15:04:05.00")), mark(e.text))
	}
	return lipgloss.NewStyle().MaxWidth(s.width).Render(head + shown.String() + tail)
}

// mark makes an alarm of what must not be overlooked.
func mark(text string) string {
	if strings.HasPrefix(text, "WRONG") || strings.HasPrefix(text, "NOT ") {
		return alarm(text)
	}
	return text
}

func (s screen) load() string {
	text := progress(s.tally)
	if s.tally.Silence > gapTold {
		text += fmt.Sprintf("; none for %.1f s", s.tally.Silence.Seconds())
	}
	verdict := good(exactness(s.tally))
	if len(s.tally.Wrong) > 0 {
		verdict = alarm(exactness(s.tally))
	}
	return "  " + text + "\n  " + verdict
}

func (s screen) foot() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  %s\n", bold("Try in another terminal"))
	for _, line := range s.toTry {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	keys := "\u2191\u2193 choose  l leader  k kill  p pause  s start  t lead  c check  q quit"
	if s.busy > 0 {
		keys += " ..."
	}
	fmt.Fprintf(&b, "\n  %s", keys)
	return b.String()
}

// writeNodes writes the table of nodes.
func (s screen) writeNodes(out io.Writer) {
	var committed uint64
	for _, m := range s.view.Members {
		committed = max(committed, m.CommitIndex)
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  NODE\tSTATE\tROLE\tTERM\tAPPLIED\tLAG\tCLIENTS\tSTATE HASH")
	for i, id := range s.ids {
		pointer := " "
		if i == s.chosen {
			pointer = ">"
		}
		role, hash := s.columns(id, committed)
		fmt.Fprintf(table, "%s %s\t%s\t%s\t%s\t%s\n", pointer, id, s.view.States[id], role, strings.TrimPrefix(s.urls[i], "http://"), hash)
	}
	_ = table.Flush() // a builder takes everything
	for i, line := range strings.SplitAfter(text.String(), "\n") {
		switch {
		case i == 0:
			line = faint(strings.TrimSuffix(line, "\n")) + "\n"
		case i == s.chosen+1:
			line = bold(strings.TrimSuffix(line, "\n")) + "\n"
		}
		fmt.Fprint(out, line)
	}
}

// hashDigits are enough of a state hash to see that two are equal.
const hashDigits = 8

// columns are what the cluster says of a node: role, term, applied and lag, then
// the state hash.
func (s screen) columns(id string, committed uint64) (role, hash string) {
	i := slices.IndexFunc(s.view.Members, func(m counter.Member) bool { return m.ID == id })
	if i < 0 || !s.view.Members[i].Reachable || s.view.States[id] != Running {
		return "-\t-\t-\t-", "-"
	}
	m := s.view.Members[i]
	hash = "-"
	if m.StateHash != nil {
		hash = fmt.Sprintf("%s @ %d", m.StateHash.Hash[:min(hashDigits, len(m.StateHash.Hash))], m.StateHash.Index)
	}
	return fmt.Sprintf("%s\t%d\t%d\t%d", m.Role, s.view.Term, m.AppliedIndex, committed-min(committed, m.AppliedIndex)), hash
}
