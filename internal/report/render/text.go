package render

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/report"
)

// shown is how many entries of a list are shown unless Verbose.
const shown = 6

// Text writes the report for people: leaks first, then what was not tested and
// why, the counts, what was restored, what to do next, and last the verdict in
// one line, where a terminal leaves the eye.
func Text(w io.Writer, r *report.Report, o Options) error {
	p := newPage(o)
	for i, l := range r.Leaks {
		p.leak(i+1, l, o)
	}
	p.notRestored(r, o)
	if !o.Quiet {
		p.unconfirmed(r, o)
		p.kernel(r, o)
		p.untested(r, o)
		if o.Verbose {
			p.keys(r, o)
		}
		p.answers(r, o)
		p.plan(r, o)
		p.summary(r, o)
		p.next(r, o)
	}
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	p.verdict(r)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write text report: %w", err)
	}
	return nil
}

func (p *page) leak(n int, l report.Leak, o Options) {
	p.section(p.bad, fmt.Sprintf("LEAK %d", n), headline(l))
	for _, c := range l.Cause {
		if l.Via == report.ViaRead {
			p.field("read", whole(c.Key, c.KeyB64)+by(c.Writer))
			continue
		}
		p.field("wrote", assignment(c, o)+rejected(c.Attempt)+by(c.Writer))
	}
	if len(l.Cause) == 0 {
		p.field("wrote", fmt.Sprintf("one of %s:", plural(len(l.Evidence.Candidates), "write")))
		p.list(len(l.Evidence.Candidates), o, func(i int) {
			c := l.Evidence.Candidates[i]
			p.item(assignment(c, o) + rejected(c.Attempt) + by(c.Writer))
		})
	}
	effects := together(l.Effects)
	for i, e := range effects {
		if i == shown && !o.Verbose {
			p.field("", fmt.Sprintf("and %d more (--verbose lists them)", len(effects)-i))
			break
		}
		p.field(e.Kind, effect(e, o))
	}
	switch l.Via {
	case report.ViaExit:
		p.field("when", "the writer's namespace was gone")
	case report.ViaDescriptor:
		p.field("by way of", "a descriptor that the child opened, and the host used")
	}
	p.field("evidence", evidence(l))
	if l.Unprivileged {
		p.field("by whom", "any user of this machine can do it")
	}
	if slices.ContainsFunc(l.Effects, func(e report.Effect) bool { return e.Observer == report.ObserverHost && e.Kind != report.KindRead }) {
		if l.Restored {
			p.field("host", "put back")
		} else {
			p.painted("host", p.bad, "not put back")
		}
	}
	if l.Known != "" {
		p.field("known as", l.Known)
	}
	p.verbatim("reproduce", l.Reproducer)
}

