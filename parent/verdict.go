package parent

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// reportKeys gives every key of the host and of the writer its verdict.
func (r *run) reportKeys(rep *report.Report) {
	rep.Counts.Verdicts = map[report.Verdict]int{}
	if r.host == nil || r.writerBase == nil {
		return
	}
	host, writer := r.host.Baseline().Map(), r.writerBase.Map()
	attempts := map[sysctl.Key][]write{}
	for _, w := range r.writes {
		attempts[w.key] = append(attempts[w.key], w)
	}
	judge := judge{run: r, leaking: r.causeKeys(), candidates: r.candidateKeys(), open: map[sysctl.Key]bool{}, plans: map[sysctl.Key]planned{}}
	for _, w := range r.writes[r.closed:] {
		judge.open[w.key] = true
	}
	for _, p := range r.plan {
		judge.plans[p.entry.Key] = p
	}
	rep.Counts.HostKeys, rep.Counts.ChildKeys = len(host), len(writer)
	for _, k := range union(r.host.Baseline(), r.writerBase) {
		h, onHost := host[k]
		w, inWriter := writer[k]
		key := report.Key{Key: string(k), Writers: map[string]report.Writer{}, Verdict: report.VerdictHostOnly}
		for _, o := range []string{observerHost, observerSibling} {
			key.Restless = key.Restless || r.restless[place{o, k}]
		}
		if onHost {
			v := r.view(h)
			key.Host = &v
		}
		if inWriter {
			key.Verdict, key.UntestedReason, key.Note = judge.key(w, attempts[k])
			view := report.Writer{View: r.view(w), Verdict: key.Verdict}
			for _, a := range attempts[k] {
				view.Attempts = append(view.Attempts, r.reportAttempt(a))
			}
			key.Writers[writerRoot] = view
			if w.Writable() {
				rep.Counts.Writable++
			}
			if slices.ContainsFunc(attempts[k], write.perturbed) {
				rep.Counts.Perturbed++
			}
		}
		rep.Counts.Verdicts[key.Verdict]++
		rep.Keys = append(rep.Keys, key)
	}
}

// judge reaches verdicts.
type judge struct {
	*run
	leaking, candidates map[sysctl.Key]bool
	// open is the keys written in a pass that was not completed: what those
	// writes did may not have been seen yet.
	open  map[sysctl.Key]bool
	plans map[sysctl.Key]planned
}

func (j judge) key(e sysctl.Entry, attempts []write) (report.Verdict, report.Reason, string) {
	plan := j.plans[e.Key]
	untested := func(why report.Reason, note string) (report.Verdict, report.Reason, string) {
		return report.VerdictUntested, why, note
	}
	switch {
	case j.leaking[e.Key]:
		return report.VerdictLeak, "", ""
	case !e.Writable():
		return report.VerdictReadOnly, "", ""
	case j.candidates[e.Key]:
		return untested(report.ReasonUnresolved, "it is among the candidates of a leak whose cause could not be narrowed down")
	case plan.skip == report.ReasonOneWay:
		l, _ := known.OneWay(e.Key)
		return untested(plan.skip, l.Bug)
	case plan.skip != "":
		return untested(plan.skip, "")
	case j.open[e.Key] && j.exhausted:
		return untested(report.ReasonUnresolved, "the budget of replays was used up before every effect was attributed")
	case len(attempts) == 0 && j.cut() || j.open[e.Key]:
		return untested(report.ReasonStopped, "")
	case !e.Readable():
		if len(attempts) == 0 {
			return untested(report.ReasonNoCandidate, "")
		}
		return report.VerdictWriteOnly, "", ""
	case j.hidden(e.Key):
		return untested(report.ReasonUnobserved, "")
	case j.unsteady(e.Key):
		return untested(report.ReasonRestless, "")
	case j.proven[e.Key] || prove(attempts):
		return report.VerdictIsolated, "", ""
	case j.latched(e, attempts):
		l, _ := known.OneWay(e.Key)
		return untested(report.ReasonLatched, l.Bug)
	case len(attempts) == 0:
		return untested(report.ReasonNoCandidate, known.Refused(e.Key))
	}
	return untested(report.ReasonRefused, known.Refused(e.Key))
}

// cut tells that the run ended before the plan was through.
func (j judge) cut() bool { return j.passes < 2 || j.aborted }

// hidden tells that an observer has the key but may not read it.
func (j judge) hidden(k sysctl.Key) bool {
	return j.host.Expected(k).Hidden() || j.siblingBase[k].State.Hidden()
}

// latched tells that the key is at a value that the kernel does not let go.
func (j judge) latched(e sysctl.Entry, attempts []write) bool {
	busy := slices.ContainsFunc(attempts, func(w write) bool { return w.errno == unix.EBUSY })
	return busy && j.host.Expected(e.Key) == e.State
}

// causeKeys is the keys that a confirmed or one-way leak has as its cause.
func (r *run) causeKeys() map[sysctl.Key]bool {
	keys := map[sysctl.Key]bool{}
	for _, l := range r.leaks {
		for _, w := range l.cause {
			keys[w.key] = true
		}
	}
	return keys
}

func union(a, b sysctl.Snapshot) []sysctl.Key {
	keys := make([]sysctl.Key, 0, len(a)+len(b))
	for _, s := range []sysctl.Snapshot{a, b} {
		for _, e := range s {
			keys = append(keys, e.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
