package simkernel

import (
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Check holds a report against the truth and against what the kernel saw. It
// returns what is wrong with the report, nothing where it is right.
//
// A leak must be found if an effect of a planned write could be seen: an
// observer read it, or it was there when the host was swept. Only its visible
// effects must be listed. What later namespaces start with counts as seen when
// the host was swept, even if none was made then: putting the host back may undo it.
func Check(t Truth, l *Log, r *report.Report, before, after sysctl.Snapshot) []string {
	c := &checker{t: t, log: l, r: r, facts: map[sysctl.Key]KeyTruth{}, verdicts: map[sysctl.Key]report.Key{}}
	for _, k := range t.Keys {
		c.facts[k.Key] = k
	}
	for _, k := range r.Keys {
		if _, twice := c.verdicts[sysctl.Key(k.Key)]; twice {
			c.bad("key %s has two verdicts", k.Key)
		}
		c.verdicts[sysctl.Key(k.Key)] = k
	}
	for i := range t.Plants {
		c.found(i)
	}
	for i := range r.Leaks {
		c.sound(&r.Leaks[i])
	}
	c.keys()
	c.host(before, after)
	if l.live > 0 {
		c.bad("%d children were left running", l.live)
	}
	return c.violations
}

type checker struct {
	t          Truth
	log        *Log
	r          *report.Report
	facts      map[sysctl.Key]KeyTruth
	verdicts   map[sysctl.Key]report.Key
	violations []string
}

func (c *checker) bad(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// causeOf is the distinct keys of a leak's cause, sorted.
func causeOf(l *report.Leak) []sysctl.Key { return keysOf(l.Cause) }

func keysOf(writes []report.Cause) []sysctl.Key {
	var keys []sysctl.Key
	for _, w := range writes {
		keys = append(keys, sysctl.Key(w.Key))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func effectsOf(l *report.Leak) []Effect {
	effects := make([]Effect, len(l.Effects))
	for i, e := range l.Effects {
		effects[i] = Effect{e.Observer, sysctl.Key(e.Key)}
	}
	return effects
}

// found checks that a plant that was visible is reported, with all that was visible.
func (c *checker) found(plant int) {
	p := c.t.Plants[plant]
	if p.Kind == Restless {
		return // what it sets may be gone before anybody looks
	}
	missing, reported := map[Effect]bool{}, false
	for e := range c.log.visible[plant] {
		missing[e] = slices.Contains(p.Effects, e)
	}
	for i := range c.r.Leaks {
		l := &c.r.Leaks[i]
		if !p.reportedBy(l) {
			continue
		}
		reported = true
		for _, e := range effectsOf(l) {
			delete(missing, e)
		}
	}
	for e, must := range missing {
		if !must {
			delete(missing, e)
		}
	}
	if c.log.stood[plant] && !reported {
		c.bad("not found: plant %d %v: later namespaces would have shown it", plant, p)
	} else if len(missing) > 0 {
		c.bad("not found: plant %d %v: nothing reports %v", plant, p, sortedEffects(missing))
	}
}

// reportedBy tells whether a leak names the plant's cause as it must: exactly
// where it was confirmed; among the candidates where it cannot be repeated.
func (p Plant) reportedBy(l *report.Leak) bool {
	cause := causeOf(l)
	exact := slices.Equal(cause, p.Cause)
	if !p.OneWay {
		return exact && l.Evidence.Status == report.StatusConfirmed
	}
	if own := (Effect{report.ObserverHost, p.Cause[0]}); p.sameKey() && slices.Contains(effectsOf(l), own) {
		return exact
	}
	return exact || p.among(l)
}

// among tells that the whole cause is in a leak's cause or candidates.
func (p Plant) among(l *report.Leak) bool {
	named := append(causeOf(l), keysOf(l.Evidence.Candidates)...)
	for _, k := range p.Cause {
		if !slices.Contains(named, k) {
			return false
		}
	}
	return true
}

// sound checks that a reported leak is true.
func (c *checker) sound(l *report.Leak) {
	cause, effects := causeOf(l), effectsOf(l)
	planted := func(k sysctl.Key) bool {
		return slices.ContainsFunc(c.t.Plants, func(p Plant) bool { return p.Kind == Restless && p.Cause[0] == k })
	}
	for _, k := range cause {
		if c.facts[k].Restless && !planted(k) {
			c.bad("restless key %s is the cause of a leak", k)
		}
	}
	for i, e := range effects {
		if c.facts[e.Key].Restless && !(e.Observer == report.ObserverHost && planted(e.Key)) {
			c.bad("restless key %s is an effect of a leak", e.Key)
		}
		if slices.Contains(effects[:i], e) {
			c.bad("leak by %v lists %v twice", cause, e)
		}
	}
	if len(effects) == 0 {
		c.bad("leak by %v has no effect", cause)
	}
	if l.Evidence.Status == report.StatusConfirmed {
		c.confirmed(l, cause, effects)
		return
	}
	for _, e := range effects {
		if len(cause) > 0 {
			named := func(p Plant) bool { return p.shows(e) && p.among(l) && subset(cause, p.Cause) }
			if !slices.ContainsFunc(c.t.Plants, named) && !c.t.misnamed(l) {
				c.bad("false leak (%s): %v is not planted as a cause of %v", l.Evidence.Status, cause, e)
			}
			if !c.fired(l.Cause) && len(l.Evidence.Candidates) == 0 {
				c.bad("one-way leak (%s): the values of %v latched nothing", l.Evidence.Status, cause)
			}
			continue
		}
		if !slices.ContainsFunc(c.t.Plants, func(p Plant) bool { return p.shows(e) && p.among(l) }) {
			c.bad("false leak (%s): no cause of %v is among %v and %v",
				l.Evidence.Status, e, cause, keysOf(l.Evidence.Candidates))
		}
	}
}

// misnamed tells that a late latch came just when its victim was written, with
// the very value: no look can tell that from the victim's own doing. The true
// cause is among the candidates, and how often it may happen is bounded (stats).
func (t Truth) misnamed(l *report.Leak) bool {
	cause := causeOf(l)
	return l.Evidence.Status == report.StatusOneWay && len(l.Evidence.Candidates) > 0 && slices.ContainsFunc(t.Plants, func(p Plant) bool {
		return p.Kind == LatchLate && p.among(l) && !slices.Equal(cause, p.Cause) && len(cause) == 1 && p.shows(Effect{report.ObserverHost, cause[0]})
	})
}

func subset(a, b []sysctl.Key) bool {
	return !slices.ContainsFunc(a, func(k sysctl.Key) bool { return !slices.Contains(b, k) })
}

// fired tells that one of these writes, with its value, carried a latch out.
func (c *checker) fired(cause []report.Cause) bool {
	return slices.ContainsFunc(c.log.Firings, func(f Firing) bool {
		w := c.log.Writes[f.Write]
		return f.Plant >= 0 && c.t.Plants[f.Plant].OneWay && len(f.Changed) > 0 &&
			slices.ContainsFunc(cause, func(k report.Cause) bool {
				value := k.Value == nil || c.facts[w.Key].secret || *k.Value == w.Value || c.t.Plants[f.Plant].Kind != LatchSame
				return string(w.Key) == k.Key && value
			})
	})
}

// confirmed checks that a leak is planted as reported, and that its writes as
// reported bring it about on a fresh kernel.
func (c *checker) confirmed(l *report.Leak, cause []sysctl.Key, effects []Effect) {
	if len(cause) == 0 {
		c.bad("confirmed leak to %v has no cause", effects)
		return
	}
	planted := true
	for _, e := range effects {
		planted = planted && slices.ContainsFunc(c.t.Plants, func(p Plant) bool {
			return slices.Equal(p.Cause, cause) && p.shows(e)
		})
	}
	writes, plain := c.writesOf(l)
	if !plain {
		if !planted {
			c.bad("false leak: %v is not planted as a cause of %v", cause, effects)
		}
		return
	}
	if c.t.proves(writes, effects) {
		return // also where it was not planned: two plants may add up
	}
	if !planted {
		c.bad("false leak: %v is not planted as a cause of %v, and its writes %v show nothing or too much",
			cause, effects, writes)
	} else if !c.oneWayFired() { // nothing else can hide it for good
		c.bad("leak by %v to %v is planted, but %v alone is not a minimal reproducer", cause, effects, writes)
	}
}

// writesOf is the values of a leak's cause; not plain where one is a digest.
func (c *checker) writesOf(l *report.Leak) (writes []assignment, plain bool) {
	for _, w := range l.Cause {
		key := sysctl.Key(w.Key)
		if w.Value == nil || c.facts[key].secret || c.facts[key].Restless {
			return nil, false
		}
		writes = append(writes, assignment{key, *w.Value})
	}
	return writes, true
}

func (c *checker) oneWayFired() bool {
	return slices.ContainsFunc(c.log.Firings, func(f Firing) bool { return f.Plant >= 0 && c.t.Plants[f.Plant].OneWay })
}
