package report

import "maps"

// Asked tells that the run was asked about the key.
func (k Key) Asked() bool { return !k.Excluded && k.UntestedReason != ReasonExcluded }

// Asked is the counts without keys that were not asked about.
func (r *Report) Asked() Counts {
	c := r.Counts
	c.Verdicts = maps.Clone(c.Verdicts)
	for _, k := range r.Keys {
		if k.Asked() {
			continue
		}
		if c.Verdicts[k.Verdict] > 0 {
			c.Verdicts[k.Verdict]--
		}
		if k.Verdict == VerdictUntested {
			c.Writable--
		}
	}
	return c
}
