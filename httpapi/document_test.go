package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tally/counter"
)

// TestDocument runs the examples of docs/api.md in their order and compares
// every reply, and its table of errors with counter.Codes.
func TestDocument(t *testing.T) {
	content, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	document := string(content)
	a := newAPI(t)
	examples := exampleCommands(document)
	if len(examples) < 30 {
		t.Errorf("found %d examples only", len(examples))
	}
	for _, e := range examples {
		reply := a.curl(strings.Replace(e.command, " -i ", " ", 1))
		output := reply.body
		if strings.Contains(e.command, " -i ") {
			output = withHeaders(reply)
		}
		if got, want := leveled(output), leveled(e.output); got != want {
			t.Errorf("$ %s\ngot  %swant %s", e.command, got, want)
		}
	}
	_, table, _ := strings.Cut(document, "compares this table with the code -->\n")
	table, _, _ = strings.Cut(table, "<!-- end of errors -->")
	if want := errorTable(); table != want {
		t.Errorf("the table of errors should be\n%s", want)
	}
}

// example is one command of a console block with what it prints.
type example struct{ command, output string }

func exampleCommands(document string) []example {
	var list []example
	inside := false
	for line := range strings.Lines(document) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```console"
		case inside && isCommand:
			list = append(list, example{command: strings.TrimSpace(command)})
		case inside:
			list[len(list)-1].output += line
		}
	}
	return list
}

// withHeaders writes a reply as curl -i does, but for Date, in the order of the names.
func withHeaders(r reply) string {
	text := fmt.Sprintf("HTTP/1.1 %d %s\n", r.status, http.StatusText(r.status))
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		text += name + ": " + r.header.Get(name) + "\n"
	}
	return text + "\n" + r.body
}

// leveled makes texts equal that differ only in what is different each time.
func leveled(text string) string {
	return regexp.MustCompile(`("requestId":"|X-Request-Id: |retry: )[!#-~]+`).ReplaceAllString(text, "${1}any")
}

func errorTable() string {
	table := "| code | status | errorCode | definite | meaning |\n|---|---|---|---|---|\n"
	for _, info := range counter.Codes() {
		errorCode, definite := "", "yes"
		if info.ErrorCode != 0 {
			errorCode = fmt.Sprint(info.ErrorCode)
		}
		if !info.Definite {
			definite = "**no**"
		}
		table += fmt.Sprintf("| `%s` | %d | %s | %s | %s |\n", info.Code, info.Status, errorCode, definite, info.Title)
	}
	return table
}
