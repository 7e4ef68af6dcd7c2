package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"tally/fsm"
)

// release is the version of a release build: -ldflags "-X main.release=v1.2.3".
var release string

// version returns the release, or else what the Go tool noted about the source
// this binary was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return sourceVersion(info)
}

func sourceVersion(info *debug.BuildInfo) string {
	noted := map[string]string{}
	for _, s := range info.Settings {
		noted[s.Key] = s.Value
	}
	revision := noted["vcs.revision"]
	if revision == "" {
		return info.Main.Version
	}
	text := "devel-" + revision[:min(12, len(revision))]
	if noted["vcs.modified"] == "true" {
		text += "-modified"
	}
	return text
}

// printVersion writes what a bug report should start with. Nodes of different
// versions run together as long as each knows the command version that is
// proposed.
func printVersion(out io.Writer) {
	fmt.Fprintf(out, "tallyd %s\ncommand version %d\n%s %s/%s\n",
		version(), fsm.CommandVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
