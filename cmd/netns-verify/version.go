package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/netns-verify/netns-verify/internal/report"
)

// Stamped by the linker: -ldflags "-X main.version=v1.2.3 -X main.commit=...".
var version, commit string

// tool says which build this is; what was not stamped comes from the Go tool.
func tool() report.Tool {
	t := report.Tool{Name: name, Version: version, Commit: commit}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			t.Commit = cmp.Or(t.Commit, s.Value)
		case "vcs.modified":
			if s.Value == "true" && commit == "" {
				dirty = "-dirty"
			}
		}
	}
	t.Version = cmp.Or(t.Version, info.Main.Version, "(devel)")
	t.Commit = cmp.Or(t.Commit, "unknown") + dirty
	return t
}

// build identifies this binary to its own children.
func build() string {
	t := tool()
	return t.Version + " " + t.Commit
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version and commit",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return printVersion(cmd) },
	}
}

// printVersion is version and --version.
func printVersion(cmd *cobra.Command) error {
	t := tool()
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s (commit %s, %s, report schema %s)\n",
		t.Name, t.Version, t.Commit, runtime.Version(), report.SchemaVersion)
	return err
}
