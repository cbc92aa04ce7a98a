package parent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// hostOff is the host's steady keys that are not as expected.
func (r *run) hostOff() ([]effect, error) {
	changes, err := r.host.Sweep()
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return r.steady(effectsOf(observerHost, changes)), nil
}

// reset puts the host back: through a writer where the leak itself can do
// that, else on the host, where that is allowed. It returns what is still off.
// It works whether or not the run was told to stop.
func (r *run) reset(ctx context.Context, suspects []write) ([]effect, error) {
	off, err := r.hostOff()
	if err != nil || len(off) == 0 {
		return nil, err
	}
	if off, err = r.undoThroughWriter(ctx, off, suspects); err != nil {
		return nil, err
	}
	// Restoring one key may move others (conf/default moves devices): from
	// global to default to device keys, until nothing changes any more.
	for range 3 {
		if len(off) == 0 {
			return nil, nil
		}
		slices.SortStableFunc(off, func(a, b effect) int { return cmp.Compare(breadth(b.key), breadth(a.key)) })
		wrote := false
		for _, e := range off {
			wrote = r.restoreOnHost(e) || wrote
		}
		if !wrote {
			break
		}
		if off, err = r.hostOff(); err != nil {
			return nil, err
		}
	}
	return off, nil
}

// undoThroughWriter writes, in a fresh writer, the original values of the
// effects' keys and, if that was not enough, of the suspects' keys, newest first.
func (r *run) undoThroughWriter(ctx context.Context, off []effect, suspects []write) ([]effect, error) {
	w, err := r.start(context.WithoutCancel(ctx), RoleWriter)
	if err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	defer w.abandon()
	for _, undo := range [][]write{originalsOf(off, suspects), r.originals(suspects)} {
		if len(undo) == 0 {
			continue
		}
		if _, err := w.replay(undo); err != nil {
			return nil, fmt.Errorf("undo: %w", err)
		}
		if off, err = r.hostOff(); err != nil || len(off) == 0 {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return off, w.quit()
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
			undo = append(undo, write{key: e.key, value: e.before.Value})
		}
	}
	return undo
}

// originals is the writes that give the suspects' keys the values that a fresh
// writer has, newest first.
func (r *run) originals(suspects []write) []write {
	base := r.writerBase.Map()
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
	err := r.m.Host().Write(e.key, e.before.Value)
	r.log.Debug().Str("key", string(e.key)).AnErr("error", err).Msg("restored on the host")
	return err == nil
}

// mayRestore tells whether the host's key may be written: a confirmed cause
// explains the effect, or the machine is quiet. On a quiet machine the effect
// is taken for ours until replays say otherwise; then the key gets the other's
// value back (returnForced).
func (r *run) mayRestore(e effect) bool {
	if r.confirmedAt(e.place) {
		return true
	}
	if !r.quiet() {
		return false
	}
	if _, ok := r.forced[e.key]; !ok {
		r.forced[e.key] = e.after
	}
	return true
}

// confirmedAt tells whether a confirmed leak has this effect.
func (r *run) confirmedAt(p place) bool {
	return slices.ContainsFunc(r.leaks, func(l *leak) bool {
		return l.status == statusConfirmed && hasPlace(l.effects, p)
	})
}

// returnForced gives host keys that were restored as an experiment the value
// back that somebody else had written, unless a write of ours explains it.
func (r *run) returnForced() {
	for _, k := range sortedKeys(r.forced) {
		theirs := r.forced[k]
		delete(r.forced, k)
		ours := r.host.Expected(k)
		if r.confirmedAt(place{observerHost, k}) || r.stuck[k] || !theirs.OK() || theirs == ours {
			continue
		}
		if r.m.Host().Read(k) != ours {
			continue // changed again meanwhile
		}
		if err := r.m.Host().Write(k, theirs.Value); err != nil {
			r.warn("could not give %s the value back that another program had written: %v", k, err)
			continue
		}
		r.host.Expect(k, theirs)
	}
}

// noise is what is known of other programs writing sysctls meanwhile.
type noise struct{ measured, loud bool }

// quietWindow is how long the host is watched to tell whether others write:
// long enough to see one that writes ten times a second.
const quietWindow = time.Second

// quiet tells whether nobody else writes sysctls on the host. It is measured
// once, when it first matters. One key that moves is a restless key, not a writer.
func (r *run) quiet() bool {
	if r.noise.measured {
		return !r.noise.loud
	}
	r.noise.measured = true
	time.Sleep(r.o.Settle) // delayed effects of ours come first
	before, err := r.hostOff()
	if err != nil {
		r.noise.loud = true
		return false
	}
	time.Sleep(quietWindow)
	after, err := r.hostOff()
	moved := movedBetween(before, after)
	r.noise.loud = err != nil || len(moved) > 1
	switch {
	case r.noise.loud:
		r.warn("other programs are writing sysctls on the host (%d keys changed in an idle second): changes that may be theirs are left alone", len(moved))
	case len(moved) == 1:
		r.restless[moved[0]] = true
	}
	return !r.noise.loud
}

// movedBetween is the places whose states differ between two sweeps.
func movedBetween(a, b []effect) []place {
	was := map[place]sysctl.State{}
	for _, e := range a {
		was[e.place] = e.after
	}
	var moved []place
	for _, e := range b {
		if st, ok := was[e.place]; !ok || st != e.after {
			moved = append(moved, e.place)
		}
		delete(was, e.place)
	}
	for _, e := range a {
		if _, gone := was[e.place]; gone {
			moved = append(moved, e.place)
		}
	}
	return moved
}

func sortedKeys[V any](m map[sysctl.Key]V) []sysctl.Key {
	keys := make([]sysctl.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
