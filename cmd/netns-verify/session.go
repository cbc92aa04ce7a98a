package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/report/render"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// childEntry is what a child is started as; tests put faulty ones here.
var childEntry = child.Entry

// session is one `run`, from flags that were checked to an exit status.
type session struct {
	f      *runFlags
	args   []string
	id     string
	start  time.Time
	out    terminal
	errs   terminal
	log    zerolog.Logger
	screen *screen  // nil where no person is looking on
	slow   *patient // where stderr goes then
	lock   *os.File // the machine's
	misuse error    // what is wrong with the command line, where only the run could tell
	// kernels tells that the root is the kernel's, and no tree of files.
	kernels bool
}

func newSession(f *runFlags, args []string, stdout, stderr *os.File) *session {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails (crypto/rand)
	return &session{
		f: f, args: args, id: hex.EncodeToString(id), start: time.Now(),
		out: terminalOf(stdout), errs: terminalOf(stderr),
	}
}

// run does everything and returns the exit status. What there is to say has
// been said by then, apart from misuse.
func (s *session) run() int {
	defer s.hush()
	if err := s.speak(); err != nil {
		return s.fail(err)
	}
	ctx, hurry, stop := untilSignal(context.Background(), s.log, ": the host is put back first")
	defer stop()

	out, err := openOutput(s.f.output, s.out.file)
	if err != nil {
		return s.fail(err)
	}
	defer func() { _ = out.Cleanup() }() // after the report is in place there is nothing to clean up
	if err := s.prepare(ctx); err != nil {
		return s.fail(err)
	}
	defer func() { _ = s.lock.Close() }()

	host, warnings := hostinfo.Read("/")
	s.open(&report.Report{
		Tool: tool(), Host: host, Warnings: warnings,
		Run: report.Run{Seed: s.f.seed, DryRun: s.f.dryRun},
	})
	r, err := s.verify(ctx, hurry, &host)
	stop() // the host is as good as it will be: from here on, signals may end us
	if s.screen != nil {
		s.screen.close()
		_, _ = fmt.Fprintln(s.errs.file)
	}

	host.Devices = append(host.Devices, r.Host.Devices...)
	r.Tool, r.Host = tool(), host
	r.Warnings = append(warnings, r.Warnings...)
	r.Run.ID, r.Run.Started, r.Run.Arguments = s.id, s.start.UTC(), s.args
	r.Run.Observe = s.f.observe.Names()
	r.Run.DurationMS = time.Since(s.start).Milliseconds()
	r.Normalize()
	end := s.ending(err, context.Cause(ctx))
	if end.Usage {
		s.misuse = end.Err
		return report.ExitUsage
	}
	r.Conclude(end)
	nothing := err != nil && empty(r)
	if nothing || err != nil && end.Signal == 0 {
		s.complain(err)
	}
	if nothing {
		return r.Run.ExitStatus
	}
	return s.publish(r, out)
}

// speak makes the log and, for a person at a terminal, the screen.
func (s *session) speak() (err error) {
	if s.errs.is && !s.f.logging().json(true) && !s.f.quiet {
		s.screen = newScreen(s.errs)
	} else {
		s.slow = newPatient(s.errs.file)
	}
	s.log, err = s.f.logging().logger(s.stderr(), s.errs, s.id)
	return err
}

// prepare makes sure that it is our turn and that there is something to write to.
func (s *session) prepare(ctx context.Context) error {
	if err := s.f.whoWrites(hostinfo.Who("/")); err != nil {
		return err
	}
	var err error
	if s.kernels, err = sysctl.OfKernel(s.f.root); err != nil {
		return err
	}
	net := filepath.Join(s.f.root, "net") // a mount of its own in some containers
	ro, err := hostinfo.ReadOnly(net)
	switch {
	case err != nil:
		return fmt.Errorf("look at the sysctl directory: %w", err)
	case ro && !s.f.dryRun:
		return readOnly{net}
	}
	if s.lock, err = lock.Await(ctx, s.f.wait, s.waiting); err != nil || s.f.dryRun {
		return err
	}
	if err := s.leftOver(ctx); err != nil {
		_ = s.lock.Close()
		return err
	}
	return nil
}

// waiting says for whom.
func (s *session) waiting(text string) {
	if s.screen != nil {
		_, _ = fmt.Fprintln(s.screen, text)
	}
	s.log.Info().Msg(text)
}

// open says what is about to happen, to people and to the log.
func (s *session) open(r *report.Report) {
	if s.screen != nil {
		_, _ = fmt.Fprintln(s.screen, render.Opening(r, s.f.root, s.page(s.errs)))
	} else {
		for _, w := range r.Warnings {
			s.log.Warn().Msg(w)
		}
	}
	s.log.Info().Str("version", r.Tool.Version).Str("commit", r.Tool.Commit).Str("kernel", r.Host.KernelRelease).
		Str("root", s.f.root).Uint64("seed", s.f.seed).Int("other_namespaces", r.Host.OtherNamespaces).
		Strs("arguments", s.args).Msg("run started")
}

