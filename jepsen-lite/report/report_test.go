package report_test

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/net/html"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/report"
)

// began is the wall clock at the begin of the histories here.
var began = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// exampleHistory has a hundred answered increases, the k-th of which took k ms,
// one that failed, one whose outcome is unknown, and two faults.
func exampleHistory() *history.History {
	h := &history.History{Duration: 20 * time.Second, Ended: true}
	add := func(at, took time.Duration, outcome history.Type, reply history.Reply) {
		h.Operations = append(h.Operations, history.Operation{
			ID: uint64(len(h.Operations) + 1), Op: history.Op{Workload: "counter", Kind: history.Increase},
			Invoked: at, Returned: at + took, Outcome: outcome, Reply: reply,
		})
	}
	for k := 1; k <= 100; k++ {
		add(time.Duration(k)*100*time.Millisecond, time.Duration(k)*time.Millisecond, history.TypeOK, history.Reply{Status: 200})
	}
	add(11*time.Second, time.Second, history.TypeFail, history.Reply{})
	add(12*time.Second, 7*time.Second, history.TypeInfo, history.Reply{})
	fault := func(at time.Duration, f history.Fault) {
		h.Faults = append(h.Faults, history.Timed[history.Fault]{At: at, What: f})
	}
	fault(4*time.Second, history.Fault{Kind: "kill-leader", Phase: history.Begin, Targets: []string{"n1@m1"}, Detail: "SIGKILL"})
	fault(5*time.Second, history.Fault{Kind: "partition-halves", Phase: history.Begin, Targets: []string{"n2@m2"}, Detail: "cut off"})
	fault(6500*time.Millisecond, history.Fault{Kind: "kill-leader", Phase: history.End, Targets: []string{"n1@m1"}, Proof: "n1 was ended by <killed>"})
	fault(8*time.Second, history.Fault{Kind: "partition-halves", Phase: history.End, Targets: []string{"n2@m2"}, Detail: "nothing dropped"})
	return h
}

func exampleVerdict(outcome checker.Outcome) checker.Verdict {
	return checker.Verdict{
		Outcome: outcome,
		Results: []checker.Result{
			{Name: "replay", Outcome: checker.Valid, Checked: 31415, Summary: "everything held against a model"},
			{Name: "watch", Outcome: outcome, Checked: 2718, Violations: 3, Summary: "all watchers", Findings: []string{"told of <b>nothing</b>", "and of something else"}},
		},
		Stats: checker.Stats{
			Operations: 1234567, Events: 7654, Entries: 4321,
			ByKind: []checker.KindStats{{Workload: "counter", Kind: history.Increase, OK: 100, Decided: 17, Fail: 1, Info: 1}},
		},
	}
}

func exampleRun(t *testing.T) report.Run {
	logs := t.TempDir()
	log := `2026-11-23T09:59:58.000Z [INFO]  tallyd.raft: initial configuration: index=0 servers=[]
2026-11-23T09:59:58.001Z [INFO]  tallyd.raft: entering follower state: follower="Node" leader-address= leader-id=
2026-11-23T09:59:59.000Z [INFO]  tallyd.raft: entering candidate state: node="Node" term=41
2026-11-23T09:59:59.500Z [INFO]  tallyd.raft: election won: term=41 tally=2
2026-11-23T10:00:01.000Z [INFO]  tallyd.raft: entering leader state: leader="Node"
2026-11-23T10:00:01.100Z [INFO]  tallyd.cluster: leading: node=n1 term=41
2026-11-23T10:00:03.900Z [INFO]  tallyd.raft: snapshot complete up to: index=7
2026-11-23T10:00:06.400Z [INFO]  tallyd.raft: initial configuration: index=7 servers=[]
2026-11-23T10:00:06.401Z [INFO]  tallyd.raft: entering follower state: follower="Node" leader-address= leader-id=
`
	if err := os.WriteFile(filepath.Join(logs, "m1.log"), []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	return report.Run{
		Command: []string{"jepsen-lite", "--seed", "77", "--out", "a b"}, Seed: 77, Nodes: 3, Started: began.Add(-5 * time.Second), Began: began, Seconds: 33.3,
		Versions:    []report.Version{{What: "commit", Version: "0123abcd"}, {What: "github.com/hashicorp/raft", Version: "v9.8.7"}},
		Skipped:     []report.Skipped{{What: "disk-hang", Why: "no loop devices"}},
		NeverProved: []string{"clock-back"},
		LogsDir:     logs,
	}
}

// write makes a report and returns its page and its folder.
func write(t *testing.T, run report.Run, verdict checker.Verdict, h *history.History) (page *html.Node, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := report.Write(dir, run, verdict, h); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, report.PageFile))
	if err != nil {
		t.Fatal(err)
	}
	if page, err = html.Parse(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return page, dir
}

