package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// hostOff is the host's steady keys that are not as expected.
func (r *run) hostOff() ([]trace.Effect, error) {
	changes, err := r.sweepHost(everything)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return r.steady(trace.EffectsOf(trace.Host, changes)), nil
}

// reset puts the host back: through a writer where the leak itself can do
// that, else on the host, where that is allowed, and else by giving the
// suspects' keys their original values in a writer. It returns what is still
// off. It works whether or not the run was told to stop.
func (r *run) reset(ctx context.Context, suspects []trace.Write) ([]trace.Effect, error) {
	off, err := r.hostOff()
	if err != nil {
		return nil, err
	}
	return r.resetFrom(ctx, off, suspects)
}

// resetFrom is reset where it is known what is off.
func (r *run) resetFrom(ctx context.Context, off []trace.Effect, suspects []trace.Write) ([]trace.Effect, error) {
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
func (r *run) warnOfOthers(e trace.Effect, suspects []trace.Write) {
	if !r.leaks.ConfirmedAt(e.Place) || r.leaks.Gave(e) || !e.After.OK() || !e.Key.Network() || r.restless[e.Place] {
		return
	}
	for _, l := range r.leaks {
		if trace.HasPlace(l.Effects, e.Place) && len(trace.Of(suspects, trace.KeysOf(l.Cause))) > 0 {
			return
		}
	}
	ours := func(w trace.Write) bool { return w.After == e.After || w.Value == e.After.Value }
	for _, w := range r.writings {
		if slices.ContainsFunc(w.writes, ours) {
			return
		}
	}
	if slices.ContainsFunc(slices.Concat(r.throughs, r.undone), ours) {
		return
	}
	r.warn("the host's %s had a value that none of the writes is known to have: as a leak changes this key, it is put back, whoever has set it", e.Key.Shown())
}

// undoThroughWriter makes writes in a fresh writer and returns what is off then.
func (r *run) undoThroughWriter(ctx context.Context, undo []trace.Write) ([]trace.Effect, error) {
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
func (r *run) undo(ctx context.Context, undo []trace.Write) ([]trace.Write, error) {
	undo = slices.DeleteFunc(slices.Clone(undo), func(w trace.Write) bool { return !w.Key.Network() || !r.question.Asks(w.Key) })
	if len(undo) == 0 {
		return nil, nil
	}
	for _, w := range undo {
		if !slices.ContainsFunc(r.undone, func(o trace.Write) bool { return o.Key == w.Key && o.Value == w.Value && o.Via == w.Via }) {
			r.undone = append(r.undone, w)
		}
	}
	for _, group := range trace.ByWay(undo) {
		if err := r.undoOneWay(context.WithoutCancel(ctx), group); err != nil && !(group[0].Passed() && cannotPass(err)) {
			return nil, err
		}
	}
	return undo, nil
}

// undoOneWay makes writes that have one way, in a fresh writer.
func (r *run) undoOneWay(ctx context.Context, undo []trace.Write) error {
	w, err := r.start(ctx, client.RoleOf(r.writer), onDevices(undo))
	if err != nil {
		return err
	}
	defer w.Abandon()
	if undo[0].Passed() {
		_, _, err = r.through(ctx, w, undo)
	} else {
		_, err = w.Replay(undo)
	}
	if err != nil {
		return err
	}
	return w.Quit()
}

// undoOnHost writes the host's keys back where that is allowed. Restoring one
// key may move others (conf/default moves devices): from global to default to
// device keys, until nothing changes any more.
func (r *run) undoOnHost(off []trace.Effect) ([]trace.Effect, error) {
	ours := false // what is off is what our own restoring has moved
	var known []trace.Place
	var again []trace.Place // restored
	for range restoreRounds {
		slices.SortStableFunc(off, func(a, b trace.Effect) int {
			return cmp.Or(boolOrder(!r.follows(a), !r.follows(b)), cmp.Compare(trace.Breadth(b.Key), trace.Breadth(a.Key)))
		})
		wrote := false
		for _, e := range off {
			moved := ours && !slices.Contains(known, e.Place)
			if moved {
				r.movedByRestoring(e)
			}
			if ours && (moved || slices.Contains(again, e.Place)) {
				r.followers[e]++
			}
			if r.restoreOnHost(e) {
				wrote = true
				again = append(again, e.Place)
			}
			known = append(known, e.Place)
		}
		ours = wrote
		if err := r.o.Record.Err(); err != nil {
			return nil, err // so not all was written
		}
		if !wrote {
			return r.steady(off), nil
		}
		var err error
		if off, err = r.hostOff(); err != nil {
			return nil, err
		}
	}
	return off, nil
}

// originalsOf is the writes that give effects' keys their values back, those
// written last first.
func originalsOf(off []trace.Effect, suspects []trace.Write) []trace.Write {
	newest := map[sysctl.Key]int{}
	for i, w := range suspects {
		newest[w.Key] = i + 1
	}
	off = slices.Clone(off)
	slices.SortStableFunc(off, func(a, b trace.Effect) int { return cmp.Compare(newest[b.Key], newest[a.Key]) })
	var undo []trace.Write
	for _, e := range off {
		if e.Before.OK() {
			w := trace.Write{Key: e.Key, Value: e.Before.Value}
			if i := newest[e.Key]; i > 0 && suspects[i-1].Via == trace.ViaDescriptor {
				w.Via = trace.ViaDescriptor // the way it came
			}
			undo = append(undo, w)
		}
	}
	return undo
}

// originals is the writes that give the suspects' keys the values that a fresh
// writer has, newest first.
func (r *run) originals(suspects []trace.Write) []trace.Write {
	base := r.writerBase.Map()
	if len(base) == 0 { // it ended before it could be surveyed
		base = r.writings[0].writerBase.Map()
	}
	keys := trace.KeysOf(suspects)
	slices.Reverse(keys)
	var undo []trace.Write
	for _, k := range keys {
		if st := base[k].State; st.OK() {
			undo = append(undo, trace.Write{Key: k, Value: st.Value})
		}
	}
	return undo
}

// restoreOnHost writes a key's expected value on the host itself, where that
// is allowed, and tells whether it wrote.
func (r *run) restoreOnHost(e trace.Effect) bool {
	if !e.Before.OK() || !r.mayRestore(e) {
		return false
	}
	if !r.leaks.ConfirmedAt(e.Place) && r.o.Record.Lend(e.Key, e.After) != nil {
		return false // the next announcement fails, too
	}
	err := r.m.Host().Write(e.Key, e.Before.Value)
	r.denied[e.Key] = r.host.Found(e.Key).Writable() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM))
	r.refused[e.Key] = r.m.Host().Read(e.Key) == e.After // a latch stays where it is
	r.log.Debug().Str("key", e.Key.Text()).AnErr("error", err).Msg("restored on the host")
	return err == nil
}

