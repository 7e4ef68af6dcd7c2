package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
)

// The names of what Write makes.
const (
	PageFile    = "report.html"
	PictureFile = "main.png"
)

// Run is what is known of a run besides its history and its verdict.
type Run struct {
	Command []string
	Seed    uint64
	Nodes   int
	Started time.Time
	// Began is the wall clock at the time 0 of the history; the zero time if the
	// run never came so far.
	Began   time.Time
	Seconds float64 // from its start to its end
	// Versions are of what was run, by what.
	Versions []Version
	// Skipped is what was not done for want of a capability, and why.
	Skipped []Skipped
	// NeverProved are the kinds of fault that were to be made and never were, or
	// never bit.
	NeverProved []string
	// Troubles are what went wrong with the run itself.
	Troubles []string
	// LogsDir is where the nodes' logs are, one file for each machine; "" for none.
	LogsDir string
}

// Version is that of one thing.
type Version struct{ What, Version string }

// Skipped is something that was not done.
type Skipped struct{ What, Why string }

// Write writes the page into a folder. The history may be nil where it could
// not be read: then there is no more than a verdict.
func Write(dir string, run Run, verdict checker.Verdict, h *history.History) error {
	if h == nil {
		h = &history.History{}
	}
	roles, err := readRoles(run.LogsDir, run.Began, h)
	if err != nil {
		return err
	}
	main := mainPicture(h, roles)
	image, err := main.png()
	if err != nil {
		return fmt.Errorf("draw the picture: %w", err)
	}
	linked, err := writeFailed(dir, verdict.Failed)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, newPage(run, verdict, h, main, linked)); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, PictureFile), image, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, PageFile), page.Bytes(), 0o644)
}

// notInNames is what the name of a file is kept free of.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// failedPage is the page of a group that is not linearizable.
type failedPage struct {
	Group, File, Result string
	Operations          int
}

func writeFailed(dir string, failed []checker.Partition) ([]failedPage, error) {
	var pages []failedPage
	for i := range failed {
		p := &failed[i]
		file := fmt.Sprintf("linear-%d-%s.html", i+1, notInNames.ReplaceAllString(p.Name, "_"))
		if err := p.Visualize(filepath.Join(dir, file)); err != nil {
			return nil, fmt.Errorf("show the operations of %s: %w", p.Name, err)
		}
		pages = append(pages, failedPage{Group: p.Name, File: file, Result: string(p.Result), Operations: len(p.Operations)})
	}
	return pages, nil
}
