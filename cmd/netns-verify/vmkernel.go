package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/internal/guestlink"
	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/reboot"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/vm"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/protocol"
)

// probesAtATime is how many machines may prove something at the same time.
const probesAtATime = 2

// kernelSession is one kernel, booted as often as it takes.
type kernelSession struct {
	*vmSession
	kernel *kernel.Kernel

	mu      sync.Mutex
	boots   int
	first   vm.Result // of the first boot that got to a first word
	console []string  // of a boot that failed
}

// run does a whole run. The report is never nil. A boot that fails before the run
// begins is made again: later, what it ends by may be what it was to find.
func (k *kernelSession) run(ctx context.Context, order guestlink.Run) (r *report.Report, err error) {
	err = reboot.Again(ctx, func() (bool, error) {
		w := &witness{vmSession: k.vmSession, kernel: k.kernel}
		w.booting()
		final, err := k.boot(ctx, guestlink.Order{Run: &order}, w.hear)
		if final != nil && final.Report != nil {
			final.Report.Normalize()
			r = final.Report
		} else {
			err = cmp.Or(err, errNoReport)
			r = w.partial()
		}
		return !w.begun, err
	})
	return r, err
}

var errNoReport = errors.New("the guest's final message has no report")

// prober makes writes in a machine of their own, with the order's modules.
func (k *kernelSession) prober(order guestlink.Run) reboot.Boot {
	return func(ctx context.Context, writes []report.Cause) ([]report.Effect, error) {
		return k.probe(ctx, order, writes)
	}
}

func (k *kernelSession) probe(ctx context.Context, order guestlink.Run, writes []report.Cause) ([]report.Effect, error) {
	p := guestlink.Probe{Run: order, Writes: []protocol.Assign{}}
	for _, w := range writes {
		value := *w.Value
		if w.ValueB64 != nil {
			value = string(w.ValueB64)
		}
		p.Writes = append(p.Writes, protocol.Assign{Key: protocol.Bytes(report.Whole(w.Key, w.KeyB64)), Value: protocol.Bytes(value)})
		if w.Writer != writes[0].Writer {
			return nil, fmt.Errorf("a probe by two writers, %s and %s", writes[0].Writer, w.Writer)
		}
		p.Writers = []string{w.Writer}
	}
	w := &witness{vmSession: k.vmSession, kernel: k.kernel, quiet: true}
	final, err := k.boot(ctx, guestlink.Order{Probe: &p}, w.hear)
	if err != nil {
		return nil, err
	}
	return final.Effects, nil
}

// prove boots the kernel again for each round that one-way leaks need. Keys that
// could not be told from their causes before are written once more, with the
// causes first and alone. Where that fails the report has what is known without, and says so.
func (k *kernelSession) prove(ctx context.Context, r *report.Report) error {
	return k.orSkip(ctx, r, phaseReboots, k.proveOver(ctx, r))
}

// orSkip makes the error of a part of the work a part of the report, except where it is by
// request.
func (k *kernelSession) orSkip(ctx context.Context, r *report.Report, phase string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	k.log.Warn().Str("kernel", k.kernel.Name).Str("phase", phase).Str("error", withErrno(err)).Strs("console", k.console).Msg("not all could be done")
	r.Run.Skipped = append(r.Run.Skipped, report.Skipped{Phase: phase, Why: err.Error()})
	return nil
}

// plan is how boots prove something.
func (k *kernelSession) plan() reboot.Plan {
	if k.vmSession.console != nil {
		return reboot.Plan{Rounds: k.f.reboots, AtATime: 1} // or the consoles would be mixed up
	}
	return reboot.Plan{Rounds: k.f.reboots, AtATime: probesAtATime}
}