// mayRestore tells whether the host's key may be written: a confirmed cause
// explains the effect, or the machine is quiet and the key a network's. On a quiet machine the effect
// is taken for ours until replays say otherwise; then the key gets the other's
// value back (returnForced).
func (r *run) mayRestore(e trace.Effect) bool {
	if r.leaks.ConfirmedAt(e.Place) {
		return true
	}
	if !e.Key.Network() || !r.quiet() || r.restless[e.Place] {
		return false
	}
	r.forced[e.Key] = append(r.forced[e.Key], e)
	return true
}

// returnForced gives host keys that were restored as an experiment the value
// back that somebody else had written, unless a write of ours explains it.
func (r *run) returnForced() {
	for _, k := range sortedKeys(r.forced) {
		others := slices.DeleteFunc(r.forced[k], r.follows)
		delete(r.forced, k)
		if len(others) == 0 || r.exhausted || r.leaks.ConfirmedAt(trace.Place{Observer: trace.Host, Key: k}) || r.stuck[k] {
			continue
		}
		theirs, ours := others[len(others)-1].After, r.host.Expected(k)
		if !theirs.OK() || theirs == ours {
			continue
		}
		if r.m.Host().Read(k) != ours {
			continue // changed again meanwhile
		}
		if r.o.Record.Theirs(k, theirs) != nil {
			continue // the next announcement fails, too
		}
		if err := r.m.Host().Write(k, theirs.Value); err != nil {
			r.warn("could not give %s the value back that another program had written: %v", k, err)
			continue
		}
		r.host.Expect(k, r.m.Host().Read(k))
		r.note(trace.Effect{Place: trace.Place{Observer: trace.Host, Key: k}, Before: ours, After: theirs}, "no replay of the writes before it reproduces it")
	}
}

// follows tells that a host key has come to this state again and again when
// others were restored: that is our doing, and nobody else's.
func (r *run) follows(e trace.Effect) bool { return r.followers[e] > 1 }

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
