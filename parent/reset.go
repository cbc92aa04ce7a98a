package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// hostOff is the host's steady keys that are not as expected.
func (r *run) hostOff() ([]effect, error) {
	changes, err := r.sweepHost()
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return r.steady(effectsOf(observerHost, changes)), nil
}

// reset puts the host back: through a writer where the leak itself can do
// that, else on the host, where that is allowed, and else by giving the
// suspects' keys their original values in a writer. It returns what is still
// off. It works whether or not the run was told to stop.
func (r *run) reset(ctx context.Context, suspects []write) ([]effect, error) {
	off, err := r.hostOff()
	if err != nil {
		return nil, err
	}
	return r.resetFrom(ctx, off, suspects)
}

// resetFrom is reset where it is known what is off.
func (r *run) resetFrom(ctx context.Context, off []effect, suspects []write) ([]effect, error) {
	if off = r.notable(off, suspects); len(off) == 0 {
		return nil, nil
	}
	r.strayed(off, suspects)
	for _, e := range off {
		r.warnOfOthers(e, suspects)
	}
	off, err := r.undoThroughWriter(ctx, originalsOf(off, suspects))
	if err != nil {
		return nil, err
	}
	if off, err = r.undoOnHost(off); err != nil || len(off) == 0 {
		return nil, err
	}
	undo := r.originals(suspects)
	if len(undo) == 0 {
		return off, nil
	}
	if err := r.peek(ctx); err != nil {
		return nil, err
	}
	if _, err = r.undoThroughWriter(ctx, undo); err != nil {
		return nil, err
	}
	if !r.noise.loud {
		r.wait(r.o.Settle) // those were writes too, and may have late effects
	}
	if off, err = r.hostOff(); err != nil {
		return nil, err
	}
	r.strayed(off, undo)
	return r.undoOnHost(off)
}

// warnOfOthers tells of a value on the host that a leak explains, so that it is put
// back, though the leak's cause has not been written, and nothing with this value:
// it may have come late, or somebody else may have set it.
func (r *run) warnOfOthers(e effect, suspects []write) {
	if !r.confirmedAt(e.place) || r.leaked(e) || !e.after.OK() || !e.key.Network() || r.restless[e.place] {
		return
	}
	for _, l := range r.leaks {
		if hasPlace(l.effects, e.place) && len(writesOf(suspects, keysOf(l.cause))) > 0 {
			return
		}
	}
	ours := func(w write) bool { return w.after == e.after || w.value == e.after.Value }
	for _, w := range r.writings {
		if slices.ContainsFunc(w.writes, ours) {
			return
		}
	}
	if slices.ContainsFunc(slices.Concat(r.throughs, r.undone), ours) {
		return
	}
	r.warn("the host's %s had a value that none of the writes is known to have: as a leak changes this key, it is put back, whoever has set it", e.key.Shown())
}

// undoThroughWriter makes writes in a fresh writer and returns what is off then.
func (r *run) undoThroughWriter(ctx context.Context, undo []write) ([]effect, error) {
	undo, err := r.undo(ctx, undo)
	if err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	off, err := r.hostOff()
	r.strayed(off, undo) // those were writes too, and time has passed
	return off, err
}

// undo makes writes in a fresh writer, but none to keys that the user left out,
// and takes note of them: they may do what any write may do. It returns those made.
func (r *run) undo(ctx context.Context, undo []write) ([]write, error) {
	undo = slices.DeleteFunc(slices.Clone(undo), func(w write) bool { return !w.key.Network() || !r.included(w.key) })
	if len(undo) == 0 {
		return nil, nil
	}
	for _, w := range undo {
		if !slices.ContainsFunc(r.undone, func(o write) bool { return o.key == w.key && o.value == w.value && o.via == w.via }) {
			r.undone = append(r.undone, w)
		}
	}
	for _, group := range byWay(undo) {
		if err := r.undoOneWay(context.WithoutCancel(ctx), group); err != nil && !(group[0].passed() && cannotPass(err)) {
			return nil, err
		}
	}
	return undo, nil
}

// undoOneWay makes writes that have one way, in a fresh writer.
func (r *run) undoOneWay(ctx context.Context, undo []write) error {
	back := r.having(onDevices(undo))
	w, err := r.start(ctx, r.writer.role())
	back()
	if err != nil {
		return err
	}
	defer w.abandon()
	if err := r.announceExact(w, undo, true); err != nil {
		return err
	}
	if undo[0].passed() {
		_, _, err = r.throughAnnounced(ctx, w, undo)
	} else {
		_, err = w.replay(undo)
	}
	if err != nil {
		return err
	}
	return w.quit()
}

// undoOnHost writes the host's keys back where that is allowed. Restoring one
// key may move others (conf/default moves devices): from global to default to
// device keys, until nothing changes any more.
func (r *run) undoOnHost(off []effect) ([]effect, error) {
	off, back, err := r.wholly(off)
	defer back()
	if err != nil {
		return nil, err
	}
	ours := false // what is off is what our own restoring has moved
	var known []place
	var again []place // restored
	for range restoreRounds {
		slices.SortStableFunc(off, func(a, b effect) int {
			return cmp.Or(boolOrder(!r.follows(a), !r.follows(b)), cmp.Compare(breadth(b.key), breadth(a.key)))
		})
		wrote := false
		for _, e := range off {
			moved := ours && !slices.Contains(known, e.place)
			if moved {
				r.movedByRestoring(e)
			}
			if ours && (moved || slices.Contains(again, e.place)) {
				r.followers[e]++
			}
			if r.restoreOnHost(e) {
				wrote = true
				again = append(again, e.place)
			}
			known = append(known, e.place)
		}
		ours = wrote
		if err := r.guarding.failed; err != nil && !r.aborted {
			return nil, err // so not all was written
		}
		if !wrote {
			return r.steady(off), nil
		}
		if off, err = r.hostOff(); err != nil {
			return nil, err
		}
	}
	return off, nil
}

