package main

import (
	"encoding/json"

	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/internal/guestlink"
	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent"
)

// phaseBoot is before a guest's first word; its other phases are its own.
const phaseBoot parent.Phase = "boot"

// phaseReboots is after a run, when what cannot be undone is proved.
const phaseReboots = "reboots"

// What is kept of a guest's messages, in case it does not stop: of each kind so many,
// and in all so many bytes of JSON.
const (
	maxWitnessed      = 10_000
	maxWitnessedBytes = 32 << 20
)

// witness hears what a guest says: it shows how it gets on, and remembers what
// there is to report if the guest does not live to do so itself.
type witness struct {
	*vmSession
	kernel *kernel.Kernel
	quiet  bool // nothing of it is shown: there are others at the same time

	phase   parent.Phase
	host    report.Host
	modules []report.Module
	said    []report.KernelMessage
	leaks   []report.Leak
	bytes   int // of these lists
	writing *guestlink.Writing
	begun   bool // the run did more than look
}

func (w *witness) booting() {
	w.progress(parent.Progress{Phase: phaseBoot, Doing: w.kernel.Name + ": waiting for its first word"})
}

// hear takes one message.
func (w *witness) hear(m guestlink.Message) {
	switch {
	case m.Hello != nil:
		w.log.Info().Str("kernel", w.kernel.Name).Msg("guest is up")
	case m.Final != nil:
		w.log.Info().Str("kernel", w.kernel.Name).Msg("guest is done")
	case m.Host != nil:
		w.host = *m.Host
	case m.Progress != nil:
		p := m.Progress
		w.begun = w.begun || p.Phase != guest.PhaseModules && p.Phase != string(parent.PhaseSurvey)
		w.progress(parent.Progress{Phase: parent.Phase(p.Phase), Done: p.Done, Total: p.Total, Doing: p.Doing, Leaks: p.Leaks})
	case m.Writing != nil:
		w.writing = m.Writing
	case m.Log != nil:
		w.pass(m.Log.Line)
	case m.Module != nil:
		remember(w, &w.modules, *m.Module)
	case m.Kernel != nil:
		remember(w, &w.said, *m.Kernel)
	case m.Leak != nil:
		remember(w, &w.leaks, *m.Leak)
	}
}

func remember[T any](w *witness, list *[]T, v T) {
	b, err := json.Marshal(v)
	if err != nil || len(*list) == maxWitnessed || w.bytes+len(b) > maxWitnessedBytes {
		return
	}
	w.bytes += len(b)
	*list = append(*list, v)
}

func (w *witness) progress(p parent.Progress) {
	if p.Phase != w.phase {
		w.writing = nil // nothing of it is under way any more
	}
	w.phase = p.Phase
	if w.screen != nil && w.f.jobs == 1 && !w.quiet {
		w.screen.progress(p)
	}
}

// progressOf is a stage that has no steps.
func progressOf(doing string) parent.Progress {
	return parent.Progress{Phase: phaseReboots, Doing: doing}
}

// pass gives a line of the guest's log the form of ours.
func (w *witness) pass(line []byte) {
	to := w.f.logging().form(w.stderr(), w.errs)
	_, _ = to.Write(append(line, '\n')) // as a logger would
}

// partial is a report of all that was said until now.
func (w *witness) partial() *report.Report {
	o := w.f.options()
	r := &report.Report{
		Host: w.host, Leaks: w.leaks, KernelMessages: w.said,
		Run: report.Run{Seed: o.Seed, DryRun: o.DryRun, SettleMS: o.Settle.Milliseconds(), Phase: string(w.phase), Observe: w.f.observe.Names()},
	}
	r.Host.Modules = w.modules
	if r.Host.KernelRelease == "" {
		r.Host.KernelRelease, r.Host.KernelVersion, r.Host.Machine = w.kernel.Release, w.kernel.Version, "x86_64"
	}
	if w.writing != nil {
		for _, k := range w.writing.Keys {
			r.Run.Writing = append(r.Run.Writing, string(k))
		}
	}
	return r
}