// byID returns the element with an ID.
func byID(t *testing.T, page *html.Node, id string) *html.Node {
	t.Helper()
	for n := range page.Descendants() {
		if attribute(n, "id") == id {
			return n
		}
	}
	t.Fatalf("the page has no #%s", id)
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text returns what is read in an element, with single spaces.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "\u202f", "")), " ")
}

// rows returns the texts of a table's cells.
func rows(table *html.Node) (list [][]string) {
	for n := range table.Descendants() {
		if n.Data != "tr" {
			continue
		}
		var cells []string
		for c := range n.ChildNodes() {
			if c.Data == "td" || c.Data == "th" {
				cells = append(cells, text(c))
			}
		}
		list = append(list, cells)
	}
	return list
}

func TestVerdictIsSaidInWords(t *testing.T) {
	for outcome, want := range map[checker.Outcome]string{
		checker.Valid:   "We found no violation in 1234567 operations, 7654 events and 4321 log entries, with 1 proved faults of 2 kinds.",
		checker.Invalid: "The cluster broke its promises: 3 violations in 1234567 operations, 7654 events and 4321 log entries, with 1 proved faults of 2 kinds.",
		checker.Unknown: "Nobody knows: the run has not shown enough. It had 1234567 operations, 7654 events and 4321 log entries, with 1 proved faults of 2 kinds.",
	} {
		page, _ := write(t, exampleRun(t), exampleVerdict(outcome), exampleHistory())
		if got := text(byID(t, page, "verdict")); got != string(outcome) {
			t.Errorf("the verdict is %q, want %q", got, outcome)
		}
		if got := text(byID(t, page, "sentence")); got != want {
			t.Errorf("it says:\n%s\nwant:\n%s", got, want)
		}
		if strings.Contains(text(page), "passes") {
			t.Error("nothing ever passes")
		}
	}
}

func TestTablesHaveTheNumbersOfTheRun(t *testing.T) {
	page, _ := write(t, exampleRun(t), exampleVerdict(checker.Invalid), exampleHistory())
	for id, want := range map[string][][]string{
		"facts": {
			{"seed", "77"},
			{"command line", "jepsen-lite --seed 77 --out 'a b'"},
			{"started", "2026-11-23 09:59:55 UTC, took 33 s"},
			{"nodes", "3"},
			{"commit", "0123abcd"},
			{"github.com/hashicorp/raft", "v9.8.7"},
		},
		"checks": {
			{"check", "verdict", "looked at", "violations", "what it looked at"},
			{"replay", "valid", "31415", "0", "everything held against a model"},
			{"watch", "invalid", "2718", "3", "all watchers told of <b>nothing</b> and of something else"},
		},
		"operations": {
			{"workload", "kind", "ok", "decided", "fail", "info", "p50", "p95", "p99", "max"},
			{"counter", "increase", "100", "17", "1", "1", "50.0", "95.0", "99.0", "100"},
			{"all", "", "100", "17", "1", "1", "", "", "", ""},
		},
		"faults": {
			{"kind", "made", "proved", "in all", "longest", "proofs"},
			{"kill-leader", "1", "1", "2.5 s", "2.5 s", "n1 was ended by <killed> 4.0 s to 6.5 s, n1@m1: SIGKILL. n1 was ended by <killed>"},
			{"partition-halves", "1", "0", "3.0 s", "3.0 s", "not proved 5.0 s to 8.0 s, n2@m2: cut off. Not proved : nothing dropped"},
			{"all", "2", "1", "", "", ""},
		},
	} {
		if got := rows(byID(t, page, id)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("#%s:\n%q\nwant:\n%q", id, got, want)
		}
	}
	if got := text(byID(t, page, "skipped")); got != "disk-hang: no loop devices" {
		t.Errorf("skipped: %q", got)
	}
	if got := text(byID(t, page, "neverproved")); got != "clock-back" {
		t.Errorf("never proved: %q", got)
	}
}

