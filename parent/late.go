package parent

import (
	"context"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// fruitlessMost is how many histories are replayed in a pass without any
// result before the rest is taken for others' doing.
const fruitlessMost = 3

// deferred looks for causes of the effects that their batch alone did not
// reproduce: in the writer's whole history until then, waiting for late effects.
func (p *passState) deferred(ctx context.Context) error {
	fruitless := 0
	for i := 0; i < len(p.late); i++ {
		e := p.late[i]
		if p.confirmedAt(e.place) || p.stuck[e.key] {
			continue
		}
		if fruitless >= fruitlessMost {
			p.unexplained(e.effect, "replaying the writes before it did not reproduce the others, and was not tried for this one")
			continue
		}
		explained, err := p.explainHistory(ctx, e)
		if err != nil {
			return err
		}
		if !explained {
			fruitless++
			p.unexplained(e.effect, "no replay of the writes before it reproduces it")
		}
	}
	if len(p.late) > 0 {
		p.returnForced()
		_, err := p.renewSibling(ctx)
		return err
	}
	p.returnForced()
	return nil
}

// explainHistory replays the history without the causes already known, which
// would only show themselves again, then with them: they may be part of a set.
func (p *passState) explainHistory(ctx context.Context, e lateEffect) (bool, error) {
	history := p.history[:e.after]
	known := map[sysctl.Key]bool{}
	for _, l := range p.leaks {
		if l.status == statusConfirmed && len(keysOf(l.cause)) == 1 {
			known[l.cause[0].key] = true
		}
	}
	tries := [][]write{without(history, known)}
	if len(tries[0]) < len(history) {
		tries = append(tries, history)
	}
	for _, suspects := range tries {
		explained, err := p.explain(ctx, suspects, how{settle: p.o.Settle})
		if err != nil || explained[e.place] {
			return explained[e.place], err
		}
	}
	return false, nil
}

// unexplained records an effect that follows no write.
func (r *run) unexplained(e effect, why string) {
	r.foreign = append(r.foreign, foreign{e, r.phase, why})
}

// judgeLater makes a namespace after the pass, with the host as it was, and
// attributes what is different from the control namespace.
func (p *passState) judgeLater(ctx context.Context) error {
	if err := stopped(ctx); err != nil {
		return err
	}
	effects, err := p.laterEffects(ctx, p.controlBase)
	if err != nil {
		return err
	}
	if effects = p.inherited(effects); len(effects) == 0 {
		return nil
	}
	if err := p.undoTemplate(ctx, p.history); err != nil {
		return err
	}
	still, err := p.laterEffects(ctx, p.controlBase)
	if err != nil {
		return err
	}
	for _, e := range p.inherited(still) {
		p.controlBase[e.key] = sysctl.Entry{Key: e.key, State: e.after}
		if p.hostMoved() || !p.quiet() {
			p.unexplained(e, "the host changed meanwhile, and later namespaces may inherit from it")
		} else {
			p.oneWay(e, p.history)
		}
	}
	explained := map[place]bool{}
	live := 0
	for _, e := range effects {
		if !hasPlace(still, e.place) {
			live++
		}
	}
	if live > 0 {
		if explained, err = p.explain(ctx, p.history, how{later: true}); err != nil {
			return err
		}
	}
	for _, e := range effects {
		if !hasPlace(still, e.place) && !explained[e.place] {
			p.unexplained(e, "no replay of the writes reproduces it")
		}
	}
	if live > 0 {
		_, err = p.renewSibling(ctx)
	}
	return err
}

// inherited leaves out, and lists under its leak, what a later namespace has
// from a host key that could not be put back.
func (r *run) inherited(effects []effect) []effect {
	var rest []effect
	for _, e := range effects {
		if l := r.oneWayAt(e.key); l != nil {
			l.addEffects([]effect{e})
			continue
		}
		rest = append(rest, e)
	}
	return rest
}

func (r *run) oneWayAt(k sysctl.Key) *leak {
	for _, l := range r.leaks {
		if l.status != statusOneWay {
			continue
		}
		for _, e := range l.effects {
			if e.key == k && e.observer != observerLater {
				return l
			}
		}
	}
	return nil
}

// hostMoved tells whether somebody else changed the host during the run.
func (r *run) hostMoved() bool {
	for _, f := range r.foreign {
		if f.observer == observerHost {
			return true
		}
	}
	return false
}
