package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

func runCommand(args []string, stdout, stderr *os.File) *cobra.Command {
	f := &runFlags{observe: observed{observe.Kinds{observe.Net}}}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Find, attribute, confirm and undo leaks on the running kernel",
		Long: `Write every sysctl below net/ in a fresh network namespace and find out who else
notices: the host, a sibling namespace, and namespaces made afterwards. What
leaks is the finding, so it does reach the host while it is being proved; it is
put back afterwards, and the report says what could not be.`,
		Example: `  netns-verify run                         # a report for people
  netns-verify run --json > report.json    # one for machines
  netns-verify run --include 'net/ipv4/**' --seed 42
  netns-verify run --dry-run --verbose`,
		Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.root == "" {
				return errors.New("--root must not be empty")
			}
			f.root = sysctl.Canonical(f.root)
			if err := f.agreed(os.Stdin, stderr); err != nil {
				return err
			}
			s := newSession(f, args, stdout, stderr)
			if status := s.run(); s.misuse == nil {
				return ended{status}
			}
			return s.misuse
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.root, "root", sysctl.ProcRoot, "sysctl `DIR`, such as a tree of files for a try")
	cmd.Flags().BoolVar(&f.writeHost, "write-host", false, "also write the host's keys, and see which namespaces take them over (as root)")
	waitFlag(cmd, &f.wait)
	cmd.Flags().BoolVar(&f.restoreFirst, "restore-first", false, "first put back what a run that was killed has left (see restore)")
	cmd.Flags().BoolVar(&f.noJournal, "no-journal", false, "go on where the host's values cannot be kept in a file")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "agree to --write-host without being asked")
	return cmd
}
