package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
)

// name is the program's, in messages and in the report.
const name = "netns-verify"

// ended is how a command says its exit status, after it has said all else. Any
// other error of a command line comes from reading it: a usage error.
type ended struct{ status int }

func (e ended) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// execute runs one command line and returns the exit status.
func execute(args []string, stdout, stderr *os.File) int {
	// A reader of the log or the report that goes away must not end a run that has the
	// host to put back: the write fails instead, for good.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	asked := false
	root := &cobra.Command{
		Use:   name,
		Short: "Find out by measurement which sysctls leak out of a network namespace",
		Long: name + ` writes every sysctl below net/ in a fresh network namespace, watches who
else notices (the host, a sibling namespace, namespaces made afterwards), proves
what caused it, and puts the host back as it was.

Exit status: 0 no leaks found, 1 leak, 2 usage, 3 could not verify (or --strict
and incomplete), 128+n ended by signal n.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked {
				return printVersion(cmd)
			}
			return errors.New("no command given")
		},
	}
	// Not by cobra's template: text/template makes the program 1.7 MiB larger.
	root.Flags().BoolVar(&asked, "version", false, "print version and commit")
	root.SetArgs(args)
	out := &printer{to: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	root.AddCommand(runCommand(args, stdout, stderr), restoreCommand(args, stdout, stderr), vmCommand(args, stdout, stderr), versionCommand())

	cmd, err := root.ExecuteC()
	var e ended
	switch {
	case out.err != nil:
		_, _ = fmt.Fprintf(stderr, "%s: could not write to stdout: %s\n", name, withErrno(out.err))
		return report.ExitUnverified
	case err == nil:
		return report.ExitClean
	case errors.As(err, &e):
		return e.status
	}
	say(stderr, "%s: %v\nTry '%s --help'.\n", name, err, cmd.CommandPath())
	return report.ExitUsage
}
