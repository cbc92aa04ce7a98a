package parent

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// goneAtATime is how many descriptors are kept of a namespace that is to go.
const goneAtATime = 512

// descriptors has the writer open its keys and pass them to us, and reads and
// writes through them from the host's namespace: its values are to be read and
// changed, not the host's. A handler that looks at its caller instead of the key's
// namespace is not to be seen otherwise.
func (r *run) descriptors(ctx context.Context) error {
	if !r.o.Descriptors || r.o.DryRun {
		return nil
	}
	r.enter(PhaseDescriptors, "")
	d := &descriptorPass{passState: r.newState(PhaseDescriptors)}
	err := d.all(ctx)
	if cannotPass(err) {
		if off, herr := r.hostOff(); herr != nil || len(off) > 0 {
			return err // what was done until then is to be put right
		}
		r.skip(PhaseDescriptors, fmt.Sprintf("what happens through a descriptor of another namespace was not tested, or not all of it: %v", err))
		r.leftOpen()
		return nil
	}
	return err
}

// descriptorPass is the pass in which all is done through descriptors.
type descriptorPass struct {
	*passState
	alive []sysctl.Key // can be read though their namespace is gone
}

func (d *descriptorPass) all(ctx context.Context) error {
	batches := d.batches()
	if len(batches) == 0 {
		return nil
	}
	if err := d.rest(ctx); err != nil {
		return err
	}
	if err := d.furnish(ctx, !d.plan.OnlyLoopback()); err != nil {
		return err
	}
	w, err := d.startWriter(ctx)
	if err != nil {
		return err
	}
	defer w.Abandon()
	for i, ws := range batches {
		if err := stopped(ctx); err != nil {
			return err
		}
		d.progress(i, len(batches), "")
		if err := d.batch(ctx, w, ws); err != nil {
			return err
		}
		d.run.batches++
	}
	if err := w.Quit(); err != nil {
		return err
	}
	// What the end of that namespace does is nothing that the next ones did.
	if err := d.drained(ctx); err != nil {
		return err
	}
	if err := d.pause(d.o.Settle); err != nil {
		return err
	}
	off, err := d.hostOff()
	if err != nil {
		return err
	}
	for _, e := range off {
		d.addLate(stray{Effect: e})
	}
	if err := d.dismissAll(); err != nil {
		return err
	}
	if err := d.lastSweep(d.sibling); err != nil {
		return err
	}
	if err := d.deferred(ctx); err != nil {
		return err
	}
	if err := d.behindLeaks(ctx); cannotPass(err) { // all that was written takes more descriptors than a batch
		if off, rerr := d.reset(ctx, d.history); rerr != nil || len(off) > 0 {
			return cmp.Or(rerr, err)
		}
		d.skip(PhaseDescriptors, fmt.Sprintf("what comes late through a descriptor of another namespace was not looked for behind leaks that show at once: %v", err))
	} else if err != nil {
		return err
	}
	if err := d.gone(ctx, slices.Concat(batches...)); err != nil {
		return err
	}
	return d.deferred(ctx)
}

// batches is what is written: to every key one value that took effect by path,
// and that the host does not have.
func (d *descriptorPass) batches() (batches [][]trace.Write) {
	leaking := d.leaks.Causes(d.writer)
	base := d.writerBase.Map()
	for _, batch := range d.plan.Order(d.rng).Only(d.plan.Sampled).Together(min(d.o.BatchSize, protocol.MaxPass)) {
		var ws []trace.Write
		for _, index := range batch {
			p := d.plan.Keys[index]
			k := p.Entry.Key
			w := trace.Write{Key: k, Value: p.Effective, Via: trace.ViaDescriptor}
			if d.host.Expected(k).Value == w.Value { // a switch, at different values from the start
				w.Value = base[k].State.Value
			}
			if p.Effective != "" && !leaking[k] && !d.unsteady(k) {
				ws = append(ws, w)
			}
		}
		if len(ws) > 0 {
			batches = append(batches, ws)
		}
	}
	return batches
}

// batch writes and reads some keys through descriptors.
func (d *descriptorPass) batch(ctx context.Context, w *client.Client, ws []trace.Write) error {
	ws, seen, err := d.through(ctx, w, ws)
	d.keep(ws)
	if err != nil {
		return err
	}
	callers, same, err := d.readAll(w, ws)
	if err != nil {
		return err
	}
	if len(same) > 0 {
		// Nobody can tell whose value it is: make them differ.
		moved, more, err := d.replay(ctx, w, trace.ByPath(same))
		d.keep(moved)
		if err != nil {
			return err
		}
		ws, seen = append(ws, moved...), append(seen, more...)
		others, _, err := d.readAll(w, moved)
		if err != nil {
			return err
		}
		callers = append(callers, others...)
	}
	if err := d.look(ctx, ws, seen, false); err != nil {
		return err
	}
	if err := d.explainSightings(ctx); err != nil {
		return err
	}
	return d.confirmReads(ctx, callers)
}

// keep takes note of what was written, for late effects and for a run that is stopped.
func (d *descriptorPass) keep(ws []trace.Write) {
	d.history = append(d.history, ws...)
	d.run.throughs = append(d.run.throughs, ws...)
}

// readAll reads the writes' keys through new descriptors. It returns those whose
// value was the host's and not the opener's, and those for which that is the same.
func (d *descriptorPass) readAll(w *client.Client, ws []trace.Write) (callers []read, same []trace.Write, err error) {
	keys := trace.KeysOf(ws)
	if d.o.Writing != nil {
		d.o.Writing(keys) // reading may end a guest, too
	}
	all, err := w.Pass(keys)
	if err != nil {
		return nil, nil, err
	}
	defer client.CloseAll(all)
	for i, k := range keys {
		p := all[i]
		if p.Handle == nil || !p.Own.OK() {
			continue
		}
		x := read{Write: trace.Of(ws, []sysctl.Key{k})[0], own: p.Own, host: d.host.Look(k), got: p.Handle.Read()}
		switch {
		case x.own == x.host:
			same = append(same, x.Write)
		case x.callers():
			callers = append(callers, x)
		}
	}
	return callers, same, nil
}

// gone opens keys in namespaces that then end, and reads and writes through what
// is left of them. There is nothing there, but the kernel has to notice.
func (d *descriptorPass) gone(ctx context.Context, ws []trace.Write) error {
	ws = slices.Clone(ws)
	for i := range ws {
		ws[i].Via = trace.ViaGone
	}
	d.history = nil // of other writers
	for some := range slices.Chunk(ws, goneAtATime) {
		if err := stopped(ctx); err != nil {
			return err
		}
		d.progress(0, 0, "their namespace is gone")
		w, err := d.startWriter(ctx)
		if err != nil {
			return err
		}
		defer w.Abandon()
		done, seen, err := d.through(ctx, w, some)
		d.keep(done)
		if err != nil {
			return err
		}
		for _, x := range done {
			if x.Errno == 0 || x.After.OK() {
				d.alive = append(d.alive, x.Key)
			}
		}
		if err := d.look(ctx, done, seen, false); err != nil {
			return err
		}
		if err := d.explainSightings(ctx); err != nil {
			return err
		}
	}
	if n := len(d.alive); n > 0 {
		d.warn("descriptors of a network namespace that is gone can still be used: %s", report.Plural(n, "key")+", such as "+string(d.alive[0]))
	}
	return nil
}
