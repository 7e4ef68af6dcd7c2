package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"count":   count,
	"ms":      milliseconds,
	"seconds": func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) },
	"join":    func(list []string) string { return strings.Join(list, " ") },
	"command": commandLine,
}).Parse(pageText))

// page is what page.html shows.
type page struct {
	Run     Run
	Verdict checker.Verdict
	// Sentence is the verdict in words.
	Sentence string
	Kinds    []kindRow
	Total    checker.KindStats
	Faults   []faultKind
	// Begun and Proved are of all faults.
	Begun, Proved int
	Failed        []failedPage
	Messages      int
	Picture       template.HTML
	PictureFile   string
	Families      []legend
	Sampled       int // how many dots stand for more than themselves
}

type legend struct {
	Name   string
	Colour template.CSS
}

func newPage(run Run, verdict checker.Verdict, h *history.History, main *picture, failed []failedPage) page {
	p := page{
		Run: run, Verdict: verdict, Kinds: kindRows(verdict.Stats.ByKind, h), Faults: faultKinds(faultsOf(h)), Failed: failed,
		Messages: len(h.Messages), Picture: main.svg(), PictureFile: PictureFile,
	}
	for _, k := range p.Kinds {
		p.Total.OK += k.OK
		p.Total.Decided += k.Decided
		p.Total.Fail += k.Fail
		p.Total.Info += k.Info
	}
	for _, k := range p.Faults {
		p.Begun += k.Begun
		p.Proved += k.Proved
	}
	for _, name := range families() {
		p.Families = append(p.Families, legend{name, template.CSS(familyClass(name).style().css())})
	}
	if n := len(unanswered(h)); n > dotsMax {
		p.Sampled = n
	}
	p.Sentence = p.sentence()
	return p
}

// sentence says what the verdict means. That nothing was found is all that a
// test can say for a system.
func (p *page) sentence() string {
	seen := fmt.Sprintf("%s operations, %s events and %s log entries, with %s proved faults of %s kinds",
		count(p.Verdict.Stats.Operations), count(p.Verdict.Stats.Events), count(p.Verdict.Stats.Entries), count(p.Proved), count(len(p.Faults)))
	violations := 0
	for _, r := range p.Verdict.Results {
		violations += r.Violations
	}
	switch p.Verdict.Outcome {
	case checker.Valid:
		return "We found no violation in " + seen + "."
	case checker.Invalid:
		return fmt.Sprintf("The cluster broke its promises: %s violations in %s.", count(violations), seen)
	}
	return "Nobody knows: the run has not shown enough. It had " + seen + "."
}

// count writes a number with its thousands apart.
func count(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "\u202f" + text[at:]
	}
	return text
}

func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms >= 100 {
		return fmt.Sprintf("%.0f", ms)
	}
	return fmt.Sprintf("%.1f", ms)
}

// commandLine writes words as a shell would need them.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}
