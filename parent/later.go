package parent

import (
	"context"
	"path"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// peek makes a namespace before writes are undone: that may put right what later
// namespaces start with, and what they would have shown.
func (r *run) peek(ctx context.Context) error {
	if r.last == nil || r.noise.loud || stopped(ctx) != nil {
		return nil
	}
	effects, err := r.laterEffects(ctx, r.controlBase, everything)
	for _, e := range effects {
		if !trace.HasPlace(r.last.early, e.Place) {
			r.last.early = append(r.last.early, e)
		}
	}
	return err
}

// judgeLater makes a namespace after the pass, with the host as it was, and
// attributes what is different from the control namespace, or was when peeked at.
func (p *passState) judgeLater(ctx context.Context) error {
	if err := stopped(ctx); err != nil {
		return err
	}
	join := func() {}
	if p.kind == PhaseForward {
		join = p.startNext(ctx)
	}
	effects, err := p.laterEffects(ctx, p.controlBase, everything)
	join()
	if err != nil {
		return err
	}
	for _, e := range p.early {
		if !trace.HasPlace(effects, e.Place) && !p.leaks.ConfirmedBy(p.writer, e.Place) {
			effects = append(effects, e)
		}
	}
	if effects = p.inherited(effects); len(effects) == 0 {
		return nil
	}
	p.dropNext() // there is work before that
	if p.noise.loud {
		for _, e := range effects {
			p.controlBase[e.Key] = sysctl.Entry{Key: e.Key, State: e.After}
			p.unexplained(e, "other programs are writing sysctls, and later namespaces may inherit from the host")
		}
		return nil
	}
	p.open = effects
	if err := p.undoTemplate(ctx, p.history, effects); err != nil {
		return err
	}
	if err := p.flush(ctx, p.history); err != nil {
		return err
	}
	still, err := p.laterEffects(ctx, p.controlBase, everything)
	if err != nil {
		return err
	}
	if len(still) > 0 {
		if err := p.pause(p.o.Settle); err != nil { // a key that moves by itself will not stay
			return err
		}
	}
	again, err := p.laterEffects(ctx, p.controlBase, everything)
	if err != nil {
		return err
	}
	still = slices.DeleteFunc(still, func(e trace.Effect) bool { return !slices.Contains(again, e) })
	for _, e := range p.inherited(still) {
		if p.hostMoved(e.Key) || !p.quiet() {
			p.unexplained(e, "the host changed meanwhile, and later namespaces may inherit from it")
			continue
		}
		p.controlBase[e.Key] = sysctl.Entry{Key: e.Key, State: e.After}
		p.oneWay(e, p.history)
	}
	explained := map[trace.Place]bool{}
	live := 0
	for _, e := range effects {
		if !trace.HasPlace(still, e.Place) {
			live++
		}
	}
	if live > 0 {
		if explained, err = p.explain(ctx, p.history, how{later: true}); err != nil {
			return err
		}
	}
	for _, e := range effects {
		if !trace.HasPlace(still, e.Place) && !explained[e.Place] {
			p.unexplained(e, "no replay of the writes reproduces it")
		}
	}
	p.open = nil
	if live > 0 {
		return p.renewSibling(ctx)
	}
	return nil
}

// inherited leaves out, and lists under its leak, what a later namespace has
// from a host key that could not be put back.
func (r *run) inherited(effects []trace.Effect) []trace.Effect {
	var rest []trace.Effect
	for _, e := range effects {
		if l := r.leaks.OneWayAt(e.Key); l != nil {
			l.AddEffects([]trace.Effect{e})
			continue
		}
		rest = append(rest, e)
	}
	return rest
}

// hostMoved tells whether a key of the host that this one may come from in a
// later namespace, itself or its like for other devices, is not as it was.
func (r *run) hostMoved(k sysctl.Key) bool {
	return slices.ContainsFunc(r.host.Baseline(), func(b sysctl.Entry) bool {
		return path.Base(string(b.Key)) == path.Base(string(k)) && !r.restless[trace.Place{Observer: trace.Host, Key: b.Key}] && r.host.Look(b.Key) != b.State
	})
}

// laterEffects makes a namespace now and compares it with one made before, which
// may have devices that this one has not.
func (r *run) laterEffects(ctx context.Context, before map[sysctl.Key]sysctl.Entry, sc scope) ([]trace.Effect, error) {
	alike := r.furnished || !r.o.Devices.wanted()
	s, err := r.startSurveyed(ctx, sc, r.furnished, netns.RoleLater)
	if err != nil {
		return nil, err
	}
	if err := s[0].client.Quit(); err != nil {
		return nil, err
	}
	var effects []trace.Effect
	now := s[0].base.Map()
	for _, e := range s[0].base {
		was, ok := before[e.Key]
		if !ok {
			was.State = sysctl.Absent
		}
		if was.State != e.State && !r.unsteady(e.Key) {
			effects = append(effects, trace.Effect{Place: trace.Place{Observer: trace.Later, Key: e.Key}, Before: was.State, After: e.State})
		}
	}
	for _, k := range sortedKeys(before) {
		if _, ok := now[k]; !ok && !r.unsteady(k) && (alike || !onDevice(k)) {
			effects = append(effects, trace.Effect{Place: trace.Place{Observer: trace.Later, Key: k}, Before: before[k].State, After: sysctl.Absent})
		}
	}
	return effects, nil
}

// unsteady tells that two fresh namespaces may differ in a key: it moves by
// itself, there or on the host that they may have it from.
func (r *run) unsteady(k sysctl.Key) bool {
	return r.varies[k] || r.restless[trace.Place{Observer: trace.Host, Key: k}] || r.restless[trace.Place{Observer: trace.Sibling, Key: k}]
}