// The picture shows each fault once in each part, and the leader with its term
// from its election to the fault that ended it.
func TestPictureShowsFaultsAndLeaders(t *testing.T) {
	page, dir := write(t, exampleRun(t), exampleVerdict(checker.Valid), exampleHistory())
	titles := map[string]int{}
	for n := range page.Descendants() {
		if n.Data == "title" && n.Parent.Data == "rect" {
			titles[text(n)]++
		}
	}
	for title, want := range map[string]int{
		"kill-leader [n1@m1], 4.0 s to 6.5 s":      3,
		"partition-halves [n2@m2], 5.0 s to 8.0 s": 3,
		"leads in term 41":                         1,
	} {
		if titles[title] != want {
			t.Errorf("%q is there %d times, want %d; there are %v", title, titles[title], want, titles)
		}
	}
	for n := range page.Descendants() {
		if n.Data == "rect" && n.FirstChild != nil && text(n) == "leads in term 41" {
			var x, width float64
			_, _ = fmt.Sscan(attribute(n, "x"), &x)
			_, _ = fmt.Sscan(attribute(n, "width"), &width)
			// 20 s are 1096 pixels that begin at 64; it led from 1 s to 4 s.
			if x < 118 || x > 120 || width < 163 || width > 166 {
				t.Errorf("the leader's bar begins at %v and is %v long", x, width)
			}
		}
	}
	file, err := os.Open(filepath.Join(dir, report.PictureFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[string]bool{}
	for x := range picture.Bounds().Dx() {
		for y := range picture.Bounds().Dy() {
			r, g, b, _ := picture.At(x, y).RGBA()
			colours[fmt.Sprintf("%02x%02x%02x", r>>8, g>>8, b>>8)] = true
		}
	}
	for what, colour := range map[string]string{"a leader": "168053", "answered operations": "1d4ed8", "unknown outcomes": "cd2828"} {
		if !colours[colour] {
			t.Errorf("%s shows nothing in the colour of %s", report.PictureFile, what)
		}
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	page, dir := write(t, exampleRun(t), exampleVerdict(checker.Valid), exampleHistory())
	for n := range page.Descendants() {
		switch n.Data {
		case "script", "link", "iframe", "object", "embed", "img":
			t.Errorf("the page has a <%s>", n.Data)
		}
		for _, name := range []string{"href", "src"} {
			if target := attribute(n, name); target != "" {
				if _, err := os.Stat(filepath.Join(dir, target)); err != nil {
					t.Errorf("%s=%q is not in the folder", name, target)
				}
			}
		}
	}
}

// A group that fits into no order has the page of porcupine, under a name that
// every file system takes.
func TestGroupsInNoOrderAreLinked(t *testing.T) {
	verdict := exampleVerdict(checker.Invalid)
	_, nothing := porcupine.CheckOperationsVerbose(checker.Model(), nil, 0)
	verdict.Failed = []checker.Partition{{Name: "register/7 ü", Result: porcupine.Illegal, Info: nothing}}
	page, dir := write(t, exampleRun(t), verdict, exampleHistory())
	if got := text(byID(t, page, "failed")); got != "register/7 ü : Illegal, 0 operations" {
		t.Errorf("the list says %q", got)
	}
	shown, err := os.ReadFile(filepath.Join(dir, "linear-1-register_7_.html"))
	if err != nil || !bytes.Contains(shown, []byte("<html")) {
		t.Errorf("the page of the group: %v", err)
	}
	for n := range page.Descendants() {
		if target := attribute(n, "href"); n.Data == "a" && strings.HasPrefix(target, "linear") && target != "linear-1-register_7_.html" {
			t.Errorf("the link leads to %s", target)
		}
	}
}

// Whatever a history says of its length, its picture is drawn.
func TestLengthsOfRuns(t *testing.T) {
	for _, length := range []time.Duration{0, 1, 3 * time.Second, 2 * time.Hour, math.MaxInt64} {
		h := exampleHistory()
		h.Duration = length
		h.Operations, h.Faults = nil, nil
		if length > 0 {
			h.Operations = []history.Operation{{Op: history.Op{Workload: "counter", Kind: history.Read}, Invoked: length - 1, Returned: length, Outcome: history.TypeOK}}
		}
		page, _ := write(t, exampleRun(t), exampleVerdict(checker.Valid), h)
		marks := 0
		for n := range page.Descendants() {
			if n.Data == "text" && n.Namespace == "svg" {
				marks++
			}
		}
		if marks == 0 || marks > 100 {
			t.Errorf("the picture of %v has %d texts", length, marks)
		}
	}
}

// A run that came to nothing has a page too.
func TestPageOfARunWithoutAnything(t *testing.T) {
	page, _ := write(t, report.Run{Seed: 5, Troubles: []string{"no disk"}}, checker.Verdict{Outcome: checker.Unknown}, nil)
	if got := text(byID(t, page, "sentence")); !strings.HasPrefix(got, "Nobody knows") {
		t.Errorf("it says: %s", got)
	}
	if got := text(byID(t, page, "troubles")); got != "no disk" {
		t.Errorf("troubles: %q", got)
	}
}
