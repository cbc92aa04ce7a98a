package parent

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// reportKeys gives every key of the host and of the writers its verdict: the
// worst of what the writers found.
func (r *run) reportKeys(rep *report.Report) {
	rep.Counts.Verdicts = map[report.Verdict]int{}
	if r.host == nil || r.writing == nil || r.writings[0].writerBase == nil {
		return
	}
	var judges []judge
	hostKeys := ofNetwork(r.host.Baseline())
	snapshots := []sysctl.Snapshot{hostKeys}
	for _, w := range r.writings {
		judges = append(judges, r.judge(w))
		snapshots = append(snapshots, w.writerBase)
	}
	host, crowd := hostKeys.Map(), r.crowd()
	rep.Counts.HostKeys, rep.Counts.Watched = len(host), len(r.host.Baseline())
	rep.Counts.Descriptors = len(trace.KeysOf(r.throughs))
	for _, k := range union(snapshots...) {
		key := report.Key{Key: string(k), Writers: map[string]report.Writer{}, Verdict: report.VerdictHostOnly, Excluded: !r.question.Asks(k)}
		for _, o := range []string{trace.Host, trace.Sibling} {
			key.Restless = key.Restless || r.restless[trace.Place{Observer: o, Key: k}]
		}
		if h, ok := host[k]; ok {
			v := r.view(h)
			key.Host = &v
		}
		writable, perturbed := false, false
		for _, j := range judges {
			e, ok := j.base[k]
			if !ok {
				continue
			}
			verdict, why, note := j.key(e, j.attempts[k])
			if worse(verdict, key.Verdict) {
				key.Verdict, key.UntestedReason, key.Note = verdict, why, note
			}
			view := report.Writer{View: r.view(e), Verdict: verdict}
			for _, a := range j.attempts[k] {
				view.Attempts = append(view.Attempts, r.reportAttempt(a))
			}
			key.Writers[string(j.w.writer)] = view
			writable = writable || e.Writable()
			perturbed = perturbed || slices.ContainsFunc(j.attempts[k], trace.Write.Perturbed)
		}
		if name, _ := k.Device(); len(key.Writers) == 0 && crowd[name] && host[k].Writable() && r.question.Asks(k) {
			key.Verdict, key.UntestedReason = report.VerdictUntested, report.ReasonCrowded
		}
		count(&rep.Counts.Excluded, key.Excluded)
		count(&rep.Counts.ChildKeys, len(key.Writers) > 0)
		count(&rep.Counts.Writable, writable)
		count(&rep.Counts.Perturbed, perturbed)
		rep.Counts.Verdicts[key.Verdict]++
		rep.Keys = append(rep.Keys, key)
	}
}

func count(n *int, is bool) {
	if is {
		*n++
	}
}

// worse ranks verdicts: a key that one writer does not have, or may not write,
// does not hide what another one found.
func worse(a, b report.Verdict) bool {
	rank := [...]report.Verdict{
		report.VerdictLeak, report.VerdictUntested, report.VerdictIsolated, report.VerdictWriteOnly,
		report.VerdictReadOnly, report.VerdictHostOnly,
	}
	return slices.Index(rank[:], a) < slices.Index(rank[:], b)
}

// judge reaches the verdicts on one writer's keys.
type judge struct {
	*run
	w                   *writing
	base                map[sysctl.Key]sysctl.Entry
	attempts            map[sysctl.Key][]trace.Write
	leaking, candidates map[sysctl.Key]bool
	// open is the keys written in a pass that was not completed: what those
	// writes did may not have been seen yet.
	open map[sysctl.Key]bool
	// unconfirmed is the keys of effects that no replay explains.
	unconfirmed map[sysctl.Key]bool
	plans       map[sysctl.Key]plan.Key
}

func (r *run) judge(w *writing) judge {
	j := judge{
		run: r, w: w, base: w.writerBase.Map(), attempts: map[sysctl.Key][]trace.Write{},
		leaking: r.leaks.Causes(w.writer), candidates: r.leaks.Candidates(w.writer),
		open: map[sysctl.Key]bool{}, unconfirmed: r.unconfirmedKeys(), plans: map[sysctl.Key]plan.Key{},
	}
	for i, a := range w.writes {
		j.attempts[a.Key] = append(j.attempts[a.Key], a)
		j.open[a.Key] = j.open[a.Key] || i >= w.closed
	}
	for _, p := range w.plan.Keys {
		j.plans[p.Entry.Key] = p
	}
	return j
}

func (j judge) key(e sysctl.Entry, attempts []trace.Write) (report.Verdict, report.Reason, string) {
	planned := j.plans[e.Key]
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
	case len(attempts) > 0 && j.unconfirmed[e.Key]: // its own writes could have had it
		return untested(report.ReasonUnconfirmed, "")
	case planned.Skip == report.ReasonOneWay:
		l, _ := known.OneWay(e.Key)
		return untested(planned.Skip, l.Bug)
	case planned.Skip == report.ReasonUnobserved && j.question.Covers(e.Key):
		return untested(planned.Skip, "something is mounted over the host's")
	case planned.Skip == report.ReasonUnobserved:
		return untested(planned.Skip, unread(e, j.atFirst(e.Key)))
	case planned.Skip != "":
		return untested(planned.Skip, "")
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
	case j.missing(e.Key):
		return untested(report.ReasonUnobserved, "the host has no such key")
	case j.unsteady(e.Key):
		return untested(report.ReasonRestless, "")
	case j.w.proven[e.Key] || trace.Proves(attempts):
		return report.VerdictIsolated, "", ""
	case j.latched(e, attempts):
		l, _ := known.OneWay(e.Key)
		return untested(report.ReasonLatched, l.Bug)
	case len(attempts) == 0:
		return untested(report.ReasonNoCandidate, known.Refused(e.Key))
	}
	return untested(report.ReasonRefused, known.Refused(e.Key))
}

// unread says why a key was not written.
func unread(child, host sysctl.Entry) string {
	of, st := "its value in a fresh namespace", child.State
	if !child.Unread() {
		of, st = "the host's value", host.State
	}
	why := errnoName(st.Errno)
	if st.Errno == unix.EFBIG {
		why += ": longer than a page"
	}
	return of + " cannot be read (" + why + "), so it was not written"
}

// cut tells that the run ended before the plan was through.
func (j judge) cut() bool { return j.w.passes < 2 || j.aborted }

// hidden tells that an observer has the key but may not read it.
func (j judge) hidden(k sysctl.Key) bool {
	return j.host.Expected(k).Hidden() || j.siblingBase[k].State.Hidden()
}

// missing tells that the host has never had the key, and that no device is why.
func (j judge) missing(k sysctl.Key) bool {
	device, _ := k.Device()
	return device == "" && j.host.Expected(k) == absent && j.atFirst(k).Key == ""
}

// latched tells that the key is at a value that the kernel does not let go.
func (j judge) latched(e sysctl.Entry, attempts []trace.Write) bool {
	busy := slices.ContainsFunc(attempts, func(w trace.Write) bool { return w.Errno == unix.EBUSY })
	return busy && j.host.Look(e.Key) == e.State
}

func union(snapshots ...sysctl.Snapshot) []sysctl.Key {
	var keys []sysctl.Key
	for _, s := range snapshots {
		for _, e := range s {
			keys = append(keys, e.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
