package main

import (
	"context"

	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/reboot"
	"github.com/netns-verify/netns-verify/internal/report"
)

// loads looks for writes that have the kernel load a module for everybody. In the run's own
// machine most modules had been loaded before the first write, so here all keys are written
// once more where only those are that the keys need. What shows is proved like other
// leaks that cannot be undone, in boots of the same kind.
func (k *kernelSession) loads(ctx context.Context, r *report.Report) error {
	if k.f.dryRun || k.kernel.Modules == nil || !k.f.observe.Has(observe.Modules) {
		return nil
	}
	if m := k.kernel.Modules.Manifest(); len(m.Lean()) == len(m.Boot()) {
		return nil // nothing had been loaded that the keys do not need
	}
	if k.screen != nil && k.f.jobs == 1 {
		k.screen.progress(progressOf(k.kernel.Name + ": looking for writes that load modules"))
	}
	order := k.order()
	order.Lean, order.Devices = true, nil // to make devices loads modules, too
	order.Thorough, order.Descriptors, order.WriteHost = false, false, false
	order.LogLevel = "error" // what it finds besides is in the first run's log
	lean, err := k.run(ctx, order)
	reboot.OnlyLoads(lean, r)
	if err == nil {
		err = reboot.Confirm(ctx, lean, k.plan(), k.prober(order))
	}
	for _, l := range lean.Leaks {
		k.log.Warn().Str("phase", guest.PhaseModules).Str("status", string(l.Evidence.Status)).Str("via", l.Via).
			Interface("cause", l.Cause).Interface("effects", l.Effects).Int("rounds", l.Evidence.Rounds).Int("shams", l.Evidence.Shams).Msg("leak")
	}
	reboot.AddLoads(r, lean)
	return k.orSkip(ctx, r, guest.PhaseModules, err)
}
