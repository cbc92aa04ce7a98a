package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// sighting is effects that came with a batch, and are to be explained when the pass is over.
type sighting struct {
	effects []trace.Effect
	batch   []trace.Write
	history []trace.Write // the writer's until then
}

// saw takes note of a batch's effects and puts all back, so that what comes next is not
// taken for them. No replay interrupts the pass: what explains them is looked for later.
func (p *passState) saw(ctx context.Context, effects []trace.Effect, batch []trace.Write) error {
	p.taint(effects, batch)
	off, err := p.reset(ctx, batch)
	if err != nil {
		return err
	}
	for _, e := range off {
		p.giveUp(e, batch)
	}
	if err := p.renewSibling(ctx); err != nil {
		return err
	}
	persistent, err := p.persistent(ctx, effects)
	if err != nil {
		return err
	}
	if len(persistent) > 0 {
		if err := p.undoTemplate(ctx, batch, persistent); err != nil {
			return err
		}
		if err := p.flush(ctx, batch); err != nil {
			return err
		}
		if persistent, err = p.persistent(ctx, persistent); err != nil {
			return err
		}
	}
	s := sighting{batch: batch, history: p.history}
	for _, e := range p.notable(effects, batch) {
		switch {
		case trace.HasPlace(persistent, e.Place) && p.cameWithModule(e):
		case e.Observer == trace.Host && (p.stuck[e.Key] || p.noise.loud && trace.HasPlace(off, e.Place)):
		case trace.HasPlace(persistent, e.Place) && p.leaks.OneWayAt(e.Key) == nil && (p.unsteady(e.Key) || p.hostMoved(e.Key)):
			p.unexplained(e, "new namespaces have it from the host, where it has changed")
		case trace.HasPlace(persistent, e.Place):
			p.oneWay(e, batch)
		default:
			s.effects = append(s.effects, e)
		}
	}
	if len(s.effects) > 0 {
		p.sightings = append(p.sightings, s)
	}
	p.strayedIn()
	return nil
}

// explainSightings finds out which writes caused what was seen during the pass. What their
// batch does not reproduce, others before it may have done late (deferred).
func (p *passState) explainSightings(ctx context.Context) error {
	if len(p.sightings) == 0 {
		return nil
	}
	for ; len(p.sightings) > 0; p.sightings = p.sightings[1:] {
		s := p.sightings[0]
		if !slices.ContainsFunc(s.effects, func(e trace.Effect) bool { return !p.stuck[e.Key] }) {
			continue
		}
		p.progress(0, 0, "attributing "+report.Plural(len(s.effects), "effect"))
		devices := onDevices(s.batch) || slices.ContainsFunc(s.effects, func(e trace.Effect) bool { return onDevice(e.Key) })
		explained, err := p.explain(ctx, p.beside(s), how{devices: devices})
		if err != nil {
			return err
		}
		for _, e := range s.effects {
			if !explained[e.Place] && !p.leaks.ConfirmedBy(p.writer, e.Place) && !p.cameWithModule(e) {
				p.addLateAt(stray{Effect: e, writes: [][]trace.Write{s.batch}}, s.history)
			}
		}
	}
	p.strayedIn()
	return p.renewSibling(ctx)
}

// beside is the suspects of a sighting. Where leaks that are known explain all of it, these are
// the writes beside their causes, which may be hidden behind them.
func (p *passState) beside(s sighting) []trace.Write {
	causes := map[sysctl.Key]bool{}
	for _, e := range s.effects {
		known := false
		for _, l := range p.leaks {
			if l.Status == finding.Confirmed && slices.Contains(l.Writers, p.writer) && trace.HasPlace(l.Effects, e.Place) &&
				len(trace.KeysOf(l.Cause)) == 1 && len(trace.Of(s.batch, trace.KeysOf(l.Cause))) > 0 {
				causes[l.Cause[0].Key], known = true, true
			}
		}
		if !known {
			return s.batch
		}
	}
	return trace.Without(s.batch, causes)
}
