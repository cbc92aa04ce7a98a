package parent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// trial is one replay in a fresh writer, between two looks at the observers.
// The host is as expected before it, and is reset after it.
type trial struct {
	writes []trace.Write
	// as is what restless keys are judged by: the writes, or in a sham round
	// those that were not made.
	as []trace.Write
	// settle is how long to wait between the writes and the look. There is another
	// look then when the writer's namespace is gone.
	settle time.Duration
	// later also makes a namespace after the writes and compares it with one
	// made before them.
	later bool
	// idle looks once more before the writes.
	idle bool
	// until ends the wait early, once there is an effect at this place.
	until trace.Place
	// stop ends a long wait.
	stop <-chan struct{}
	// devices: the children have some, whatever is written.
	devices bool
	// scope is what is looked at.
	scope scope
}

// outcome is what a trial showed.
type outcome struct {
	effects []trace.Effect
	// idle is what changed before anything was written.
	idle []trace.Effect
	// writes is how the writes went this time.
	writes []trace.Write
	// host is what of it is on the host; touched tells that something has been
	// undone since.
	host    []trace.Effect
	touched bool
	// exit is what of it came with the end of the writer's namespace.
	exit []trace.Effect
	// took is how long after the writes the effect at trial.until was seen.
	took time.Duration
	// wrote is how long the writes took.
	wrote time.Duration
}

// pollsInSettle is how many looks are spread over the wait for a late effect, pollsInLong
// over one that is longer than usual.
const (
	pollsInSettle = 8
	pollsInLong   = 64
)

// poll is the time between two looks.
func (r *run) poll(settle time.Duration) time.Duration {
	if settle > r.o.Settle {
		return settle / pollsInLong
	}
	return settle / pollsInSettle
}

// errBudget ends an attribution: the run has used up its replays.
var errBudget = errors.New("the budget of replays is used up")