func (k *kernelSession) proveOver(ctx context.Context, r *report.Report) error {
	if !slices.ContainsFunc(r.Leaks, oneWay) || k.f.reboots < 2 {
		return nil
	}
	if k.screen != nil && k.f.jobs == 1 {
		k.screen.progress(progressOf(k.kernel.Name + ": proving what cannot be undone over reboots"))
	}
	plan := k.plan()
	if err := reboot.Confirm(ctx, r, plan, k.prober(k.order())); err != nil {
		return err
	}
	order := k.order()
	order.Include, order.Exclude, order.Lines, order.WriteHost, order.Lenient = nil, nil, nil, false, true
	for _, l := range r.Leaks {
		if !oneWay(l) || len(l.Evidence.Candidates) > 0 {
			continue
		}
		for _, c := range l.Cause {
			order.Latches = append(order.Latches, sysctl.Key(report.Whole(c.Key, c.KeyB64)))
			order.Include = append(order.Include, sysctl.ExactGlob(sysctl.Key(report.Whole(c.Key, c.KeyB64))))
		}
	}
	open := reboot.Unresolved(r)
	if len(order.Latches) == 0 || len(open) == 0 {
		return nil
	}
	for _, key := range open {
		order.Include = append(order.Include, sysctl.ExactGlob(sysctl.Key(key)))
	}
	again, err := k.run(ctx, order)
	if err != nil {
		return err
	}
	reboot.Known(again, r)
	if err := reboot.Confirm(ctx, again, plan, k.prober(k.order())); err != nil {
		return err
	}
	reboot.Resolve(r, again)
	return nil
}

func oneWay(l report.Leak) bool {
	return l.Evidence.Status == report.StatusOneWay && l.Via != report.ViaDescriptor // probes write by path
}

// boot boots the kernel with an order. An error of the guest's is one of ours;
// its final message may be there all the same.
func (k *kernelSession) boot(ctx context.Context, o guestlink.Order, hear func(guestlink.Message)) (*guestlink.Final, error) {
	select {
	case k.machines <- struct{}{}:
		defer func() { <-k.machines }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	g, err := k.guest(o)
	if err != nil {
		return nil, err
	}
	result, err := k.qemu.Boot(ctx, g, hear)
	if f := result.Final; f != nil && f.Usage {
		err = errors.Join(err, parent.Unmatched(f.Error))
	} else if f != nil && f.Error != "" {
		err = errors.Join(err, errors.New(f.Error))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.boots++; k.first.Boot == 0 {
		k.first = *result
	}
	if err != nil {
		k.console = result.Console
	}
	return result.Final, err
}

// order is what all orders have in common.
func (k *kernelSession) order() guestlink.Run {
	o := k.f.options()
	r := guestlink.Run{
		Build: build(), Seed: o.Seed, BatchSize: o.BatchSize, Include: o.Include, Exclude: o.Exclude, Allow: o.AllowUntested, Lines: o.Lines,
		Lenient:     k.several,
		AllowOneWay: o.AllowOneWay, DryRun: o.DryRun, Settle: o.Settle, Deadline: o.Deadline,
		Thorough: o.Thorough, Descriptors: o.Descriptors, Devices: k.f.deviceKinds(), Observe: k.f.observe.Kinds,
		LogLevel: k.log.GetLevel().String(), RunID: k.id,

		WriteHost: o.WriteHost, ShowSecrets: o.ShowSecrets,
	}
	for _, w := range o.Writers {
		r.Writers = append(r.Writers, string(w))
	}
	return r
}

// guest is a machine with the kernel, our binary, modules, and an order.
func (k *kernelSession) guest(o guestlink.Order) (vm.Guest, error) {
	order, err := json.Marshal(o)
	if err != nil {
		return vm.Guest{}, fmt.Errorf("write the guest's order: %w", err)
	}
	var archive bytes.Buffer
	err = initramfs.Write(&archive, initramfs.Contents{
		Executable: k.init, Names: []string{guest.ModprobePath}, Modules: k.kernel.Modules,
		Files: map[string][]byte{guestlink.OrderPath: order},
	})
	if err != nil {
		return vm.Guest{}, err
	}
	g := k.f.guest()
	g.Kernel, g.Initramfs, g.Console = k.kernel.Image(), archive.Bytes(), k.vmSession.console
	return g, nil
}
