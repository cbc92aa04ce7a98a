package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// pass writes the whole plan once, in one order, in one writer.
func (r *run) pass(ctx context.Context, phase Phase, w *client.Client, o plan.Order) error {
	p, err := r.newPass(ctx, phase, true)
	if err != nil {
		return err
	}
	batches := o.Batches(r.o.BatchSize)
	if err := p.onRecord(batches); err != nil {
		return err
	}
	if err := p.latches(ctx, o.Latches); err != nil {
		return err
	}
	if err := p.perturbAll(ctx, w, batches); err != nil {
		return err
	}
	return p.close(ctx, w)
}

// newPass begins a pass. With devices the sibling has some, and the pass's writer.
func (r *run) newPass(ctx context.Context, phase Phase, devices bool) (*passState, error) {
	r.enter(phase, "")
	r.passes++
	return r.newState(phase), r.furnish(ctx, devices)
}

func (r *run) newState(kind Phase) *passState {
	r.last = &passState{run: r, kind: kind, before: len(r.writes), proven: map[sysctl.Key]bool{}}
	return r.last
}

// perturbAll has batches written, and looks after each.
func (p *passState) perturbAll(ctx context.Context, w *client.Client, batches [][]int) error {
	for i, batch := range batches {
		if err := stopped(ctx); err != nil {
			return err
		}
		p.progress(i, len(batches), "")
		// One write after another is looked at: a new key is seen soon enough.
		inRow := i+1 < len(batches) && p.disrupts(batch) && p.disrupts(batches[i+1])
		if err := p.batch(ctx, w, batch, inRow); err != nil {
			return err
		}
		p.run.batches++
	}
	p.progress(len(batches), len(batches), "")
	return nil
}

// disrupts tells that a batch is of a key that disrupts: there are many such, each alone.
func (p *passState) disrupts(batch []int) bool { return p.plan.Keys[batch[0]].Disruptive }

// close ends the writer and attributes what shows only then.
func (p *passState) close(ctx context.Context, w *client.Client) error {
	if err := w.Quit(); err != nil {
		return err
	}
	if p.o.Thorough {
		if err := p.linger(ctx); err != nil {
			return err
		}
	}
	if err := p.dismiss(); err != nil {
		return err
	}
	p.strayedIn()
	if len(p.sightings)+len(p.late)+len(p.leaks.LoneCauses(p.writer)) > 0 { // replays are still to come
		if err := p.peek(ctx); err != nil {
			return err
		}
	}
	if err := p.explainSightings(ctx); err != nil {
		return err
	}
	if err := p.deferred(ctx); err != nil {
		return err
	}
	if err := p.behindLeaks(ctx); err != nil {
		return err
	}
	if err := p.judgeLater(ctx); err != nil {
		return err
	}
	if err := p.proveTainted(ctx); err != nil {
		return err
	}
	if p.exhausted {
		return nil // a leak may be hidden behind what was not attributed
	}
	p.closed = len(p.writes)
	for k := range p.proven {
		p.run.proven[k] = true
	}
	return nil
}

// rest waits for what all writes until now may still do, and attributes it, so
// that nothing of it is taken for the work of those to come.
func (p *passState) rest(ctx context.Context) error {
	if err := p.pause(p.leaks.Latest(p.o.Settle)); err != nil {
		return err
	}
	if err := p.look(ctx, nil, nil, false); err != nil {
		return err
	}
	if err := p.dismissAll(); err != nil {
		return err
	}
	if err := p.explainSightings(ctx); err != nil {
		return err
	}
	if err := p.deferred(ctx); err != nil {
		return err
	}
	for _, w := range p.writings {
		w.atRest = len(w.writes)
	}
	return nil
}

// latches has each of these keys written by a writer of its own, when the host
// is at rest: nothing else can have done then what is found changed.
func (p *passState) latches(ctx context.Context, latches []int) error {
	for _, index := range latches {
		if err := stopped(ctx); err != nil {
			return err
		}
		if err := p.latch(ctx, index); err != nil {
			return err
		}
	}
	return nil
}

func (p *passState) latch(ctx context.Context, index int) error {
	w, err := p.start(ctx, client.RoleOf(p.writer), onDevice(p.plan.Keys[index].Entry.Key))
	if err != nil {
		return err
	}
	defer w.Abandon()
	if err := p.batch(ctx, w, []int{index}, false); err != nil {
		return err
	}
	p.run.batches++
	if err := p.explainSightings(ctx); err != nil {
		return err
	}
	ws := p.history
	p.history, p.before = nil, len(p.writes) // that was another writer's
	if err := w.Quit(); err != nil || !slices.ContainsFunc(ws, trace.Write.Perturbed) {
		return err
	}
	if err := p.pause(p.o.Settle); err != nil {
		return err
	}
	if err := p.look(ctx, ws, nil, false); err != nil {
		return err
	}
	if err := p.explainSightings(ctx); err != nil {
		return err
	}
	p.atRest = len(p.writes)
	return nil
}

