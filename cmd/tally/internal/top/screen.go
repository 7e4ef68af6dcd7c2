package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"tally/counter"
)

// Show runs the screen on a terminal until q, Ctrl-C, or the end of ctx.
func Show(ctx context.Context, m *Monitor, interval time.Duration, in io.Reader, out io.Writer) error {
	look := func(groups int) Picture { return m.Look(ctx, groups) }
	_, err := tea.NewProgram(newScreen(look, interval), tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // it was asked to end
	}
	return err
}

// What the screen is told.
type (
	pictureMsg Picture
	lookMsg    struct{} // it is time to look again
)

// screen is the bubbletea model.
type screen struct {
	look          func(groups int) Picture
	interval      time.Duration
	picture       Picture
	seen          bool // there is a picture
	paused        bool
	width, height int
}

func newScreen(look func(int) Picture, interval time.Duration) screen {
	return screen{look: look, interval: interval, width: 100, height: 30}
}

// Init implements tea.Model.
func (s screen) Init() tea.Cmd { return s.ask() }

func (s screen) ask() tea.Cmd {
	groups := max(1, s.height)
	return func() tea.Msg { return pictureMsg(s.look(groups)) }
}

// Update implements tea.Model.
func (s screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case pictureMsg:
		if !s.paused {
			s.picture, s.seen = Picture(m), true
		}
		return s, tea.Tick(s.interval, func(time.Time) tea.Msg { return lookMsg{} })
	case lookMsg:
		return s, s.ask()
	case tea.KeyPressMsg:
		switch m.String() {
		case "q", "ctrl+c", "esc":
			return s, tea.Quit
		case "space", "p":
			s.paused = !s.paused
		}
	}
	return s, nil
}

func bold(text string) string  { return lipgloss.NewStyle().Bold(true).Render(text) }
func faint(text string) string { return lipgloss.NewStyle().Faint(true).Render(text) }
func alarm(text string) string {
	return lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("1")).Render(text)
}

// View implements tea.Model.
func (s screen) View() tea.View {
	v := tea.NewView(s.text())
	v.AltScreen = true
	return v
}

func (s screen) text() string {
	if !s.seen {
		return "Looking for the cluster..."
	}
	head := bold(s.picture.headline()) + "\n"
	if s.picture.Err != nil {
		head += alarm(firstLine(s.picture.Err)) + "\n"
	}
	head += "\n" + emphasize(table(s.picture.memberRows())) + "\n"
	foot := "\n" + faint("q quit  p pause")
	if s.paused {
		foot = "\n" + alarm("paused") + faint("  p goes on  q quit")
	}
	room := max(1, s.height-strings.Count(head, "\n")-2)
	rows := s.picture.groupRows()
	groups := emphasize(table(rows[:min(len(rows), room)]))
	return lipgloss.NewStyle().MaxWidth(s.width).Render(head + strings.TrimSuffix(groups, "\n") + foot)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(line, "client: ")
}

// Print writes the picture as text, for where there is no terminal.
func (p *Picture) Print(out io.Writer) error {
	text := p.headline() + "\n\n" + table(p.memberRows()) + "\n" + table(p.groupRows())
	_, err := io.WriteString(out, text)
	return err
}

func (p *Picture) headline() string {
	leader := "no leader"
	if p.Cluster.Leader != nil {
		leader = p.Cluster.Leader.ID + " leads"
	}
	text := fmt.Sprintf("Tally  %s  term %d  %.1f changes/s in %d groups", leader, p.Cluster.Term, p.PerSecond, p.Watched)
	if p.More {
		text += fmt.Sprintf(" (the first %d of more)", p.Watched)
	}
	return text
}

func (p *Picture) memberRows() [][]string {
	rows := [][]string{{"NODE", "ROLE", "TERM", "APPLIED", "BEHIND", "VOTER", "CLIENTS"}}
	var committed uint64
	for _, m := range p.Cluster.Members {
		committed = max(committed, m.CommitIndex)
	}
	for _, m := range p.Cluster.Members {
		rows = append(rows, memberRow(m, p.Cluster.Term, committed))
	}
	return rows
}

func memberRow(m counter.Member, term, committed uint64) []string {
	voter := "yes"
	if !m.Voter {
		voter = "no"
	}
	if !m.Reachable {
		return []string{m.ID, "unreachable", "-", "-", "-", voter, m.URL}
	}
	return []string{m.ID, string(m.Role), fmt.Sprint(term), fmt.Sprint(m.AppliedIndex), fmt.Sprint(committed - min(committed, m.AppliedIndex)), voter, m.URL}
}

func (p *Picture) groupRows() [][]string {
	rows := [][]string{{"GROUP", "CHANGES/S", "CHANGES", "COUNTERS"}}
	for _, g := range p.Groups {
		rows = append(rows, []string{g.Group, fmt.Sprintf("%.1f", g.PerSecond), fmt.Sprint(g.Changes), fmt.Sprint(g.Counters)})
	}
	return rows
}

func table(rows [][]string) string {
	var text strings.Builder
	writer := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(writer, strings.Join(row, "\t"))
	}
	_ = writer.Flush() // a builder takes everything
	return text.String()
}

// emphasize makes a table's first line its heading.
func emphasize(table string) string {
	heading, rest, _ := strings.Cut(table, "\n")
	return faint(heading) + "\n" + rest
}
