package verdict

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Case is all that verdicts are reached from.
type Case struct {
	Question plan.Question
	// Host is the host, and how it was found.
	Host *sysctl.Sweeper
	// Sibling is what the newest sibling had at first.
	Sibling map[sysctl.Key]sysctl.Entry
	Writers []Writer
	Leaks   finding.Leaks
	// Unconfirmed is the keys of effects that no replay explains.
	Unconfirmed map[sysctl.Key]bool
	// Restless tells of a place that it moves by itself; Unsteady, of a key that two fresh
	// namespaces may differ in it.
	Restless func(trace.Place) bool
	Unsteady func(sysctl.Key) bool
	// Crowd is the host's devices that fresh namespaces got no counterpart of.
	Crowd map[string]bool
	// Exhausted: the budget of replays was used up; Aborted: the plan was not got through.
	Exhausted, Aborted bool
	Secrets            *Secrets
}

// Writer is what is known of one writer.
type Writer struct {
	Name   trace.Writer
	Base   sysctl.Snapshot
	Plan   *plan.Plan
	Writes []trace.Write
	// Closed is how many of the writes belong to passes that were completed.
	Closed, Passes int
	// Proven is the keys that a replay has shown to be isolated.
	Proven map[sysctl.Key]bool
}

// Keys gives every key of the host and of the writers its verdict: the worst of what the
// writers found.
func (c *Case) Keys(rep *report.Report) {
	judges := c.judges()
	hostKeys := c.Host.Baseline().OfNetwork()
	snapshots := []sysctl.Snapshot{hostKeys}
	for _, w := range c.Writers {
		snapshots = append(snapshots, w.Base)
	}
	host := hostKeys.Map()
	rep.Counts.HostKeys, rep.Counts.Watched = len(host), len(c.Host.Baseline())
	for _, k := range union(snapshots...) {
		key := c.key(judges, k, host)
		rep.Counts.Verdicts[key.Verdict]++
		rep.Keys = append(rep.Keys, key)
		writable, perturbed := false, false
		for _, j := range judges {
			writable = writable || j.base[k].Writable()
			perturbed = perturbed || slices.ContainsFunc(j.attempts[k], trace.Write.Perturbed)
		}
		count(&rep.Counts.Excluded, key.Excluded)
		count(&rep.Counts.ChildKeys, len(key.Writers) > 0)
		count(&rep.Counts.Writable, writable)
		count(&rep.Counts.Perturbed, perturbed)
	}
}

func (c *Case) key(judges []judge, k sysctl.Key, host map[sysctl.Key]sysctl.Entry) report.Key {
	key := report.Key{Key: string(k), Writers: map[string]report.Writer{}, Verdict: report.VerdictHostOnly, Excluded: !c.Question.Asks(k)}
	for _, o := range []string{trace.Host, trace.Sibling} {
		key.Restless = key.Restless || c.Restless(trace.Place{Observer: o, Key: k})
	}
	if h, ok := host[k]; ok {
		v := c.Secrets.View(h)
		key.Host = &v
	}
	for _, j := range judges {
		e, ok := j.base[k]
		if !ok {
			continue
		}
		verdict, why, note := j.key(e, j.attempts[k])
		if worse(verdict, key.Verdict) {
			key.Verdict, key.UntestedReason, key.Note = verdict, why, note
		}
		view := report.Writer{View: c.Secrets.View(e), Verdict: verdict}
		for _, a := range j.attempts[k] {
			view.Attempts = append(view.Attempts, c.Secrets.Attempt(a))
		}
		key.Writers[string(j.w.Name)] = view
	}
	if name, _ := k.Device(); len(key.Writers) == 0 && c.Crowd[name] && host[k].Writable() && !key.Excluded {
		key.Verdict, key.UntestedReason = report.VerdictUntested, report.ReasonCrowded
	}
	return key
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
	*Case
	w                   Writer
	base                map[sysctl.Key]sysctl.Entry
	attempts            map[sysctl.Key][]trace.Write
	leaking, candidates map[sysctl.Key]bool
	// open is the keys written in a pass that was not completed: what those
	// writes did may not have been seen yet.
	open  map[sysctl.Key]bool
	plans map[sysctl.Key]plan.Key
}

func (c *Case) judges() (all []judge) {
	for _, w := range c.Writers {
		j := judge{
			Case: c, w: w, base: w.Base.Map(), attempts: map[sysctl.Key][]trace.Write{},
			leaking: c.Leaks.Causes(w.Name), candidates: c.Leaks.Candidates(w.Name),
			open: map[sysctl.Key]bool{}, plans: map[sysctl.Key]plan.Key{},
		}
		for i, a := range w.Writes {
			j.attempts[a.Key] = append(j.attempts[a.Key], a)
			j.open[a.Key] = j.open[a.Key] || i >= w.Closed
		}
		for _, p := range w.Plan.Keys {
			j.plans[p.Entry.Key] = p
		}
		all = append(all, j)
	}
	return all
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
	case len(attempts) > 0 && j.Unconfirmed[e.Key]: // its own writes could have had it
		return untested(report.ReasonUnconfirmed, "")
	case planned.Skip == report.ReasonOneWay:
		l, _ := known.OneWay(e.Key)
		return untested(planned.Skip, l.Bug)
	case planned.Skip == report.ReasonUnobserved && j.Question.Covers(e.Key):
		return untested(planned.Skip, "something is mounted over the host's")
	case planned.Skip == report.ReasonUnobserved:
		return untested(planned.Skip, unread(e, j.Host.Found(e.Key)))
	case planned.Skip != "":
		return untested(planned.Skip, "")
	case j.open[e.Key] && j.Exhausted:
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
	case j.Unsteady(e.Key):
		return untested(report.ReasonRestless, "")
	case j.w.Proven[e.Key] || trace.Proves(attempts):
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
	why := ErrnoName(st.Errno)
	if st.Errno == unix.EFBIG {
		why += ": longer than a page"
	}
	return of + " cannot be read (" + why + "), so it was not written"
}

// cut tells that the run ended before the plan was through.
func (j judge) cut() bool { return j.w.Passes < 2 || j.Aborted }

// hidden tells that an observer has the key but may not read it.
func (j judge) hidden(k sysctl.Key) bool {
	return j.Host.Expected(k).Hidden() || j.Sibling[k].State.Hidden()
}

// missing tells that the host has never had the key, and that no device is why.
func (j judge) missing(k sysctl.Key) bool {
	device, _ := k.Device()
	return device == "" && j.Host.Expected(k) == sysctl.Absent && j.Host.Found(k).Key == ""
}

// latched tells that the key is at a value that the kernel does not let go.
func (j judge) latched(e sysctl.Entry, attempts []trace.Write) bool {
	busy := slices.ContainsFunc(attempts, func(w trace.Write) bool { return w.Errno == unix.EBUSY })
	return busy && j.Host.Look(e.Key) == e.State
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
