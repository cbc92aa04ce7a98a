package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// proveAlone is for keys that were written while an observer's value of the same
// key was not what the writer was told to avoid: another write had just changed
// it. Such a write proves nothing, so it is made once more without the others.
func (p *passState) proveAlone(ctx context.Context, effects []trace.Effect, batch []trace.Write) error {
	if slices.ContainsFunc(batch, trace.Write.Passed) {
		return nil // such writes prove nothing by path
	}
	var tainted []sysctl.Key
	for _, e := range effects {
		tainted = append(tainted, e.Key)
	}
	causes := p.leaks.Causes(p.writer)
	again := slices.DeleteFunc(trace.Of(batch, tainted), func(w trace.Write) bool { return causes[w.Key] })
	for i := range p.writes {
		if j := len(p.writes) - len(batch); i >= j && slices.Contains(tainted, p.writes[i].Key) {
			p.writes[i].Tainted = true
		}
	}
	if len(again) == 0 {
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
