//go:build linux

package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"tally/jepsen-lite/checker"
	"tally/jepsen-lite/history"
	"tally/jepsen-lite/proc"
	"tally/jepsen-lite/report"
)

// writeReport makes the page of the run. A history that cannot be read has been
// told of by the verdict; the page then shows the rest.
func writeReport(r *record, verdict checker.Verdict, folder string) error {
	h, err := history.Load(filepath.Join(folder, checker.HistoryFile))
	if err != nil {
		h = nil
	}
	run := report.Run{
		Command: r.Command, Seed: r.Seed, Nodes: r.Nodes, Started: r.Started, Began: r.Began, Seconds: r.Seconds,
		Versions: versions(r, folder), NeverProved: r.NeverProved, Troubles: r.Troubles, LogsDir: filepath.Join(folder, "logs"),
	}
	for what, why := range r.Can.Missing {
		run.Skipped = append(run.Skipped, report.Skipped{What: string(what), Why: why})
	}
	slices.SortFunc(run.Skipped, func(a, b report.Skipped) int { return strings.Compare(a.What, b.What) })
	for _, skip := range r.Skipped {
		run.Skipped = append(run.Skipped, report.Skipped{What: skip.Kind, Why: skip.Reason})
	}
	if err := report.Write(folder, run, verdict, h); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// versions says what was run on what, going by the program itself.
func versions(r *record, folder string) []report.Version {
	list := []report.Version{{What: "tallyd", Version: r.Version}}
	if info, err := buildinfo.ReadFile(proc.BinaryPath(folder)); err == nil {
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if commit := settings["vcs.revision"]; commit != "" {
			if settings["vcs.modified"] == "true" {
				commit += ", with changes that are not committed"
			}
			list = append(list, report.Version{What: "commit", Version: commit})
		}
		list = append(list, report.Version{What: "build", Version: info.GoVersion + ", tags " + settings["-tags"]})
		for _, module := range info.Deps {
			if strings.Contains(module.Path, "hashicorp/raft") || module.Path == "go.etcd.io/bbolt" {
				list = append(list, report.Version{What: module.Path, Version: module.Version})
			}
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("unknown: " + err.Error())
	}
	return append(list, report.Version{What: "system", Version: fmt.Sprintf("%s %s, %s, %d processors", runtime.GOOS, bytes.TrimSpace(kernel), runtime.GOARCH, runtime.NumCPU())})
}
