package parent

import (
	"context"
	"fmt"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Assignment is a value for a key.
type Assignment struct {
	Key   sysctl.Key
	Value string
}

// Probe makes these writes once, in a fresh writer, and tells where something
// changed: on the host, in a sibling, or in a namespace made afterwards. Keys
// that move by themselves are left out. It is one round of the proof of a leak
// that cannot be undone, so nothing is put back: the machine is to be thrown away.
func Probe(ctx context.Context, m netns.Machine, o Options, writes []Assignment) ([]report.Effect, error) {
	r := newRun(m, o)
	defer func() {
		if r.host != nil {
			_ = r.host.Close()
		}
		if r.sibling != nil {
			r.sibling.Abandon()
		}
	}()
	r.switchTo(r.o.Writers[0])
	w, err := r.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	defer w.Abandon()
	r.enter(PhaseForward, "")
	planned := make([]trace.Write, len(writes))
	for i, a := range writes {
		planned[i] = trace.Write{Key: a.Key, Value: a.Value}
	}
	_, seen, err := r.replay(ctx, w, planned)
	if err != nil {
		return nil, err
	}
	time.Sleep(r.o.Settle)
	effects, err := r.sweepAll(r.sibling, everything)
	if err != nil {
		return nil, err
	}
	effects = r.steady(withSeen(effects, seen))
	if err := w.Quit(); err != nil {
		return nil, err
	}
	later, err := r.laterEffects(ctx, r.controlBase, everything)
	if err != nil {
		return nil, err
	}
	var out []report.Effect
	for _, e := range append(effects, later...) {
		out = append(out, r.secrets.Effect(e))
	}
	return out, nil
}
