package parent

import (
	"cmp"
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/parent/trace"
)

// How many histories are replayed in a pass without any result before the rest
// is taken for others' doing; fewer where others are known to be at work.
const (
	fruitlessMost = 20
	fruitlessLoud = 2
	// idleTrials is how many trials without writes come before late effects are
	// looked into: a search costs many times as much.
	idleTrials = 4
	// restoringMost is the same for what moved when the host was put back: a
	// replay of the history shows all at once what is more than that.
	restoringMost = 2
)

// deferred looks for causes of the effects that their batch alone did not
// reproduce: in the writer's whole history until then, waiting for late effects.
func (p *passState) deferred(ctx context.Context) error {
	p.strayedIn()
	if len(p.late) == 0 {
		return nil
	}
	if err := p.awaitLate(ctx); err != nil {
		return err
	}
	if err := p.outOfBudget(p.idleTrials(ctx)); err != nil {
		return err
	}
	p.strayedIn() // putting the host back has written, too
	fruitless, most, restoring := 0, fruitlessMost, 0
	if p.noise.loud {
		most = fruitlessLoud
	}
	for i := 0; i < len(p.late); i++ {
		e := p.late[i]
		p.late[i].done = true
		if p.leaks.ConfirmedBy(p.writer, e.Place) || p.stuck[e.Key] || p.restless[e.Place] {
			continue
		}
		if e.restoring && (p.noise.loud || restoring >= restoringMost) {
			continue
		}
		if p.noise.loud && e.Observer == trace.Host {
			p.unexplained(e.Effect, "other programs are writing sysctls, and the writes just before it do not reproduce it")
			continue
		}
		if fruitless >= most && !e.restoring {
			p.unexplained(e.Effect, "replaying the writes before it did not reproduce the others, and was not tried for this one")
			continue
		}
		explained, err := p.explainLate(ctx, e)
		if err != nil {
			return err
		}
		p.strayedIn()
		if !explained && p.exhausted {
			p.unattributed(e.Effect, "the budget of replays was used up before it could be attributed")
		} else if !explained && e.restoring {
			restoring++
		} else if !explained {
			fruitless++
			p.unexplained(e.Effect, "no replay of the writes before it reproduces it")
		}
	}
	p.late = nil
	p.returnForced()
	return p.renewSibling(ctx)
}

// idleTrials makes trials in which nothing is written: what changes in them
// moves by itself, now and then, and looks much like a late effect. The first
// one only waits for what earlier writes may still do.
func (p *passState) idleTrials(ctx context.Context) error {
	if p.noise.loud {
		return nil
	}
	devices := slices.ContainsFunc(p.late, func(e lateEffect) bool { return onDevice(e.Key) })
	for i := range idleTrials {
		out, err := p.try(ctx, trial{settle: p.o.Settle, devices: devices})
		if err != nil {
			return err
		}
		for _, e := range out.effects {
			if i > 0 {
				p.seemsRestless(e)
			}
		}
	}
	return nil
}

// awaitLate waits for effects of the last batches that are still to come.
func (p *passState) awaitLate(ctx context.Context) error {
	if err := p.pause(p.o.Settle); err != nil {
		return err
	}
	off, err := p.hostOff()
	if err != nil {
		return err
	}
	if p.sibling != nil {
		if err := p.lastSweep(p.sibling); err != nil {
			return err
		}
		p.strayedIn()
	}
	if len(off) == 0 {
		return nil
	}
	still, err := p.reset(ctx, p.history)
	if err != nil {
		return err
	}
	for _, e := range still {
		p.giveUp(e, p.history)
	}
	for _, e := range off {
		p.addLate(stray{Effect: e})
	}
	return p.flush(ctx, p.history) // what putting back does late is nothing that moves by itself
}

// addLate defers an effect. One that is seen again before its turn is looked
// for in the longer history.
func (p *passState) addLate(s stray) { p.addLateAt(s, p.history) }