// passState is what attribution needs to know of one pass.
type passState struct {
	*run
	kind    Phase
	history []trace.Write
	// before is how many of the writer's writes had been made when that began.
	before int
	// late is the effects that their batch alone does not reproduce.
	late []lateEffect
	// early is what later namespaces would have shown during the pass.
	early []trace.Effect
	// row is what was written since new keys were last looked for.
	row []trace.Write
	// sightings is what is still to be explained.
	sightings []sighting
	// open is further effects, of which that will be known in a moment.
	open []trace.Effect
	// proven is the keys that a replay has shown to be isolated.
	proven map[sysctl.Key]bool
}

// lateEffect is an effect with the history when it was seen.
type lateEffect struct {
	stray
	history []trace.Write
	done    bool // its causes have been looked for
}

// batch has one batch written, and looks.
// inRow: it is one of a row of single keys, and not the last.
func (p *passState) batch(ctx context.Context, w *client.Client, batch []int, inRow bool) error {
	items := make([]protocol.Item, len(batch))
	for i, index := range batch {
		items[i] = p.item(index, p.kind)
	}
	ws, seen, err := p.perturb(w, items)
	p.record(ws, batch)
	if err != nil {
		return err
	}
	return p.look(ctx, ws, seen, inRow)
}

// look sweeps after a batch, and takes note of what changed. In a row it looks for new keys
// only where others have changed.
func (p *passState) look(ctx context.Context, ws []trace.Write, seen []trace.Effect, inRow bool) error {
	effects, err := p.sweepAll(p.sibling, scope{known: inRow})
	if err == nil && inRow && len(effects) > 0 {
		var all []trace.Effect
		all, err = p.sweepAll(p.sibling, everything)
		effects = withSeen(all, effects) // what was seen may be gone by now
	}
	if err != nil {
		return err
	}
	if p.row = append(p.row, ws...); !inRow || len(effects) > 0 {
		if slices.ContainsFunc(effects, func(e trace.Effect) bool { return e.Before == sysctl.Absent }) {
			ws = p.row // any of them may have made it appear
		}
		p.row = nil
	}
	if effects = withSeen(p.notable(effects, ws), p.notable(seen, ws)); len(effects) == 0 {
		return nil
	}
	for _, e := range effects {
		p.log.Debug().Str("observer", e.Observer).Str("key", e.Key.Text()).Msg("effect")
	}
	p.open = effects
	if err := p.saw(ctx, effects, ws); err != nil {
		return err
	}
	p.open = nil
	return nil
}

// record keeps a batch's writes and, of the first pass, the values that took effect.
func (p *passState) record(ws []trace.Write, batch []int) {
	for i, w := range ws {
		ws[i].Observed, ws[i].Batch = p.observed(w.Key), p.batches
		p.secrets.Write(w)
	}
	p.history = append(p.history, ws...)
	p.writes = append(p.writes, ws...)
	if p.kind != PhaseForward {
		return
	}
	byKey := map[sysctl.Key]int{}
	for _, index := range batch {
		byKey[p.plan.Keys[index].Entry.Key] = index
	}
	for _, w := range ws {
		if index, ok := byKey[w.Key]; ok && w.Perturbed() {
			p.plan.Keys[index].Effective = w.Value
		}
	}
}

// notable leaves out what restless keys and other programs do by themselves:
// such a key is only worth a look if it took on a value that was written to it
// in this batch. What others changed is taken note of, and expected from now on.
func (r *run) notable(effects []trace.Effect, ws []trace.Write) []trace.Effect {
	return slices.DeleteFunc(effects, func(e trace.Effect) bool {
		others := r.noise.loud && e.Observer == trace.Host && !r.leaks.ConfirmedAt(e.Place)
		if !others && !r.restless[e.Place] {
			return false
		}
		if slices.ContainsFunc(ws, func(w trace.Write) bool {
			return w.Key == e.Key && w.After == e.After && w.Perturbed() || slices.Contains(w.Loaded, e.Key)
		}) {
			return false
		}
		if others && r.host.Expected(e.Key) != e.After { // not yet taken note of
			r.host.Expect(e.Key, e.After)
			r.unexplained(e, "other programs are writing sysctls, and it is not a value that had just been written to this key")
		}
		return true
	})
}
