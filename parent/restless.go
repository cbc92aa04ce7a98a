package parent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// longWait is how long a key is watched, once after the writes and once without any,
// before it is said to move by itself.
const longWait = 10 * time.Second

// seemsRestless is for a place that has moved with nothing written just before. It is left
// alone from then on. Where its key was written earlier, that may have been a late effect:
// lateOrRestless finds out.
func (r *run) seemsRestless(e trace.Effect) {
	r.restless[e.Place] = true
	r.log.Debug().Str("observer", e.Observer).Str("key", e.Key.Text()).Msg("restless key")
	r.doubt(e)
}

// doubt takes note of an effect that may have come late.
func (r *run) doubt(e trace.Effect) {
	if r.writing == nil || r.noise.loud || e.Observer == trace.Later || r.watchedLong[e.Place] || !r.wrote(e.Key) {
		return
	}
	r.doubts[e.Place] = e
}

// wrote tells that some writer has written the key.
func (r *run) wrote(k sysctl.Key) bool {
	return slices.ContainsFunc(r.writings, func(w *writing) bool {
		return slices.ContainsFunc(w.writes, func(w trace.Write) bool { return w.Key == k })
	})
}

// lateOrRestless tells the keys that move by themselves from those that move long after
// they, or others, were written: it watches all of them for a long time without a write,
// and then as long after the writes of the pass. It looks for the causes of the latter.
func (p *passState) lateOrRestless(ctx context.Context) error {
	if p.noise.loud || p.exhausted || p.o.Settle >= longWait {
		clear(p.doubts)
	}
	if len(p.doubts) == 0 {
		return nil
	}
	if err := p.awaitAll(ctx); err != nil {
		return err
	}
	var doubts []trace.Effect
	for at, e := range p.doubts {
		p.watchedLong[at] = true
		if !p.leaks.ConfirmedBy(p.writer, at) && !p.stuck[at.Key] {
			doubts = append(doubts, e)
		}
	}
	clear(p.doubts)
	if len(doubts) == 0 {
		return nil
	}
	slices.SortFunc(doubts, func(a, b trace.Effect) int {
		return cmp.Or(cmp.Compare(a.Observer, b.Observer), cmp.Compare(a.Key, b.Key))
	})
	p.progress(0, 0, fmt.Sprintf("watching %d keys for %v: do they move by themselves?", len(doubts), longWait))
	p.open = doubts
	devices := slices.ContainsFunc(doubts, func(e trace.Effect) bool { return onDevice(e.Key) })
	if err := p.calmDown(doubts); err != nil {
		return err
	}
	sham, err := p.try(ctx, trial{settle: longWait, as: p.history, devices: devices})
	if err == nil && !p.noise.loud {
		for _, e := range sham.effects {
			p.restless[e.Place] = true
		}
		_, err = p.explain(ctx, trace.Without(p.history, p.leaks.LoneCauses(p.writer)), how{settle: longWait, among: doubts, devices: devices})
	}
	if err = p.outOfBudget(err); err != nil {
		return err
	}
	for _, e := range doubts {
		switch {
		case p.leaks.ConfirmedBy(p.writer, e.Place):
			continue
		case p.exhausted:
			p.unattributed(e, "the budget of replays was used up before it could be attributed")
		case !p.restless[e.Place] && !p.noise.loud:
			p.note(e, fmt.Sprintf("it moved with nothing written just before, and when it was watched for %v neither moved by itself nor was a cause found", longWait))
		}
		p.restless[e.Place] = true
	}
	p.open = nil
	p.returnForced()
	if err := p.renewSibling(ctx); err != nil {
		return err
	}
	return p.deferred(ctx)
}

// awaitAll waits until no earlier write can have an effect any more, and attributes what
// came meanwhile: most of it is late, but no later than is usual.
func (p *passState) awaitAll(ctx context.Context) error {
	if err := p.pause(longWait); err != nil {
		return err
	}
	off, err := p.hostOff()
	if err != nil || len(off) == 0 {
		return err
	}
	for _, e := range off {
		p.addLate(stray{Effect: e})
	}
	if err := p.deferred(ctx); err != nil {
		return err
	}
	return p.pause(longWait) // replays are writes, too
}

// calmDown puts the host's keys back without writing in a child: what that does late would
// be seen in the sham. A key that does not go back moves by itself, for all that is known.
func (p *passState) calmDown(doubts []trace.Effect) error {
	for _, e := range doubts {
		delete(p.restless, e.Place)
		if first := p.host.Found(e.Key); e.Observer == trace.Host && first.Key != "" {
			p.host.Expect(e.Key, first.State)
		}
	}
	off, err := p.hostOff()
	if err != nil {
		return err
	}
	if off, err = p.undoOnHost(off); err != nil {
		return err
	}
	for _, e := range off {
		p.host.Expect(e.Key, e.After)
		p.restless[e.Place] = trace.HasPlace(doubts, e.Place)
	}
	return nil
}
