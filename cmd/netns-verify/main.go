// Command netns-verify finds out by measurement which sysctls leak out of a
// network namespace.
//
// Here are the commands, their flags and exit statuses, the loggers, and what a
// person at a terminal sees of a run; no other package writes to a standard
// stream or ends the process. The report goes to stdout and nothing else does;
// everything else goes to stderr.
package main

import (
	"os"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/child"
)

func init() {
	reexec.Register(child.Entry, func() { child.Main(build()) })
	reexec.Register(child.DrainEntry, child.DrainMain)
}

func main() {
	if reexec.Init() {
		return
	}
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}
