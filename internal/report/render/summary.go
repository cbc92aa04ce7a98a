package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
)

func (p *page) summary(r *report.Report, o Options) {
	p.section(p.strong, "SUMMARY", fmt.Sprintf("Linux %s %s, seed %d", r.Host.KernelRelease, r.Host.Machine, r.Run.Seed))
	if r.VM != nil {
		p.field("machine", machine(r))
	}
	if len(r.Run.Writing) > 0 {
		p.writing(r.Run)
	}
	c := r.Asked()
	if len(r.Run.Observe) > 1 {
		p.field("watched", plural(c.Watched, "place")+" of the host: "+strings.Join(r.Run.Observe, ", "))
	}
	if s := guarded(asked(r), o); s != "" {
		p.field("userns", s)
	}
	keys := fmt.Sprintf("%d on the host, %d in a fresh namespace, %d writable there", c.HostKeys, c.ChildKeys, r.Counts.Writable)
	if r.Run.DryRun {
		p.field("keys", keys)
		p.notAsked(c)
		p.field("host", "nothing was written")
	} else {
		p.field("keys", fmt.Sprintf("%s, %d of them written with effect", keys, c.Perturbed))
		p.verdicts(c)
		p.notAsked(c)
		p.creations(c)
		p.field("run", fmt.Sprintf("%s, %s, %s, %.1f s", plural(r.Run.Passes, "pass"),
			plural(r.Run.Batches, "batch"), plural(r.Run.Replays, "replay"), float64(r.Run.DurationMS)/1000))
		if r.VM == nil { // such a machine is gone
			p.field("host", restored(r))
		}
	}
	if d := devices(r.Host.Devices); d != "" {
		p.field("devices", d)
	}
	for _, s := range r.Run.Skipped {
		p.field("skipped", s.Phase+": "+s.Why)
	}
	for _, w := range r.Warnings {
		p.field("warning", w)
	}
}

func (p *page) verdicts(c report.Counts) {
	if s := tally(c); s != "" {
		p.field("verdicts", s)
	}
}

// tally counts the keys of each verdict.
func tally(c report.Counts) string {
	var parts []string
	for _, v := range report.Verdicts() {
		if n := c.Verdicts[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(parts, ", ")
}

// notAsked counts what --include and its like left out.
func (p *page) notAsked(c report.Counts) {
	if c.Excluded > 0 {
		p.field("not asked", plural(c.Excluded, "key")+", left out by --include, --exclude or --keys-from")
	}
}

// asked is the keys that the run was asked about.
func asked(r *report.Report) []report.Key {
	return slices.DeleteFunc(slices.Clone(r.Keys), func(k report.Key) bool { return !k.Asked() })
}

func restored(r *report.Report) string {
	var but []string
	if n := len(r.Run.NotRestored); n > 0 {
		but = append(but, plural(n, "key")+" not restored")
	}
	if n := len(r.Unconfirmed); n > 0 {
		but = append(but, plural(n, "unconfirmed change"))
	}
	if len(but) > 0 {
		return "as it was found, apart from " + strings.Join(but, " and ")
	}
	return "as it was found"
}

// next says what to do, and only what this report gives a reason for.
func (p *page) next(r *report.Report, o Options) {
	var todo []string
	add := func(when bool, what string) {
		if when {
			todo = append(todo, what)
		}
	}
	reasons := map[report.Reason]int{}
	for _, k := range r.Keys {
		reasons[k.UntestedReason]++
	}
	unknown, lost := 0, 0
	for _, l := range r.Leaks {
		if l.Known == "" {
			unknown++
		}
	}
	for _, k := range r.Run.NotRestored {
		if !k.OneWay {
			lost++
		}
	}
	add(lost > 0 && r.VM == nil, "put back by hand (sysctl -w) what is not as it was found, or reboot")
	add(len(r.Leaks) > unknown, "see whether a newer kernel fixes what is known")
	add(unknown > 0, fmt.Sprintf("report what is not known yet (%s): netns-verify run --json has all the evidence", plural(unknown, "leak")))
	add(len(r.Unconfirmed) > 0, "run it again while nothing else changes sysctls")
	add(reasons[report.ReasonOneWay] > 0, "--allow-one-way also writes what cannot be put back until reboot")
	add(reasons[report.ReasonStopped] > 0 && !r.Run.DryRun, fmt.Sprintf("run it again to the end; --seed %d repeats the order", r.Run.Seed))
	add(!r.Run.Complete && !r.Run.DryRun && !o.Verbose && len(r.Keys) > 0, "--verbose lists every key and attempt")
	if len(todo) == 0 {
		return
	}
	p.section(p.strong, "NEXT", "")
	for _, s := range todo {
		p.lines("  - ", 4, 4, s)
	}
}

// Verdict is the report in one line.
func Verdict(r *report.Report, o Options) string {
	o.Width = 1 << 16
	p := newPage(o)
	p.verdict(r)
	return p.String()
}

func (p *page) verdict(r *report.Report) {
	run, c := r.Run, r.Asked()
	text := fmt.Sprintf("%s (exit status %d)", run.ExitReason, run.ExitStatus)
	switch {
	case run.ExitStatus >= report.ExitSignal:
		p.lines(p.doubt("STOPPED")+": ", 9, 2, text)
	case run.ExitStatus == report.ExitUnverified, run.ExitStatus == report.ExitUsage:
		p.lines(p.bad("NOT VERIFIED")+": ", 14, 2, text)
	case len(r.Leaks) > 0:
		p.lines(p.bad("LEAK")+": ", 6, 2, fmt.Sprintf("%s out of a network namespace; %d of %s tested (exit status %d)",
			plural(len(r.Leaks), "leak"), c.Perturbed, plural(c.Writable, "writable key"), run.ExitStatus))
	case run.DryRun:
		p.lines(p.strong("DRY RUN")+": ", 9, 2, fmt.Sprintf("nothing was written; %s would be (exit status %d)", plural(planned(r.Plan), "key"), run.ExitStatus))
	case !run.Complete:
		p.lines(p.doubt("INCOMPLETE")+": ", 12, 2, text)
	case c.Writable == 0:
		p.lines(p.good("NOT WRITABLE")+": ", 14, 2, fmt.Sprintf("no key asked about can be written in a fresh namespace: %s (exit status %d)", tally(c), run.ExitStatus))
	default:
		p.lines(p.good("ISOLATED")+": ", 10, 2, fmt.Sprintf("no leaks found in %s (exit status %d)", plural(c.Writable, "writable key"), run.ExitStatus))
	}
}
