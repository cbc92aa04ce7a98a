package render

import (
	"fmt"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
)

// kernel shows what the kernel said, and what of its modules went wrong.
func (p *page) kernel(r *report.Report, o Options) {
	if n := len(r.KernelMessages); n > 0 {
		p.section(p.doubt, "KERNEL", plural(n, "message")+" that a run should not cause, or about sysctls")
		p.list(n, o, func(i int) {
			m := r.KernelMessages[i]
			s := m.Text + " (" + m.Phase
			if m.AfterWrite != "" {
				s += ", after a write of " + dotted(m.AfterWrite)
			}
			if m.Key != "" {
				s += ", about " + dotted(m.Key)
			}
			p.item(s + ")")
		})
	}
	var asked, failed []report.Module
	for _, m := range r.Host.Modules {
		switch {
		case m.Error != "":
			failed = append(failed, m)
		case m.LoadedBy == report.LoadedByKernel:
			asked = append(asked, m)
		}
	}
	if len(asked) > 0 {
		p.section(p.doubt, "LOADED", plural(len(asked), "module")+" at the kernel's own request")
		p.list(len(asked), o, func(i int) {
			s := asked[i].Name
			if k := asked[i].AfterWrite; k != "" {
				s += ", after a write of " + dotted(k)
			}
			p.item(s)
		})
	}
	if len(failed) > 0 {
		p.section(p.doubt, "NOT LOADED", plural(len(failed), "module")+": keys of theirs are not tested")
		p.list(len(failed), o, func(i int) { p.item(failed[i].Name + ": " + failed[i].Error) })
	}
}

// writing says what was under way when all ended.
func (p *page) writing(run report.Run) {
	keys := make([]string, min(len(run.Writing), shown))
	for i := range keys {
		keys[i] = dotted(run.Writing[i])
	}
	text := strings.Join(keys, ", ")
	if n := len(run.Writing) - len(keys); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	p.field("ended in", "phase "+run.Phase+", while these were written: "+text)
}

// machine is the summary's line on the machine that was made for the run.
func machine(r *report.Report) string {
	loaded := 0
	for _, m := range r.Host.Modules {
		if m.Error == "" {
			loaded++
		}
	}
	return fmt.Sprintf("QEMU with %s, %d MiB, %s, %.1f s to boot, %s loaded", r.VM.Accel, r.VM.MemoryMB,
		plural(r.VM.Boots, "boot"), float64(r.VM.BootMS)/1000, plural(loaded, "module"))
}
