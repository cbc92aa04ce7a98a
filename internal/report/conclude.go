package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// The exit statuses, the same in every format. A run that was ended by signal n
// exits with ExitSignal+n.
const (
	ExitClean      = 0
	ExitLeak       = 1
	ExitUsage      = 2
	ExitUnverified = 3
	ExitSignal     = 128
)

// Ending is how a run ended, apart from what it found.
type Ending struct {
	// Err is why the run did not come to its end, or nil.
	Err error
	// Usage tells that it was asked wrongly.
	Usage bool
	// Signal is the number of the signal that made it so, or 0.
	Signal int
	// Strict makes an incomplete run a failed one.
	Strict bool
	// AllowUntested tells which untested keys Strict accepts; nil means none.
	AllowUntested func(key string) bool
}

// Conclude sets Complete, ExitStatus and ExitReason from what the report holds
// and how the run ended, and OneWay in NotRestored. It changes nothing else, and
// a second call changes nothing at all.
func (r *Report) Conclude(end Ending) {
	r.markOneWay()
	gaps, refused := r.gaps(end)
	r.Run.Complete = len(gaps) == 0
	r.Run.ExitStatus, r.Run.ExitReason = r.exit(end, gaps, refused)
}

// Unwritten says that the report could not be written where it was to go.
func (r *Report) Unwritten(why string) {
	r.Run.ExitStatus = max(r.Run.ExitStatus, ExitUnverified)
	r.Run.ExitReason = why + "; " + r.Run.ExitReason
}

func (r *Report) exit(end Ending, gaps, refused []string) (status int, reason string) {
	lost := r.lost()
	andLeaks := func(s string) string {
		if n := len(r.Leaks); n > 0 {
			s += "; " + Plural(n, "leak")
		}
		return s
	}
	andLost := func(s string) string {
		s = andLeaks(s)
		if lost > 0 {
			s += "; host not restored: " + Plural(lost, "key")
		}
		return s
	}
	switch {
	case end.Err != nil && end.Signal != 0:
		return ExitSignal + end.Signal, andLost(end.Err.Error())
	case end.Usage:
		return ExitUsage, end.Err.Error()
	case end.Err != nil:
		return ExitUnverified, andLost(end.Err.Error())
	case lost > 0:
		return ExitUnverified, andLeaks("host not restored: " + Plural(lost, "key"))
	case len(r.Keys)+len(r.Plan) == 0:
		return ExitUnverified, "there is no key to test"
	case r.Run.DryRun:
		return ExitClean, "dry run: nothing was written"
	case end.Strict && len(refused) > 0:
		return ExitUnverified, andLeaks("incomplete (--strict): " + strings.Join(refused, ", "))
	case r.nothingTested() > 0:
		return ExitUnverified, "nothing was tested: none of " + Plural(r.nothingTested(), "writable key") + " could be"
	case len(r.Leaks) > 0:
		return ExitLeak, Plural(len(r.Leaks), "leak")
	case len(gaps) > 0:
		return ExitClean, "no leaks found, but " + strings.Join(gaps, ", ")
	}
	return ExitClean, "no leaks found"
}

// nothingTested counts the untested keys that were asked for, where no write to any key
// showed anything.
func (r *Report) nothingTested() (n int) {
	if r.Counts.Perturbed > 0 || len(r.Leaks) > 0 {
		return 0
	}
	for _, k := range r.Keys {
		switch k.Verdict {
		case VerdictLeak, VerdictIsolated, VerdictWriteOnly:
			return 0
		case VerdictUntested:
			if k.UntestedReason != ReasonExcluded {
				n++
			}
		}
	}
	return n
}

// markOneWay marks what a one-way leak left on the host: that is the leak itself.
func (r *Report) markOneWay() {
	latched := map[string]bool{}
	for _, l := range r.Leaks {
		for _, e := range l.Effects {
			if l.Evidence.Status == StatusOneWay && e.Observer == ObserverHost {
				latched[e.Key] = true
			}
		}
	}
	for i := range r.Run.NotRestored {
		n := &r.Run.NotRestored[i]
		n.OneWay = n.OneWay || latched[n.Key]
	}
}

// lost counts the host's keys that are not as they were found, one-way leaks apart.
func (r *Report) lost() (n int) {
	for _, k := range r.Run.NotRestored {
		if !k.OneWay {
			n++
		}
	}
	return n
}

// gaps lists what the run leaves open, and what of that --strict does not accept, by name.
func (r *Report) gaps(end Ending) (all, refused []string) {
	add := func(n int, names []string, what, could string) {
		if n > 0 {
			all = append(all, Plural(n, what)+" could not be "+could)
		}
		if len(names) > 0 {
			refused = append(refused, Plural(len(names), what)+" could not be "+could+" ("+some(names)+")")
		}
	}
	untested := 0
	var unaccepted, unresolved, unconfirmed, lost, skipped []string
	for _, k := range r.Keys {
		if k.Verdict != VerdictUntested || !k.Asked() {
			continue
		}
		untested++
		if !k.explained() && (end.AllowUntested == nil || !end.AllowUntested(Whole(k.Key, k.KeyB64))) {
			unaccepted = append(unaccepted, forPeople(Whole(k.Key, k.KeyB64))+": "+string(k.UntestedReason))
		}
	}
	for _, l := range r.Leaks {
		if l.Evidence.Status == StatusUnresolved {
			unresolved = append(unresolved, forPeople(l.firstCause()))
		}
	}
	for _, e := range r.Unconfirmed {
		unconfirmed = append(unconfirmed, forPeople(e.Key))
	}
	for _, n := range r.Run.NotRestored {
		if !n.OneWay {
			lost = append(lost, forPeople(n.Key))
		}
	}
	for _, s := range r.Run.Skipped {
		skipped = append(skipped, s.Phase)
	}
	add(untested, unaccepted, "key", "tested")
	missing := r.answer()
	add(len(missing), missing, "line", "answered")
	add(len(unresolved), unresolved, "leak", "narrowed down")
	add(len(unconfirmed), unconfirmed, "change", "explained")
	add(len(lost), lost, "key", "put back")
	add(len(skipped), skipped, "phase", "done")
	open := func(what string) { all, refused = append(all, what), append(refused, what) }
	if r.Run.ReplaysExhausted {
		open("the budget of replays was used up")
	}
	if end.Err != nil || r.Run.DryRun || !slices.ContainsFunc(r.Keys, Key.Asked) {
		open("not everything was tried")
	}
	return all, refused
}

// some names the first few.
func some(names []string) string {
	const few = 3
	if n := len(names) - few; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), n)
	}
	return strings.Join(names, ", ")
}

func forPeople(key string) string { return sysctl.Key(key).Shown() }

// explained tells that the kernel allows no effective write to the key, for a
// reason that the built-in notes name.
func (k Key) explained() bool { return k.UntestedReason == ReasonRefused && k.Note != "" }