// verify does the run proper. The report is never nil. What devices are not tried
// on this host is added to it.
func (s *session) verify(ctx context.Context, hurry <-chan struct{}, host *report.Host) (*report.Report, error) {
	o := s.f.options()
	o.Logger, o.Hurry = s.log, hurry
	if !s.f.dryRun {
		done, err := s.onRecord(&o)
		if err != nil {
			return &report.Report{}, err
		}
		defer done()
	}
	m, err := netns.NewLinux(s.machine())
	if err != nil {
		return &report.Report{}, err
	}
	defer m.Close()
	o.Covered = m.Covered()
	if o.Devices, host.Devices, err = s.devices(host.KernelRelease); err != nil {
		return &report.Report{}, err
	}
	if s.screen != nil {
		o.Progress = s.screen.progress
	}
	return parent.Run(ctx, m, o)
}

func (s *session) machine() netns.LinuxConfig {
	return netns.LinuxConfig{
		Root: s.f.root, Entry: childEntry, DrainEntry: child.DrainEntry, Build: build(),
		UserNS: os.Geteuid() != 0, LogLevel: s.log.GetLevel().String(), Logger: s.log,
		Observe: s.f.observe.Kinds,
	}
}

func (s *session) ending(err, cause error) report.Ending {
	end := report.Ending{Strict: s.f.strict, AllowUntested: s.f.allowUntested.match}
	var sig signalled
	switch {
	case errors.As(cause, &sig): // also where all was done by then
		end.Err, end.Signal = sig, int(sig.Signal)
	case err != nil:
		end.Err = errors.New(withErrno(err))
		end.Usage = errors.As(err, new(parent.Unmatched))
	}
	return end
}

// publish writes the report and returns the exit status.
func (s *session) publish(r *report.Report, out output) int {
	if err := s.write(out, r); err != nil {
		_ = s.fail(err)
		s.ended(r)
		return r.Run.ExitStatus
	}
	s.ended(r)
	if s.screen != nil && !(s.onTerminal() && s.f.format == "text") {
		_, _ = fmt.Fprint(s.errs.file, render.Verdict(r, s.page(s.errs))) // the report itself is elsewhere
	}
	return r.Run.ExitStatus
}

// onTerminal tells that the report goes there.
func (s *session) onTerminal() bool { return s.out.is && s.f.output == "" }

// ended is the last event of a run.
func (s *session) ended(r *report.Report) {
	s.log.Info().Str("kernel", r.Host.KernelRelease).Int("exit_status", r.Run.ExitStatus).Str("exit_reason", r.Run.ExitReason).
		Bool("complete", r.Run.Complete).Int("leaks", len(r.Leaks)).Int64("duration_ms", r.Run.DurationMS).Msg("run ended")
}

// page is how a report is laid out for where it goes.
func (s *session) page(t terminal) render.Options {
	return render.Options{Width: t.width(), Color: t.color, Verbose: s.f.verbose, Quiet: s.f.quiet}
}

// fail is for errors because of which there is no report to print.
func (s *session) fail(err error) int {
	if s.screen != nil {
		s.screen.close()
	}
	s.complain(err)
	if sig := (signalled{}); errors.As(err, &sig) {
		return report.ExitSignal + int(sig.Signal)
	}
	return report.ExitUnverified
}

// complain says what went wrong, in the log's form.
func (s *session) complain(err error) {
	what := hint(err)
	if s.f.logging().json(s.errs.is) {
		s.log.Error().Str("error", withErrno(err)).Str("hint", what).Msg("could not verify")
		return
	}
	var w io.Writer = s.errs.file
	if s.slow != nil {
		w = s.slow // after what was logged
	}
	say(w, "%s: could not verify: %s\n", name, withErrno(err))
	if what != "" {
		say(w, "  %s\n", what)
	}
}

// hush ends the log.
func (s *session) hush() {
	if s.slow == nil {
		return
	}
	if missed, takes := s.slow.close(); missed > 0 && takes {
		log, _ := s.f.logging().logger(s.errs.file, s.errs, s.id)
		log.Warn().Int("lines", missed).Msg("lines of the log were dropped: its reader did not take them")
	}
}

// empty tells that a report holds nothing that a failed run has learnt.
func empty(r *report.Report) bool {
	return len(r.Keys)+len(r.Leaks)+len(r.Unconfirmed)+len(r.Run.NotRestored) == 0
}

// stderr is for what must not break the live line.
func (s *session) stderr() io.Writer {
	switch {
	case s.screen != nil:
		return s.screen
	case s.slow != nil:
		return s.slow
	}
	return s.errs.file
}
