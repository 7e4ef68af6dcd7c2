package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
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

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  tally version\n  tally version -o json",
		Args:    arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			system := runtime.GOOS + "/" + runtime.GOARCH
			if p.form() == formJSON || p.form() == formYAML {
				return p.print(document{value: struct {
					Version string `json:"version"`
					Go      string `json:"go"`
					System  string `json:"system"`
				}{version(), runtime.Version(), system}})
			}
			_, err := fmt.Fprintf(p.Stdout, "tally %s\n%s %s\n", version(), runtime.Version(), system)
			return err
		},
	}
}
