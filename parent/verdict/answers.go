package verdict

import (
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/keyfile"
	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Answers answers each line of the question, for each key that it asks about.
func (c *Case) Answers(rep *report.Report) {
	if len(c.Question.Lines) == 0 || len(rep.Keys) == 0 {
		return
	}
	judges := c.judges()
	asking := map[int][]sysctl.Key{} // by line
	keys := make([]sysctl.Key, len(rep.Keys))
	for i, k := range rep.Keys {
		keys[i] = sysctl.Key(k.Key)
		for _, l := range c.Question.Lines.For(keys[i]) {
			asking[l.Number] = append(asking[l.Number], keys[i])
		}
	}
	for _, l := range c.Question.Lines {
		if l.Except {
			continue
		}
		a := report.Answer{Line: l.Number, Pattern: l.Glob.String(), Writers: map[string]report.Setting{}}
		if len(asking[l.Number]) == 0 {
			a.Why, a.Missing = whyNone(l, keys)
			rep.Answers = append(rep.Answers, a)
		}
		for _, k := range asking[l.Number] {
			a := a
			a.Key, a.Writers = string(k), map[string]report.Setting{}
			if l.Value != nil {
				a.Value = c.Secrets.Show(k, sysctl.State{Value: *l.Value}).Text
			}
			for _, j := range judges {
				a.Writers[string(j.w.Name)] = j.setting(k, l.Value)
			}
			rep.Answers = append(rep.Answers, a)
		}
	}
}

// whyNone says why a line asks about none of the keys, and whether something is open
// because of that.
func whyNone(l keyfile.Line, keys []sysctl.Key) (why string, missing bool) {
	switch {
	case l.Glob.Elsewhere():
		return plan.NoSuchKey(l.Glob, nil), false
	case slices.ContainsFunc(keys, l.Glob.Match):
		return "other lines name its keys", false
	}
	return plan.NoSuchKey(l.Glob, keys), !l.Optional
}

// setting tells whether the writer could set a key: to a value, if there is one.
func (j judge) setting(k sysctl.Key, value *string) report.Setting {
	e, ok := j.base[k]
	if !ok || !e.Writable() {
		return report.Setting{Set: report.SetNo}
	}
	attempts, why := j.attempts[k], ""
	if value != nil {
		same := func(w trace.Write) bool { return slices.Equal(strings.Fields(w.Value), strings.Fields(*value)) }
		switch mine := slices.DeleteFunc(slices.Clone(attempts), func(w trace.Write) bool { return !same(w) }); {
		case len(mine) > 0:
			attempts = mine
		case same(trace.Write{Value: e.State.Value}) && e.State.OK():
			why = "a fresh namespace has this value; others were tried"
		case perturb.WouldLoad(k, *value, plan.FactsOf(j.w.Base, "")):
			return report.Setting{Set: report.SetUnknown, Why: "not tried: it may make the kernel load a module"}
		case same(trace.Write{Value: j.Host.Expected(k).Value}) && j.Host.Expected(k).OK() || same(trace.Write{Value: j.Sibling[k].State.Value}) && j.Sibling[k].State.OK():
			why = "an observer has this value; others were tried"
		default:
			return report.Setting{Set: report.SetUnknown, Why: "not tried"}
		}
	}
	refused := ""
	for _, w := range attempts {
		switch {
		case w.Errno != 0:
			refused = ErrnoName(w.Errno)
		case w.Perturbed() || !e.Readable():
			return report.Setting{Set: report.SetYes, Why: why}
		}
	}
	if len(attempts) == 0 {
		return report.Setting{Set: report.SetUnknown}
	}
	return report.Setting{Set: report.SetNo, Errno: refused, Why: why}
}
