package parent

import (
	"context"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// read is what a descriptor showed to us, and what there was to show.
type read struct {
	trace.Write    // what made the two differ
	own, host, got sysctl.State
}

// callers tells that we have read our own value through the opener's descriptor.
func (x read) callers() bool { return x.got == x.host && x.own != x.host }

// readRounds is how many fresh writers confirm that. What the opener reads
// through the same descriptor is the sham of each.
const readRounds = 6

// confirmReads proves reads of the wrong value in fresh writers, and records them.
func (r *run) confirmReads(ctx context.Context, reads []read) error {
	reads = slices.DeleteFunc(reads, func(x read) bool { return r.restless[trace.Place{Observer: trace.Host, Key: x.Key}] })
	for round := 0; round < readRounds && len(reads) > 0; round++ {
		if err := stopped(ctx); err != nil {
			return err
		}
		if r.replays >= r.o.MaxReplays {
			return r.outOfBudget(errBudget)
		}
		r.replays++
		var err error
		if reads, err = r.readAgain(ctx, reads); err != nil {
			return err
		}
	}
	for _, x := range reads {
		r.addRead(x)
	}
	return nil
}

// readAgain moves the keys by path in a fresh writer and returns those of which
// its descriptor still shows the host's value.
func (r *run) readAgain(ctx context.Context, reads []read) (still []read, err error) {
	w, err := r.startWriter(ctx)
	if err != nil {
		return nil, err
	}
	defer w.Abandon()
	var ws []trace.Write
	var keys []sysctl.Key
	for _, x := range reads {
		ws, keys = append(ws, x.Write), append(keys, x.Key)
	}
	if _, err := w.Replay(trace.ByPath(ws)); err != nil {
		return nil, err
	}
	all, err := w.Pass(keys)
	if err != nil {
		return nil, err
	}
	defer client.CloseAll(all)
	for i, x := range reads {
		if all[i].Handle == nil {
			continue
		}
		x.own, x.host, x.got = all[i].Own, r.host.Look(x.Key), all[i].Handle.Read()
		if x.own.OK() && x.callers() {
			still = append(still, x)
		}
	}
	return still, w.Quit()
}

// addRead records a confirmed read, with the leak of writing to the same key
// through a descriptor where there is one.
func (r *run) addRead(x read) {
	e := trace.Effect{Place: trace.Place{Observer: trace.Host, Key: x.Key}, Before: x.own, After: x.got}
	for _, l := range r.leaks {
		if len(l.Cause) == 1 && l.Cause[0].Key == x.Key && l.Passed() {
			l.Reads = append(l.Reads, e)
			return
		}
	}
	w := trace.ByPath([]trace.Write{x.Write})[0]
	w.Before, w.After = sysctl.State{}, x.own
	r.add(&finding.Leak{
		Cause: []trace.Write{w}, Reads: []trace.Effect{e}, Status: finding.Confirmed,
		Rounds: readRounds, Matched: readRounds, Shams: readRounds,
		Why: fmt.Sprintf("in each of %d fresh namespaces, the host read its own value through a descriptor that was opened there, and the opener did not", readRounds),
	})
}