// originalsOf is the writes that give effects' keys their values back, those
// written last first.
func originalsOf(off []effect, suspects []write) []write {
	newest := map[sysctl.Key]int{}
	for i, w := range suspects {
		newest[w.key] = i + 1
	}
	off = slices.Clone(off)
	slices.SortStableFunc(off, func(a, b effect) int { return cmp.Compare(newest[b.key], newest[a.key]) })
	var undo []write
	for _, e := range off {
		if e.before.OK() {
			w := write{key: e.key, value: e.before.Value}
			if i := newest[e.key]; i > 0 && suspects[i-1].via == viaDescriptor {
				w.via = viaDescriptor // the way it came
			}
			undo = append(undo, w)
		}
	}
	return undo
}

// originals is the writes that give the suspects' keys the values that a fresh
// writer has, newest first.
func (r *run) originals(suspects []write) []write {
	base := r.writerBase.Map()
	if len(base) == 0 { // it ended before it could be surveyed
		base = r.writings[0].writerBase.Map()
	}
	keys := keysOf(suspects)
	slices.Reverse(keys)
	var undo []write
	for _, k := range keys {
		if st := base[k].State; st.OK() {
			undo = append(undo, write{key: k, value: st.Value})
		}
	}
	return undo
}

// breadth ranks keys by how many others they may move.
func breadth(k sysctl.Key) int {
	switch {
	case strings.Contains(string(k), "/default/"):
		return 1
	case strings.Contains(string(k), "/conf/") || strings.Contains(string(k), "/neigh/"):
		if strings.Contains(string(k), "/all/") {
			return 2
		}
		return 0
	}
	return 2
}

// restoreOnHost writes a key's expected value on the host itself, where that
// is allowed, and tells whether it wrote.
func (r *run) restoreOnHost(e effect) bool {
	if !e.before.OK() || !r.mayRestore(e) {
		return false
	}
	if r.announceOverwriting(e) != nil {
		return false // the next announcement fails, too
	}
	err := r.m.Host().Write(e.key, e.before.Value)
	r.denied[e.key] = r.atFirst(e.key).Writable() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM))
	r.refused[e.key] = r.m.Host().Read(e.key) == e.after // a latch stays where it is
	r.log.Debug().Str("key", e.key.Text()).AnErr("error", err).Msg("restored on the host")
	return err == nil
}

// mayRestore tells whether the host's key may be written: a confirmed cause
// explains the effect, or the machine is quiet and the key a network's. On a quiet machine the effect
// is taken for ours until replays say otherwise; then the key gets the other's
// value back (returnForced).
func (r *run) mayRestore(e effect) bool {
	if r.confirmedAt(e.place) {
		return true
	}
	if !e.key.Network() || !r.quiet() || r.restless[e.place] {
		return false
	}
	r.forced[e.key] = append(r.forced[e.key], e)
	return true
}

// confirmedAt tells whether a confirmed leak has this effect.
func (r *run) confirmedAt(p place) bool {
	return slices.ContainsFunc(r.leaks, func(l *leak) bool {
		return l.status == statusConfirmed && hasPlace(l.effects, p)
	})
}

// confirmedHere tells the same of the writer that is at work.
func (r *run) confirmedHere(p place) bool {
	return slices.ContainsFunc(r.leaks, func(l *leak) bool {
		return l.status == statusConfirmed && slices.Contains(l.writers, r.writer) && hasPlace(l.effects, p)
	})
}

// returnForced gives host keys that were restored as an experiment the value
// back that somebody else had written, unless a write of ours explains it.
func (r *run) returnForced() {
	for _, k := range sortedKeys(r.forced) {
		others := slices.DeleteFunc(r.forced[k], r.follows)
		delete(r.forced, k)
		if len(others) == 0 || r.exhausted || r.confirmedAt(place{observerHost, k}) || r.stuck[k] {
			continue
		}
		theirs, ours := others[len(others)-1].after, r.host.Expected(k)
		if !theirs.OK() || theirs == ours {
			continue
		}
		if r.m.Host().Read(k) != ours {
			continue // changed again meanwhile
		}
		if err := r.m.Host().Write(k, theirs.Value); err != nil {
			r.warn("could not give %s the value back that another program had written: %v", k, err)
			continue
		}
		r.host.Expect(k, r.m.Host().Read(k))
		r.note(effect{place{observerHost, k}, ours, theirs}, "no replay of the writes before it reproduces it")
	}
}

// follows tells that a host key has come to this state again and again when
// others were restored: that is our doing, and nobody else's.
func (r *run) follows(e effect) bool { return r.followers[e] > 1 }

// restoreRounds bounds how often the host's keys are restored one after another.
const restoreRounds = 6

func sortedKeys[V any](m map[sysctl.Key]V) []sysctl.Key {
	keys := make([]sysctl.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
