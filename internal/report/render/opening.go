package render

import (
	"fmt"
	"strings"

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
	p.repeat(r.Run.Seed)
	for _, w := range r.Warnings {
		p.field("warning", w)
	}
	return p.String()
}

// OpeningVM is the same for kernels in virtual machines.
func OpeningVM(tool report.Tool, kernels []string, seed uint64, o Options) string {
	p := newPage(o)
	p.section(p.strong, tool.Name, tool.Version)
	p.field("where", "virtual machines of QEMU: "+strings.Join(kernels, ", "))
	p.field("what", "boot the kernel, load modules, write every sysctl below net/ in fresh network namespaces, see who else notices")
	p.field("to stop", "Ctrl-C; nothing outside of the machine is written to")
	p.repeat(seed)
	return p.String()
}

func (p *page) repeat(seed uint64) {
	p.field("to repeat", fmt.Sprintf("--seed %d draws the same orders", seed))
}
