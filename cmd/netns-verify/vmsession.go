package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/report/render"
	"github.com/netns-verify/netns-verify/internal/vm"
)

// guestExecutable is what becomes init in a guest; tests put faulty ones here.
var guestExecutable = reexec.Self()

// vmSession is one `vm`: a session for each kernel, in a machine of its own.
type vmSession struct {
	*session
	f       *vmFlags
	qemu    *vm.QEMU
	init    []byte
	console io.Writer
	several bool // kernels: what one has not, another may have
	// machines bounds how many there are at a time.
	machines chan struct{}
}

func newVMSession(f *vmFlags, args []string, stdout, stderr *os.File) *vmSession {
	s := newSession(&f.runFlags, args, stdout, stderr)
	return &vmSession{session: s, f: f, machines: make(chan struct{}, max(f.jobs, probesAtATime))}
}

// run does everything and returns the exit status, of several the worst.
func (v *vmSession) run() int {
	defer v.hush()
	if err := v.speak(); err != nil {
		return v.fail(err)
	}
	ctx, _, stop := untilSignal(context.Background(), v.log, "")
	defer stop()
	out, err := openOutput(v.f.output, v.out.file)
	if err != nil {
		return v.fail(err)
	}
	defer func() { _ = out.Cleanup() }() // after the report is in place there is nothing to clean up
	kernels, err := v.prepare(ctx)
	if err != nil {
		status := v.fail(err)
		if sig := (signalled{}); errors.As(err, &sig) {
			return report.ExitSignal + int(sig.Signal)
		}
		return status
	}
	if c, ok := v.console.(io.Closer); ok {
		defer func() { _ = c.Close() }()
	}
	v.several = len(kernels) > 1
	v.open(kernels)
	reports := v.all(ctx, kernels)
	stop() // from here on, signals may end us
	if end := v.ending(nil, context.Cause(ctx)); end.Signal != 0 && !slices.ContainsFunc(reports, signalEnded) {
		reports[len(reports)-1].Conclude(end) // it came when all were done
	}
	if v.screen != nil {
		v.screen.close()
		_, _ = fmt.Fprintln(v.errs.file)
	}
	if len(reports) == 1 {
		return v.publish(reports[0], out)
	}
	return v.publishAll(reports, out)
}

// signalEnded tells that a signal has ended a run.
func signalEnded(r *report.Report) bool { return r.Run.ExitStatus > report.ExitSignal }

// prepare reads everything that guests are made of, before the first is. It takes no
// longer than a boot may.
func (v *vmSession) prepare(ctx context.Context) ([]*kernel.Kernel, error) {
	v.qemu = &vm.QEMU{Accel: vm.Accel(v.f.accel), Build: build(), Logger: v.log}
	if err := v.qemu.Check(); err != nil {
		return nil, err
	}
	var err error
	if v.init, err = os.ReadFile(guestExecutable); err == nil {
		err = initramfs.Check(v.init)
	}
	if err != nil {
		return nil, fmt.Errorf("read our own executable: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, v.f.timeout, fmt.Errorf("the kernels had not been read after %v (--timeout)", v.f.timeout))
	defer cancel()
	kernels, err := v.kernels(ctx)
	if err != nil {
		return nil, err
	}
	for _, path := range v.f.extra {
		for _, k := range kernels {
			if err := k.AddModule(ctx, path); err != nil {
				return nil, fmt.Errorf("read module: %w", err)
			}
		}
	}
	if v.f.keepConsole != "" { // the last thing that can fail: what was in the file is gone
		if v.console, err = createConsole(v.f.keepConsole); err != nil {
			return nil, fmt.Errorf("keep the console: %w", err)
		}
	}
	return kernels, nil
}

func (v *vmSession) kernels(ctx context.Context) (all []*kernel.Kernel, err error) {
	for _, files := range v.f.kernels {
		k, err := kernel.FromFiles(ctx, files.image, files.modules)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	if len(v.f.debs) > 0 {
		found, err := kernel.FromPackages(ctx, v.f.debs...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	for _, k := range all {
		if k.Arch != "amd64" {
			return nil, fmt.Errorf("%s: it is for %s, and virtual machines are for amd64 so far", k.Name, k.Arch)
		}
	}
	return all, nil
}

// open says what is about to happen.
func (v *vmSession) open(kernels []*kernel.Kernel) {
	var names []string
	for _, k := range kernels {
		names = append(names, k.Name)
	}
	if v.screen != nil {
		_, _ = fmt.Fprintln(v.screen, render.OpeningVM(tool(), names, v.f.seed, v.page(v.errs)))
	}
	v.log.Info().Str("version", tool().Version).Str("commit", tool().Commit).Strs("kernels", names).
		Uint64("seed", v.f.seed).Strs("arguments", v.args).Msg("run started")
}

// all boots the kernels, some at a time, and has one report for each, in order.
func (v *vmSession) all(ctx context.Context, kernels []*kernel.Kernel) []*report.Report {
	reports := make([]*report.Report, len(kernels))
	var working sync.WaitGroup
	free := make(chan struct{}, v.f.jobs)
	for i, k := range kernels {
		free <- struct{}{}
		working.Go(func() {
			reports[i] = v.one(ctx, k)
			<-free
		})
	}
	working.Wait()
	return reports
}

// one does a run in a machine with one kernel, puts what cannot be undone to the proof
// in others, and looks for writes that load modules. Whatever becomes of it, there is a report.
func (v *vmSession) one(ctx context.Context, k *kernel.Kernel) *report.Report {
	began := time.Now()
	s := &kernelSession{vmSession: v, kernel: k}
	r, err := s.run(ctx, s.order())
	if err == nil {
		if err = s.prove(ctx, r); err == nil {
			err = s.loads(ctx, r)
		}
	}
	r.Tool = tool()
	r.VM = &report.VM{Accel: string(s.first.Accel), MemoryMB: v.f.memory.mib(), Boots: s.boots, BootMS: s.first.Boot.Milliseconds()}
	r.Run.ID, r.Run.Started, r.Run.Arguments = v.id, began.UTC(), v.args
	r.Run.DurationMS = time.Since(began).Milliseconds()
	r.Normalize()
	end := v.ending(err, context.Cause(ctx))
	r.Conclude(end)
	if err != nil && end.Signal == 0 {
		v.complainOf(k, err, s.console)
	}
	return r
}

// complainOf says what became of one kernel's guest, with the end of its console.
func (v *vmSession) complainOf(k *kernel.Kernel, err error, console []string) {
	if v.f.logging().json(v.errs.is) {
		v.log.Error().Str("kernel", k.Name).Str("error", withErrno(err)).Strs("console", console).Msg("could not verify")
		return
	}
	w := v.stderr()
	if len(console) > 0 {
		say(w, "the end of the console of %s:\n", k.Name)
		for _, line := range console {
			say(w, "  | %s\n", line)
		}
	}
	say(w, "%s: could not verify %s: %s\n", name, k.Name, withErrno(err))
}

// publishAll writes several reports and returns the worst exit status, which is
// the highest: ended by a signal, not verified, leak, nothing.
func (v *vmSession) publishAll(rs []*report.Report, out output) int {
	err := v.write(out, rs...)
	if err != nil {
		_ = v.fail(err)
	}
	worst := report.ExitClean
	for _, r := range rs {
		v.ended(r)
		worst = max(worst, r.Run.ExitStatus)
	}
	if err != nil {
		return worst
	}
	if v.screen != nil && !(v.onTerminal() && v.f.format == "text") {
		_, _ = fmt.Fprint(v.errs.file, render.Table(rs, v.page(v.errs)))
	}
	return worst
}