// headline is cause -> effects, in keys.
func headline(l report.Leak) string {
	cause := "unresolved"
	if len(l.Cause) > 0 {
		var keys []string
		for _, c := range l.Cause {
			keys = append(keys, whole(c.Key, c.KeyB64))
		}
		cause = strings.Join(keys, " + ")
	}
	var observers, keys []string
	for _, e := range l.Effects {
		if !slices.Contains(observers, e.Observer) {
			observers = append(observers, e.Observer)
		}
		if key := named(e); key != cause && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	s := cause + " -> " + strings.Join(observers, ", ")
	switch {
	case len(keys) == 1:
		s += ": " + keys[0]
	case len(keys) > 1:
		s += ": " + plural(len(keys), "key")
	}
	return s
}

// named is an effect's key as people write it; only sysctls have a dotted form.
func named(e report.Effect) string {
	if e.What == "sysctl" {
		return whole(e.Key, e.KeyB64)
	}
	return e.What + " " + escape.Name(report.Whole(e.Key, e.KeyB64))
}

func rejected(a report.Attempt) string {
	if a.Errno == "" {
		return ""
	}
	return " (rejected with " + a.Errno + ")"
}

// by names the writer where it is not the ordinary one.
func by(writer string) string {
	if writer == "" || writer == "root" {
		return ""
	}
	return " (" + writer + ")"
}

// together joins the observers in which the same happened.
func together(effects []report.Effect) []report.Effect {
	var out []report.Effect
	for _, e := range effects {
		i := slices.IndexFunc(out, func(f report.Effect) bool {
			eb, ea := e.Shown()
			fb, fa := f.Shown()
			return report.Whole(f.Key, f.KeyB64) == report.Whole(e.Key, e.KeyB64) && f.Kind == e.Kind && f.What == e.What && eb.String() == fb.String() && ea.String() == fa.String()
		})
		if i < 0 {
			out = append(out, e)
		} else {
			out[i].Observer += ", " + e.Observer
		}
	}
	return out
}

func effect(e report.Effect, o Options) string {
	s := e.Observer + ": " + named(e)
	if e.Kind == report.KindRead {
		theirs, own := e.Change.Shown()
		return s + ": its own " + value(own, o) + " instead of the child's " + value(theirs, o)
	}
	if e.What == "sysctl" {
		s += ": " + change(e.Change, o)
	}
	return s
}

func evidence(l report.Leak) string {
	e := l.Evidence
	parts := []string{string(e.Status)}
	switch {
	case e.Why != "":
		parts = append(parts, e.Why)
	case e.Rounds > 0:
		parts = append(parts, fmt.Sprintf("seen after %d of %s, and in none of %s without it", e.Matched, plural(e.Rounds, "write"), plural(e.Shams, "round")))
	}
	if l.DelayMS > 0 {
		parts = append(parts, fmt.Sprintf("after %d ms", l.DelayMS))
	}
	return strings.Join(parts, "; ")
}

// list calls item for each index, or for the first few and says how many are left.
func (p *page) list(n int, o Options, item func(i int)) {
	for i := range n {
		if i == shown && !o.Verbose {
			p.item(fmt.Sprintf("and %d more (--verbose lists them)", n-i))
			return
		}
		item(i)
	}
}

func (p *page) notRestored(r *report.Report, o Options) {
	if len(r.Run.NotRestored) == 0 {
		return
	}
	p.section(p.bad, "NOT RESTORED", plural(len(r.Run.NotRestored), "key")+" of the host: not as found")
	for _, k := range r.Run.NotRestored {
		s := whole(k.Key, k.KeyB64) + ": " + change(k.Change, o)
		if k.Why != "" {
			s += " (" + k.Why + ")"
		}
		p.item(s)
	}
}

func (p *page) unconfirmed(r *report.Report, o Options) {
	effects := together(r.Unconfirmed)
	if len(effects) == 0 {
		return
	}
	p.section(p.doubt, "UNCONFIRMED", plural(len(effects), "change")+" that no write here explains, left as found")
	p.list(len(effects), o, func(i int) {
		e := effects[i]
		s := effect(e, o)
		if e.Why != "" {
			s += " (" + e.Why + ")"
		}
		if w := e.LooksLike; w != nil {
			s += "; it looks like the write of " + value(report.Shown{Text: w.Value, B64: w.ValueB64}, o) + " to this key" + by(w.Writer)
		}
		p.item(s)
	})
}

func (p *page) untested(r *report.Report, o Options) {
	groups := map[report.Reason][]report.Key{}
	n := 0
	for _, k := range r.Keys {
		if k.Verdict == report.VerdictUntested && k.Asked() {
			groups[k.UntestedReason] = append(groups[k.UntestedReason], k)
			n++
		}
	}
	if n == 0 || r.Run.DryRun {
		return
	}
	writable := r.Asked().Writable + len(groups[report.ReasonCrowded]) // those are writable only where they are
	p.section(p.doubt, "NOT TESTED", fmt.Sprintf("%d of %s: not proven either way", n, plural(writable, "writable key")))
	// The reasons that ask for somebody's attention have few keys: they come first.
	reasons := slices.SortedFunc(maps.Keys(groups), func(a, b report.Reason) int {
		return cmp.Or(cmp.Compare(len(groups[a]), len(groups[b])), cmp.Compare(a, b))
	})
	for _, why := range reasons {
		keys := groups[why]
		p.lines("  "+p.strong(escape.Line(string(why)))+" ", 3+len(why), 4, fmt.Sprintf("(%d): %s", len(keys), reason(why)))
		p.list(len(keys), o, func(i int) {
			s := whole(keys[i].Key, keys[i].KeyB64)
			why := cmp.Or(keys[i].Note, tried(keys[i]))
			if keys[i].UntestedReason == report.ReasonLatched && keys[i].Note != "" {
				why = tried(keys[i]) + ": " + keys[i].Note // the errno is what says so
			}
			if why != "" {
				s += ": " + why
			}
			p.item(s)
		})
	}
}

func (p *page) keys(r *report.Report, o Options) {
	asked := asked(r)
	p.section(p.strong, "KEYS", plural(len(asked), "key")+", every verdict and every attempt")
	for _, k := range asked {
		s := fmt.Sprintf("%-10s  %s", k.Verdict, whole(k.Key, k.KeyB64))
		if k.UntestedReason != "" {
			s += " (" + string(k.UntestedReason) + ")"
		}
		if k.Restless {
			s += " (restless)"
		}
		p.WriteString("  " + escape.Line(s) + "\n")
		if from := creation(k); from != "" {
			p.lines(strings.Repeat(" ", 14), 14, 16, from)
		}
		if k.CreationUntested != "" {
			p.lines(strings.Repeat(" ", 14), 14, 16, "creation "+k.CreationUntested)
		}
		for _, name := range slices.Sorted(maps.Keys(k.Writers)) {
			for _, a := range k.Writers[name].Attempts {
				p.lines(strings.Repeat(" ", 14), 14, 16, outcome(a, o)+by(name))
			}
		}
	}
}

func (p *page) plan(r *report.Report, o Options) {
	if !r.Run.DryRun {
		return
	}
	for _, w := range r.Run.Writers {
		mine := slices.DeleteFunc(slices.Clone(r.Plan), func(k report.Planned) bool {
			return k.Writer != w || k.Why == string(report.ReasonExcluded)
		})
		p.planOf(w, mine, len(r.Run.Writers) > 1, r.Run.Thorough, o)
	}
}

func (p *page) planOf(writer string, plan []report.Planned, oneOfSeveral, thorough bool, o Options) {
	batches, most := 0, 0
	for _, k := range plan {
		batches, most = max(batches, k.Batch), max(most, len(k.Candidates))
	}
	head := fmt.Sprintf("%s in %s, and then the same in reverse", plural(planned(plan), "key"), plural(batches, "batch"))
	if thorough {
		head += fmt.Sprintf("; then each value, one of a key in a pass, at most %d", most)
	}
	if oneOfSeveral {
		head = writer + ": " + head
	}
	p.section(p.strong, "PLAN", head)
	p.lines("  batch  ", 9, 11, "key: values, in the order in which they are tried")
	for _, k := range plan {
		values := k.Candidates
		if len(values) > shown && !o.Verbose {
			values = append(slices.Clone(values[:shown]), "...")
		}
		s, batch := whole(k.Key, k.KeyB64)+": "+strings.Join(values, " | "), strconv.Itoa(k.Batch)
		switch {
		case k.Batch == 0:
			s, batch = whole(k.Key, k.KeyB64)+": not written: "+k.Why, "-"
		case k.Why != "":
			s += " (" + k.Why + ")"
		}
		p.lines(fmt.Sprintf("  %5s  ", batch), 9, 11, s)
	}
}

// planned counts the keys that would be written, each once.
func planned(plan []report.Planned) int {
	keys := map[string]bool{}
	for _, k := range plan {
		if k.Batch > 0 {
			keys[report.Whole(k.Key, k.KeyB64)] = true
		}
	}
	return len(keys)
}
