package main

import (
	"os"

	"github.com/spf13/cobra"
)

func runCommand(args []string, stdout, stderr *os.File) *cobra.Command {
	f := &runFlags{}
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
			return ended{newSession(f, args, stdout, stderr).run()}
		},
	}
	f.register(cmd)
	return cmd
}
