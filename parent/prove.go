package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// proveAlone is for keys that were written while an observer's value of the same
// key was not what the writer was told to avoid: another write had just changed
// it. Such a write proves nothing, so it is made once more without the others.
func (p *passState) proveAlone(ctx context.Context, effects []effect, batch []write) error {
	if slices.ContainsFunc(batch, write.passed) {
		return nil // such writes prove nothing by path
	}
	var tainted []sysctl.Key
	for _, e := range effects {
		tainted = append(tainted, e.key)
	}
	causes := p.causeKeys(p.writer)
	again := slices.DeleteFunc(writesOf(batch, tainted), func(w write) bool { return causes[w.key] })
	for i := range p.writes {
		if j := len(p.writes) - len(batch); i >= j && slices.Contains(tainted, p.writes[i].key) {
			p.writes[i].tainted = true
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
		out.writes[i].observed = p.observed(w.key)
	}
	for _, k := range keysOf(again) {
		changed := slices.ContainsFunc(out.effects, func(e effect) bool { return e.key == k })
		if !changed && prove(writesOf(out.writes, []sysctl.Key{k})) {
			p.proven[k] = true
		}
	}
	return nil
}