// try makes one trial.
func (r *run) try(ctx context.Context, t trial) (outcome, error) {
	if err := stopped(ctx); err != nil {
		return outcome{}, err
	}
	if r.replays >= r.o.MaxReplays {
		return outcome{}, errBudget
	}
	r.replays++
	if t.settle > r.o.Settle {
		t.stop = ctx.Done()
	}
	out, err := r.tryOnce(context.WithoutCancel(ctx), t)
	if err != nil {
		return out, fmt.Errorf("replay: %w", err)
	}
	if len(t.writes) > 0 {
		t.writes = slices.Clone(t.writes)
		for i := range t.writes {
			t.writes[i].Moved, t.writes[i].Loaded = out.writes[i].Moved, out.writes[i].Loaded
		}
	}
	off := out.host
	if out.touched {
		if off, err = r.hostOff(); err != nil {
			return out, err
		}
	}
	if off, err = r.resetFrom(ctx, off, t.writes); err != nil {
		return out, fmt.Errorf("reset: %w", err)
	}
	for _, e := range off {
		// It came back each time until now: a latch, or somebody else's change.
		r.giveUp(e, t.writes)
	}
	if isClosed(t.stop) {
		return out, stopped(ctx)
	}
	if t.settle > 0 && len(t.writes) > 0 && (len(out.effects) > 0 || t.settle < r.o.Settle) {
		// Others of these writes may do something later still, and so may undoing them.
		if err := r.flushFor(ctx, t.writes, max(t.settle, r.o.Settle)); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (r *run) tryOnce(ctx context.Context, t trial) (out outcome, err error) {
	devices := r.trialDevices(t)
	sibling, err := r.takeSpare(devices, t.scope)
	if err != nil {
		return out, err
	}
	used := true // until it is known to be as it was
	defer func() {
		if sibling != nil && (used || err != nil) {
			sibling.Abandon()
		}
	}()
	var roles []netns.Role
	if t.later {
		roles = append(roles, netns.RoleControl)
	}
	if sibling == nil {
		roles = append(roles, netns.RoleSibling)
	}
	writer := make(chan error, 1)
	var w *client.Client
	go func() {
		var err error
		w, err = r.start(ctx, client.RoleOf(r.writer), devices)
		writer <- err
	}()
	others, err := r.startSurveyed(ctx, t.scope, devices, roles...)
	if werr := <-writer; werr != nil {
		abandonAll(others)
		return out, werr
	}
	defer w.Abandon()
	if err != nil {
		return out, err
	}
	if sibling == nil {
		sibling = others[len(others)-1].client
	}
	if t.later {
		defer others[0].client.Abandon()
	}
	look := func(as []trace.Write) ([]trace.Effect, error) {
		effects, err := r.sweepAll(sibling, t.scope)
		return r.notable(effects, as), err
	}
	if t.idle {
		if out.idle, err = look(nil); err != nil {
			return out, err
		}
	}
	done, start := t.as, time.Now()
	var seen []trace.Effect
	if len(t.writes) > 0 {
		if done, seen, err = r.replay(ctx, w, t.writes); err != nil {
			return out, err
		}
	} else if err = r.handOver(ctx, w, t.as); err != nil {
		return out, err
	}
	out.writes, out.wrote = done, time.Since(start)
	for began := time.Now(); ; {
		now, err := look(done)
		if err != nil {
			return out, err
		}
		out.effects = withSeen(now, out.effects) // it may be gone soon
		out.took = time.Since(began)
		if out.took >= t.settle || trace.HasPlace(out.effects, t.until) || isClosed(t.stop) {
			break
		}
		if err := r.pause(r.poll(t.settle)); err != nil {
			return out, err
		}
	}
	if err := w.Quit(); err != nil {
		return out, err
	}
	if t.settle > 0 {
		r.drain(ctx)
		now, err := look(done)
		if err != nil {
			return out, err
		}
		out.exit = slices.DeleteFunc(slices.Clone(now), func(e trace.Effect) bool { return trace.HasPlace(out.effects, e.Place) })
		out.effects = withSeen(now, out.effects)
	}
	out.host = slices.DeleteFunc(r.steady(out.effects), func(e trace.Effect) bool { return e.Observer != trace.Host })
	out.effects = withSeen(out.effects, r.notable(seen, done))
	r.strayed(r.steady(out.effects), t.writes)
	if t.later {
		later, err := r.laterEffects(ctx, others[0].base.Map(), t.scope)
		if err != nil {
			return out, err
		}
		out.effects = append(out.effects, later...)
	}
	if slices.ContainsFunc(out.effects, func(e trace.Effect) bool { return e.Observer != trace.Host }) {
		out.touched = true
		if err := r.undoTemplate(ctx, t.writes, out.effects); err != nil {
			return out, err
		}
		if err := r.pause(t.settle); err != nil { // those were writes too
			return out, err
		}
		return out, sibling.Quit()
	}
	used, r.spare = false, &spare{sibling, t.scope}
	return out, nil
}

// spare is the sibling of the last trial, which looked at so much of it.
type spare struct {
	*client.Client
	scope scope
}

// takeSpare is that sibling, nil where it is not one as is wanted, or not as it was any
// more: undoing writes, too.
func (r *run) takeSpare(devices bool, sc scope) (*client.Client, error) {
	spare := r.spare
	r.spare = nil
	if spare == nil {
		return nil, nil
	}
	if (devices && r.o.Devices.wanted()) != (spare.Made() != nil) || !slices.Equal(spare.scope.keys, sc.keys) {
		return nil, spare.Quit()
	}
	changes, err := sweepChild(spare.Client, sc)
	if err != nil {
		return nil, err
	}
	if off := r.steady(trace.EffectsOf(trace.Sibling, changes)); len(off) > 0 {
		r.strayed(off, nil) // by undoing, or late
		return nil, spare.Quit()
	}
	return spare.Client, nil
}

func abandonAll(children []surveyed) {
	for _, c := range children {
		if c.client != nil {
			c.client.Abandon()
		}
	}
}

// startNext starts the writer of the next pass beside what is started meanwhile.
func (r *run) startNext(ctx context.Context) (join func()) {
	started, role := make(chan *client.Client, 1), client.RoleOf(r.writer)
	go func() {
		c, err := r.start(ctx, role, true)
		if err != nil {
			c = nil // when it is tried again, that is told
		}
		started <- c
	}()
	return func() { r.next = <-started }
}

// takeNext is that writer, or one that is started now.
func (r *run) takeNext(ctx context.Context) (*client.Client, error) {
	if c := r.next; c != nil {
		r.next = nil
		return c, nil
	}
	return r.start(ctx, client.RoleOf(r.writer), true)
}

// dropNext is for when that writer's namespace is not one made after all was put right.
func (r *run) dropNext() {
	if r.next != nil {
		r.next.Abandon()
		r.next = nil
	}
}

// undoTemplate gives the writes' keys, and those of effects elsewhere than on
// the host, their original values in a fresh writer: what changed for later
// namespaces cannot be restored otherwise.
func (r *run) undoTemplate(ctx context.Context, ws []trace.Write, effects []trace.Effect) error {
	undo := r.originals(ws)
	for _, e := range effects {
		if st := stateIn(r.controlBase, e.Key); e.Observer != trace.Host && st.OK() {
			undo = append(undo, trace.Write{Key: e.Key, Value: st.Value})
		}
	}
	undo, err := r.undo(ctx, undo)
	if err != nil || len(undo) == 0 {
		return err
	}
	off, err := r.hostOff()
	if err != nil {
		return err
	}
	r.strayed(off, undo) // those were writes too
	return nil
}
