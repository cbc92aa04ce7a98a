package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/report"
)

// answers shows those to --keys-from. To a line with wildcards there may be many.
func (p *page) answers(r *report.Report, o Options) {
	if len(r.Answers) == 0 || r.Run.DryRun {
		return
	}
	p.section(p.strong, "ANSWERS", "the verdict on each key asked about, and whether a fresh namespace can set it")
	for rest := r.Answers; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(a report.Answer) bool { return a.Line != rest[0].Line })
		if n < 0 {
			n = len(rest)
		}
		head := fmt.Sprintf("  line %d: ", rest[0].Line)
		p.lines(head, len(head), 6, answer(rest[0]))
		p.list(n-1, o, func(i int) { p.item(answer(rest[i+1])) })
		rest = rest[n:]
	}
}

func answer(a report.Answer) string {
	if a.Key == "" {
		return escape.Line(a.Pattern + ": " + a.Why)
	}
	s := whole(a.Key, a.KeyB64)
	if a.Value != nil {
		s += " = " + value(report.Shown{Text: a.Value}, Options{})
	}
	s += ": " + escape.Line(string(a.Verdict))
	if a.UntestedReason != "" {
		s += " (" + escape.Line(string(a.UntestedReason)) + ")"
	}
	names := slices.Sorted(maps.Keys(a.Writers))
	differ := slices.ContainsFunc(names, func(n string) bool { return a.Writers[n] != a.Writers[names[0]] })
	for _, n := range names {
		if !differ {
			return s + ", " + setting(a.Writers[n], "")
		}
		s += ", " + setting(a.Writers[n], " by "+n)
	}
	return s
}

func setting(w report.Setting, by string) string {
	s := "it is not known whether it can be set"
	switch w.Set {
	case report.SetYes:
		s = "can be set"
	case report.SetNo:
		s = "cannot be set"
	}
	s += escape.Line(by)
	why := strings.TrimPrefix(w.Errno+": "+w.Why, ": ")
	if why = strings.TrimSuffix(why, ": "); why != "" {
		s += " (" + escape.Line(why) + ")"
	}
	return s
}
