package top

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"tally/client"
	"tally/cmd/tally/internal/demo"
	"tally/counter"
)

func increase(group string, value int64) client.Event {
	return client.Event{Event: counter.Event{Kind: counter.Increase, Group: group, Key: "a", Value: value, Delta: 1}}
}

// TestRatesAreThoseOfTheWindow: ten changes a second for ten seconds, then none.
func TestRatesAreThoseOfTheWindow(t *testing.T) {
	begin := time.Now()
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	r := newRates(begin)
	r.add(client.Event{Event: counter.Event{Group: "busy"}, Reset: &counter.Reading{Counters: []counter.Counter{{Key: "a"}, {Key: "b"}}}}, begin)
	rate := func(d time.Duration) float64 {
		groups, total := r.busiest(10, at(d))
		if len(groups) != 1 || groups[0].PerSecond != total || groups[0].Counters != 2 {
			t.Fatalf("%v: got %v, %v in all", d, groups, total)
		}
		return total
	}
	if got := rate(0); got != 0 {
		t.Errorf("a reset counts as %v changes a second", got)
	}
	for d := time.Duration(0); d < 10*time.Second; d += 100 * time.Millisecond {
		r.add(increase("busy", 1), at(d))
		if got := rate(d); d >= time.Second && (got < 9.9 || got > 10.1) {
			t.Fatalf("%v a second after %v, want 10", got, d)
		}
	}
	if got := rate(12 * time.Second); got < 5 || got > 7 {
		t.Errorf("%v a second, want about 6 when two of five are over", got)
	}
	for _, later := range []time.Duration{16 * time.Second, time.Hour} {
		if got := rate(later); got != 0 {
			t.Errorf("%v a second after %v, want 0", got, later)
		}
	}
}

func TestBusiestComeFirst(t *testing.T) {
	begin := time.Now()
	r := newRates(begin)
	for i, group := range []string{"a", "b", "c"} {
		for range i + 1 {
			r.add(increase(group, 1), begin)
		}
	}
	groups, _ := r.busiest(2, begin.Add(time.Second))
	if len(groups) != 2 || groups[0].Group != "c" || groups[1].Group != "b" {
		t.Errorf("got %v", groups)
	}
	r.keep([]string{"a", "b"})
	if groups, _ := r.busiest(5, begin.Add(time.Second)); len(groups) != 2 {
		t.Errorf("a group that is gone is shown: %v", groups)
	}
}

func TestMonitorSeesGroupsThatComeLater(t *testing.T) {
	cluster, err := demo.Open(t.Context(), demo.Config{TempDir: t.TempDir(), Say: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	}()
	calls, err := client.New(cluster.URLs())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = calls.Close() }()
	m := Open(Config{Client: calls})
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, group := range []string{"first", "second"} {
		for !changesSeen(m.Look(ctx, 10), group) {
			if _, err := calls.Increase(ctx, group, map[string]int64{"a": 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	picture := m.Look(ctx, 10)
	if picture.Cluster.Leader == nil || len(picture.Cluster.Members) != 3 || picture.Watched != 2 || picture.Err != nil {
		t.Errorf("got %+v", picture)
	}
}

func changesSeen(p Picture, group string) bool {
	for _, g := range p.Groups {
		if g.Group == group && g.Changes > 0 {
			return true
		}
	}
	return false
}

func picture() Picture {
	p := Picture{
		Cluster: counter.Cluster{Leader: &counter.Leader{ID: "n2"}, Term: 7, Members: []counter.Member{
			{ID: "n1", Role: counter.RoleFollower, Voter: true, Reachable: true, CommitIndex: 95, AppliedIndex: 90, URL: "http://127.0.0.1:8101"},
			{ID: "n2", Role: counter.RoleLeader, Voter: true, Reachable: true, CommitIndex: 100, AppliedIndex: 100},
			{ID: "n3", Voter: true},
		}},
		PerSecond: 12.5, Watched: 40,
	}
	for i := range 40 {
		p.Groups = append(p.Groups, Group{Group: fmt.Sprintf("room:%d", i), PerSecond: float64(40 - i)})
	}
	return p
}

// plain is what a screen shows, without colours.
func plain(s screen) string {
	return regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(s.View().Content, "")
}

func TestScreenShowsThePicture(t *testing.T) {
	shown := picture()
	s := newScreen(func(int) Picture { return shown }, time.Second)
	if !strings.Contains(plain(s), "Looking") {
		t.Error(plain(s))
	}
	tell := func(message tea.Msg) tea.Cmd {
		next, follow := s.Update(message)
		s = next.(screen)
		return follow
	}
	tell(tea.WindowSizeMsg{Width: 60, Height: 20})
	tell(s.Init()())
	view := plain(s)
	for _, want := range []string{"n2 leads  term 7", "12.5 changes/s in 40 groups", "n1    follower     7     90       10", "n3    unreachable", "room:0"} {
		if !strings.Contains(view, want) {
			t.Errorf("%q is not in:\n%s", want, view)
		}
	}
	if lines := strings.Split(view, "\n"); len(lines) > 20 || len([]rune(lines[0])) > 60 {
		t.Errorf("%d lines of %d on a terminal of 20 by 60:\n%s", len(lines), len([]rune(lines[0])), view)
	}

	tell(tea.KeyPressMsg{Code: 'p', Text: "p"})
	shown.PerSecond = 99
	tell(s.ask()())
	if !strings.Contains(plain(s), "12.5 changes/s") || !strings.Contains(plain(s), "paused") {
		t.Error("a paused screen goes on:\n" + plain(s))
	}
	tell(tea.KeyPressMsg{Code: 'p', Text: "p"})
	shown.Err = errors.New("client: no node answers: all of them")
	tell(s.ask()())
	if view := plain(s); !strings.Contains(view, "99.0 changes/s") || !strings.Contains(view, "no node answers") {
		t.Error(view)
	}
	if follow := tell(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}); follow == nil || follow() != tea.Quit() {
		t.Error("Ctrl-C does not end it")
	}
}
