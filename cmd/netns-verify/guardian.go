package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/restore"
)

// guard is the guardian's main. Its arguments are the log's format and least level, the
// run's id, its sysctl directory, and the journal's path, empty where it has none.
func guard(args []string) (status int) {
	if len(args) != 5 {
		_, _ = fmt.Fprintf(os.Stderr, "%s is started by netns-verify itself\n", restore.GuardianEntry)
		return report.ExitUsage
	}
	slow := newPatient(os.Stderr)
	defer slow.close()
	log, err := logging{format: args[0], least: args[1]}.logger(slow, terminalOf(os.Stderr), args[2])
	if err != nil {
		return report.ExitUsage
	}
	if err := restore.GuardianMain(log, args[4], restorer(args[3])); err != nil {
		return report.ExitUnverified // it has said so
	}
	return report.ExitClean
}

// restorer is how whoever puts a host back starts children: what they have to say is of no use.
func restorer(root string) netns.LinuxConfig {
	return netns.LinuxConfig{
		Root: root, Entry: childEntry, DrainEntry: child.DrainEntry, Build: build(), UserNS: os.Geteuid() != 0, LogLevel: "disabled", Logger: zerolog.Nop(),
	}
}

// journalPath is where the journal is; tests put it elsewhere.
var journalPath = record.Path

// onRecord has the run keep a record, and starts the process that puts the host back from it
// if this one is killed. done ends that.
func (s *session) onRecord(o *parent.Options) (done func(), err error) {
	cfg := record.Config{Path: journalPath(), Tool: tool().Version}
	if s.f.noJournal {
		s.log.Warn().Msg("no journal is kept (--no-journal): if this run and its guardian are both killed, nobody knows what to put back")
		cfg.Path = ""
		if cfg.File, err = record.Unlinked(); err != nil {
			return nil, err
		}
	}
	if cfg.Place, err = record.Here(s.f.root); err == nil {
		cfg.Devices, err = record.Devices()
	}
	if err != nil {
		return nil, err
	}
	g, err := restore.StartGuardian([]string{s.f.logFormat, s.f.logLevel, s.id, cfg.Place.Root, cfg.Path}, s.lock, cfg.File, s.errs.file)
	if err != nil {
		return nil, err
	}
	cfg.Alive = g.Alive
	w := record.NewWriter(cfg)
	o.Record = w
	return func() { g.Close(w.Ended()) }, nil
}

// ofUsers is the journals that root should know of.
func ofUsers() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	return record.OfUsers()
}

// leftOver is the error of a journal that a run which was killed has left.
type leftOver struct {
	path string
	rec  *record.Record
	err  error // why it is not for here
}

func (e leftOver) Error() string {
	h := &e.rec.Header
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
	rec, err := record.Read(path)
	if others := ofUsers(); len(others) > 0 {
		s.log.Warn().Strs("journals", others).Msg("runs of other users were killed: the host may not be as it was, and they can restore it")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	here, err := record.Here(s.f.root)
	if err != nil {
		return err
	}
	switch err := rec.Header.Check(here); {
	case errors.Is(err, record.ErrOtherBoot):
		s.log.Warn().Str("journal", path).Msg("removed the journal of a run that was killed: " + err.Error())
		return record.Remove(path)
	case err != nil:
		return leftOver{path, rec, err}
	case !s.f.restoreFirst:
		return leftOver{path, rec, nil}
	}
	return restoreFirst(ctx, s.f.root, path, rec, s.log)
}

// restoreFirst is `restore --yes` before a run.
func restoreFirst(ctx context.Context, root, path string, rec *record.Record, log zerolog.Logger) error {
	h, done, err := openHost(root, rec)
	if err != nil {
		return err
	}
	defer done()
	err = putBack(ctx, h)
	log.Warn().Str("journal", path).Func(h.Log).Msg("put back what a run that was killed had left")
	if err != nil {
		return fmt.Errorf("%w; %s stays", err, path)
	}
	return record.Remove(path)
}
