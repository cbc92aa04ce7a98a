package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// guard is the guardian's main. Its arguments are the log's format and least level,
// and the run's id.
func guard(args []string) (status int) {
	if len(args) != 3 {
		_, _ = fmt.Fprintf(os.Stderr, "%s is started by netns-verify itself, with a log's format, a level and a run's id\n", parent.GuardianEntry)
		return report.ExitUsage
	}
	slow := newPatient(os.Stderr)
	defer slow.close()
	log, err := logging{format: args[0], least: args[1]}.logger(slow, terminalOf(os.Stderr), args[2])
	if err != nil {
		return report.ExitUsage
	}
	if err := parent.GuardianMain(log); err != nil {
		return report.ExitUnverified // it has said so
	}
	return report.ExitClean
}

// journalPath is where the journal is; tests put it elsewhere.
var journalPath = journal.Path

// startGuardian starts the process that puts the host back if this one is killed.
func (s *session) startGuardian(ctx context.Context) (*parent.Guardian, error) {
	cfg := parent.GuardianConfig{
		Entry: parent.GuardianEntry, Args: []string{s.f.logFormat, s.f.logLevel, s.id}, Tool: tool().Version,
		Journal: journalPath(), Lock: s.lock, Stderr: s.errs.file, Machine: s.machine(), Asked: ctx,
	}
	if s.f.noJournal {
		s.log.Warn().Msg("no journal is kept (--no-journal): if this run and its guardian are both killed, nobody knows what to put back")
		cfg.Journal = ""
	}
	return parent.StartGuardian(cfg)
}

// ofUsers is the journals that root should know of.
func ofUsers() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	return journal.OfUsers()
}

// leftOver is the error of a journal that a run which was killed has left.
type leftOver struct {
	path string
	j    *journal.Journal
	err  error // why it is not for here
}

func (e leftOver) Error() string {
	h := &e.j.Header
	s := fmt.Sprintf("a run that was killed (pid %d, started %s) has left %s: the host may not be as it was", h.PID, h.Started.Format("2006-01-02 15:04:05"), e.path)
	if e.err != nil {
		s += "; " + e.err.Error()
	}
	return s
}

// leftOver sees to it that what an earlier run may have left on the host is put
// back before it is taken for how the host was found.
func (s *session) leftOver(ctx context.Context) error {
	path := journalPath()
	j, err := journal.Read(path)
	if others := ofUsers(); len(others) > 0 {
		s.log.Warn().Strs("journals", others).Msg("runs of other users were killed: the host may not be as it was, and they can restore it")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	here, err := journal.Here(s.f.root)
	if err != nil {
		return err
	}
	switch err := j.Header.Check(here); {
	case errors.Is(err, journal.ErrOtherBoot):
		s.log.Warn().Str("journal", path).Msg("removed the journal of a run that was killed: " + err.Error())
		return journal.Remove(path)
	case err != nil:
		return leftOver{path, j, err}
	case !s.f.restoreFirst:
		return leftOver{path, j, nil}
	}
	return restoreFirst(ctx, s.machine(), path, j, s.log)
}

// restoreFirst is `restore --yes` before a run.
func restoreFirst(ctx context.Context, cfg netns.LinuxConfig, path string, j *journal.Journal, log zerolog.Logger) error {
	p, done, err := openPutBack(cfg, j)
	if err != nil {
		return err
	}
	defer done()
	p.Record = func(l journal.Line) error { return journal.Append(path, l) }
	err = putBack(ctx, p)
	left := p.LeftKeys()
	log.Warn().Str("journal", path).Int("restored", len(p.Restored)).Int("left", len(left)).Strs("left_keys", left[:min(len(left), parent.MostNamed)]).Int("not_restored", len(p.Off)).
		Msg("put back what a run that was killed had left")
	if err != nil {
		return fmt.Errorf("%w; %s stays", err, path)
	}
	return journal.Remove(path)
}
