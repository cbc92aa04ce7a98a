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
	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/parent/restore"
)

func init() {
	reexec.Register(child.Entry, func() { child.Main(build()) })
	reexec.Register(child.DrainEntry, child.DrainMain)
	reexec.Register(child.OffspringEntry, child.OffspringMain)
	reexec.Register(restore.GuardianEntry, func() { os.Exit(guard(os.Args[1:])) })
	reexec.Register(guest.ModprobePath, func() { os.Exit(guest.Modprobe(os.Args)) })
}

func main() {
	abortOnFatal()
	if reexec.Init() {
		return
	}
	if guest.Selected(os.Args) {
		guest.Main(guest.Config{Build: build(), Entry: child.Entry, DrainEntry: child.DrainEntry, Logger: guestLogger})
		return
	}
	os.Exit(execute(os.Args[1:], standardOutput(), os.Stderr))
}
