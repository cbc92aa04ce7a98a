package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// taint marks the writes of a batch that prove nothing: an observer's value of the same key
// was not what the writer was told to avoid, because another write had just changed it.
func (p *passState) taint(effects []trace.Effect, batch []trace.Write) {
	for i := max(0, len(p.writes)-len(batch)); i < len(p.writes); i++ {
		w := &p.writes[i]
		w.Tainted = w.Tainted || slices.ContainsFunc(effects, func(e trace.Effect) bool { return e.Key == w.Key })
	}
}

// proveTainted makes writes once more that prove nothing, of keys that no other write has
// proved: all together, now that what leaks is known and left out.
func (p *passState) proveTainted(ctx context.Context) error {
	causes, byKey := p.leaks.Causes(p.writer), map[sysctl.Key][]trace.Write{}
	for _, w := range p.writes {
		byKey[w.Key] = append(byKey[w.Key], w)
	}
	var again []trace.Write
	for _, w := range p.writes[p.before:] {
		if w.Tainted && w.Perturbed() && !causes[w.Key] && !p.proven[w.Key] && !p.run.proven[w.Key] && !trace.Proves(byKey[w.Key]) {
			again = append(again, w)
		}
	}
	if len(again) == 0 || p.exhausted {
		return nil
	}
	out, err := p.try(ctx, trial{writes: again})
	if err != nil {
		return p.outOfBudget(err)
	}
	for i, w := range out.writes {
		out.writes[i].Observed = p.observed(w.Key)
	}
	for _, k := range trace.KeysOf(again) {
		changed := slices.ContainsFunc(out.effects, func(e trace.Effect) bool { return e.Key == k })
		if !changed && trace.Proves(trace.Of(out.writes, []sysctl.Key{k})) {
			p.proven[k] = true
		}
	}
	return nil
}
