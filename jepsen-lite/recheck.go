//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
)

// recheck decides once more about a run that was made earlier, from its folder
// alone, and writes verdict and report anew. It asks for what the run's own
// command line asked for.
func recheck(folder string) (code int, err error) {
	data, err := os.ReadFile(filepath.Join(folder, "run.json"))
	if err != nil {
		return exitUnknown, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil || len(r.Command) == 0 {
		return exitUnknown, fmt.Errorf("%s is of no run: %w", filepath.Join(folder, "run.json"), errors.Join(err, errNoRun))
	}
	s, err := parseSettings(r.Command[1:])
	if err != nil {
		return exitUnknown, fmt.Errorf("the run's command line: %w", err)
	}
	verdict, err := judge(&r, s, folder)
	if err := errors.Join(err, writeReport(&r, verdict, folder)); err != nil {
		return exitUnknown, err
	}
	return conclude(&r, verdict), nil
}

var errNoRun = errors.New("it names no command line")

// ednFile is the history in the form of Jepsen, in a run's folder.
const ednFile = "history.edn"

// exportEDN writes the history of a run in the form of Jepsen, beside it.
func exportEDN(folder string) (err error) {
	in, err := os.Open(filepath.Join(folder, checker.HistoryFile))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(filepath.Join(folder, ednFile))
	if err != nil {
		return err
	}
	return errors.Join(history.WriteEDN(out, in), out.Close())
}
