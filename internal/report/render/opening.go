package render

import (
	"fmt"

	"github.com/netns-verify/netns-verify/internal/report"
)

// Opening says what a run is about to do, and where, before anything is
// written. Of the report only what is known by then is used.
func Opening(r *report.Report, root string, o Options) string {
	p := newPage(o)
	p.section(p.strong, r.Tool.Name, r.Tool.Version)
	where := "Linux " + r.Host.KernelRelease + " " + r.Host.Machine + ", " + root
	if r.Host.InitialNamespace != nil && *r.Host.InitialNamespace {
		where += ", initial network namespace"
	}
	p.field("where", where)
	if r.Run.DryRun {
		p.field("what", "read every sysctl below net/ and plan what to write; nothing is written")
	} else {
		p.field("what", "write every sysctl below net/ in fresh network namespaces, see who else notices, put back what leaks to the host")
		p.field("to stop", "Ctrl-C; the host is put back, and what was learnt is reported")
	}
	p.field("to repeat", fmt.Sprintf("--seed %d draws the same orders", r.Run.Seed))
	for _, w := range r.Warnings {
		p.field("warning", w)
	}
	return p.String()
}
