package demo

import (
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// press sends a key to the screen and carries out what follows from it.
func press(t *testing.T, s screen, key string) screen {
	t.Helper()
	var message tea.KeyPressMsg
	switch key {
	case "down":
		message = tea.KeyPressMsg{Code: tea.KeyDown}
	default:
		message = tea.KeyPressMsg{Code: rune(key[0]), Text: key}
	}
	next, follow := s.Update(message)
	return settle(t, next.(screen), follow)
}

// settle carries out a command and tells the screen, once.
func settle(t *testing.T, s screen, follow tea.Cmd) screen {
	t.Helper()
	if follow == nil {
		return s
	}
	next, _ := s.Update(follow())
	return next.(screen)
}

// plain is what a screen shows, without colours.
func plain(s screen) string {
	return regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(s.View().Content, "")
}

// row is the line of a node.
func row(s screen, id string) string {
	for line := range strings.SplitSeq(plain(s), "\n") {
		if fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), ">")); len(fields) > 0 && fields[0] == id {
			return line
		}
	}
	return ""
}

func TestKeysActOnTheChosenNode(t *testing.T) {
	f := open(t)
	s := newScreen(t.Context(), f.control, []string{"tally watch room"})
	s = settle(t, s, s.look())
	for _, id := range s.ids {
		if !strings.Contains(row(s, id), "running") {
			t.Errorf("%s: %q", id, row(s, id))
		}
	}
	f.more()

	s = press(t, s, "l")
	killed := s.ids[s.chosen]
	if killed != f.cluster.Leader() || !strings.HasPrefix(strings.TrimSpace(row(s, killed)), "> ") {
		t.Fatalf("the leader is %s; chosen is %s\n%s", f.cluster.Leader(), killed, plain(s))
	}
	s = press(t, s, "k")
	f.more()
	s = settle(t, s, s.look())
	if !strings.Contains(row(s, killed), "killed") {
		t.Errorf("%q", row(s, killed))
	}
	s = press(t, s, "k") // again
	if !strings.Contains(plain(s), "killed already") {
		t.Error(plain(s))
	}
	s = press(t, s, "s")
	s = settle(t, s, s.look())
	if !strings.Contains(row(s, killed), "running") {
		t.Errorf("%q", row(s, killed))
	}

	s = press(t, s, "down")
	paused := s.ids[s.chosen]
	s = press(t, s, "p")
	s = settle(t, s, s.look())
	if paused == killed || !strings.Contains(row(s, paused), "paused") {
		t.Errorf("%q", row(s, paused))
	}
	s = press(t, s, "p")
	s = press(t, s, "c")
	s = settle(t, s, s.look())
	if !strings.Contains(row(s, paused), "running") || !strings.Contains(plain(s), "none lost, none twice") {
		t.Error(plain(s))
	}
	if !strings.Contains(f.heard.String(), "exact: ") {
		t.Error("the check said nothing")
	}
	if _, follow := s.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); follow == nil {
		t.Error("q does not end it")
	}
}

func TestScreenFitsItsTerminal(t *testing.T) {
	f := open(t)
	s := newScreen(t.Context(), f.control, []string{"tally watch room"})
	for range 200 {
		next, _ := s.Update(saidMsg{text: strings.Repeat("something happened ", 20)})
		s = next.(screen)
	}
	next, _ := s.Update(tea.WindowSizeMsg{Width: 80, Height: 28})
	s = settle(t, next.(screen), s.look())
	lines := strings.Split(plain(s), "\n")
	if len(lines) > 28 {
		t.Errorf("%d lines on a terminal of 28:\n%s", len(lines), plain(s))
	}
	if !strings.Contains(plain(s), "q quit") {
		t.Error("the keys are cut off")
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns on a terminal of 80: %q", n, line)
		}
	}
}
