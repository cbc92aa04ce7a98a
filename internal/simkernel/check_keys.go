package simkernel

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// keys checks the verdicts.
func (c *checker) keys() {
	leaking, suspects := map[sysctl.Key]bool{}, map[sysctl.Key]bool{}
	for i := range c.r.Leaks {
		l := &c.r.Leaks[i]
		if l.Evidence.Status != report.StatusUnresolved {
			for _, k := range causeOf(l) {
				leaking[k] = true
			}
		}
		for _, k := range append(causeOf(l), keysOf(l.Evidence.Candidates)...) {
			suspects[k] = true
		}
	}
	for i, p := range c.t.Plants {
		if !c.log.seen(i) {
			continue
		}
		for _, k := range p.Cause {
			if c.verdicts[k].Verdict == report.VerdictIsolated {
				c.bad("%s is said to be isolated: plant %d %v", k, i, p)
			}
		}
	}
	for _, t := range c.t.Keys {
		v, ok := c.verdicts[t.Key]
		if !ok || v.Verdict == "" {
			if t.InChild {
				c.bad("%s has no verdict", t.Key)
			}
			continue
		}
		c.key(t, v, leaking[t.Key], suspects[t.Key])
	}
}

// key checks one verdict against the key's model and against what was written.
func (c *checker) key(t KeyTruth, v report.Key, leaking, suspect bool) {
	if leaking != (v.Verdict == report.VerdictLeak) {
		c.bad("%s has the verdict %s; the cause of a leak: %v", t.Key, v.Verdict, leaking)
	}
	if leaking || suspect || t.Restless && t.Expect == "" {
		return
	}
	proven := c.log.proven(t.Key)
	switch {
	case t.Expect != "" && v.Verdict != t.Expect:
		c.bad("%s has the verdict %s, want %s", t.Key, v.Verdict, t.Expect)
	case v.Verdict == report.VerdictIsolated && !c.log.replayed(t.Key):
		c.bad("%s is said to be isolated, but no write to it could have shown a leak", t.Key)
	case t.Expect == "" && t.Bystander && proven && v.Verdict != report.VerdictIsolated:
		c.bad("%s has the verdict %s (%s) although a write took effect and leaked nowhere", t.Key, v.Verdict, v.UntestedReason)
	case v.Verdict == report.VerdictUntested && v.UntestedReason == "":
		c.bad("%s is untested without a reason", t.Key)
	}
}

// host checks that the host is as it was, and that the report says what is not.
func (c *checker) host(before, after sysctl.Snapshot) {
	was, is := before.Map(), after.Map()
	changed := map[sysctl.Key]bool{}
	for _, t := range c.t.Keys {
		a, there := was[t.Key]
		b, still := is[t.Key]
		if t.RestlessHost || there == still && a.State == b.State {
			continue
		}
		changed[t.Key] = true
		if !c.oneWayAt(Effect{report.ObserverHost, t.Key}) {
			c.bad("host: %s was %q and is %q", t.Key, a.State.Value, b.State.Value)
		}
	}
	said := map[sysctl.Key]bool{}
	for _, n := range c.r.Run.NotRestored {
		said[sysctl.Key(n.Key)] = true
	}
	for _, t := range c.t.Keys {
		switch k := t.Key; {
		case changed[k] && !said[k]:
			c.bad("%s is not restored, and the report does not say so", k)
		case !changed[k] && said[k]:
			c.bad("%s is said not to be restored, and is", k)
		}
	}
	for i := range c.r.Leaks {
		l := &c.r.Leaks[i]
		dirty := slices.ContainsFunc(effectsOf(l), func(e Effect) bool {
			return e.Observer == report.ObserverHost && changed[e.Key]
		})
		if dirty && l.Restored {
			c.bad("leak by %v is said to be restored, and is not", causeOf(l))
		}
	}
}

// oneWayAt tells that a latch has changed the key, for this observer or for
// those that have it from there.
func (c *checker) oneWayAt(e Effect) bool {
	return slices.ContainsFunc(c.log.Firings, func(f Firing) bool {
		return f.Plant >= 0 && c.t.Plants[f.Plant].OneWay &&
			slices.ContainsFunc(f.Changed, func(o Effect) bool { return o.Key == e.Key })
	})
}