// addLateAt is addLate of one that was seen after so much had been written.
func (p *passState) addLateAt(s stray, history []trace.Write) {
	for i, l := range p.late {
		switch {
		case l.Place != s.Place:
		case !l.done:
			p.late[i].history = history
			p.late[i].restoring = l.restoring && s.restoring
			return
		case len(l.history) == len(history):
			return
		}
	}
	p.late = append(p.late, lateEffect{stray: s, history: history})
}

// stray is an effect that was not being looked for, with the writes that had
// just been made each time that it was seen. Those may have caused it, or
// others before them, late.
type stray struct {
	trace.Effect
	writes [][]trace.Write
	// restoring: it was only seen after keys of the host had been written back,
	// which probably moved it; where no replay shows otherwise, that is all.
	restoring bool
}

// strayTries is how many of those are replayed.
const strayTries = 3

// strayed takes note of what changed during an attribution.
func (r *run) strayed(effects []trace.Effect, ws []trace.Write) {
	for _, e := range effects {
		if e.Observer == trace.Later {
			continue
		}
		s, ok := r.strays[e.Place]
		if !ok {
			s.Effect = e
		}
		s.restoring = false
		if len(ws) > 0 && len(s.writes) < strayTries && !slices.ContainsFunc(s.writes, func(o []trace.Write) bool { return trace.SameKeys(o, ws) }) {
			s.writes = append(s.writes, ws)
		}
		r.strays[e.Place] = s
	}
}

// movedByRestoring takes note of what changed while the host was being put back.
func (r *run) movedByRestoring(e trace.Effect) {
	if _, ok := r.strays[e.Place]; !ok {
		r.strays[e.Place] = stray{Effect: e, restoring: true}
	}
}

// strayedIn defers the strays that no leak explains by now.
func (p *passState) strayedIn() {
	places := make([]trace.Place, 0, len(p.strays))
	for at := range p.strays {
		places = append(places, at)
	}
	slices.SortFunc(places, func(a, b trace.Place) int {
		return cmp.Or(cmp.Compare(a.Observer, b.Observer), cmp.Compare(a.Key, b.Key))
	})
	for _, at := range places {
		if !p.leaks.ConfirmedBy(p.writer, at) && !p.restless[at] && !p.stuck[at.Key] {
			p.addLate(p.strays[at])
		}
	}
	clear(p.strays)
}

// explainLate replays the writes that had just been made, then the history
// without the causes already known, which would only show themselves again,
// then with them: they may be part of a set.
func (p *passState) explainLate(ctx context.Context, e lateEffect) (bool, error) {
	known := p.leaks.LoneCauses(p.writer)
	p.log.Debug().Str("observer", e.Observer).Str("key", e.Key.Text()).Int("history", len(e.history)).Msg("late effect")
	tries := append(slices.Clone(e.writes), trace.Without(e.history, known))
	if len(known) > 0 {
		tries = append(tries, e.history)
	}
	tries = append(tries, trace.Without(p.writes[:p.before], known)) // the pass before may show only now
	// What we write ourselves when undoing.
	if own := slices.DeleteFunc(slices.Clone(p.undone), func(w trace.Write) bool { return w.Key != e.Key || w.Value != e.After.Value }); len(own) > 0 {
		tries = append(tries, own)
	}
	for _, suspects := range tries {
		if len(suspects) == 0 {
			continue
		}
		explained, err := p.explain(ctx, suspects, how{settle: p.o.Settle, devices: onDevice(e.Key)}) // what has no such key cannot show it
		if err != nil || explained[e.Place] {
			return explained[e.Place], err
		}
	}
	return false, nil
}

// behindLeaks looks for what comes late to places where leaks show at once, which hide
// it: the whole history without those leaks' causes must be silent.
func (p *passState) behindLeaks(ctx context.Context) error {
	rest := trace.Without(p.history, p.leaks.LoneCauses(p.writer))
	if len(rest) == len(p.history) || p.noise.loud || p.exhausted {
		return nil
	}
	explained, err := p.explain(ctx, rest, how{settle: p.o.Settle})
	if err != nil {
		return err
	}
	if len(explained) > 0 {
		if err := p.renewSibling(ctx); err != nil {
			return err
		}
	}
	return p.deferred(ctx)
}
