package main

import (
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// whoWrites makes sure that the writers are who they are said to be, and chooses one
// where nobody was asked for.
func (f *runFlags) whoWrites(us hostinfo.Identity) error {
	if len(f.writers) == 0 {
		f.writers = writers{trace.WriterUserNS}
		if us.Root() {
			f.writers = writers{trace.WriterRoot}
		}
	}
	switch {
	case slices.Contains(f.writers, trace.WriterRoot) && !us.Root():
		return cannotBe{trace.WriterRoot, us}
	case slices.Contains(f.writers, trace.WriterUserNS) && !us.Ordinary:
		return cannotBe{trace.WriterUserNS, us}
	}
	return nil
}

// cannotBe is the error of a writer that this process cannot have.
type cannotBe struct {
	writer trace.Writer
	us     hostinfo.Identity
}

func (e cannotBe) Error() string {
	what := "root in the initial user namespace"
	if e.writer == trace.WriterUserNS {
		what = "an ordinary user"
	}
	return fmt.Sprintf("the writer %s is %s, and this process (%s) cannot start such a one", e.writer, what, e.us)
}

func (e cannotBe) hint() string {
	switch {
	case e.writer == trace.WriterUserNS:
		return fmt.Sprintf("the kernel's root is the only user in this user namespace, or uid and gid %d are not mapped into it (user_namespaces(7)): run outside of it", hostinfo.Nobody)
	case e.us.Initial:
		return "run as root: sudo netns-verify run; or ask what an ordinary user can do: --writers userns"
	}
	return "run outside of the user namespace, as of a rootless container; or ask what an ordinary user can do: --writers userns"
}
