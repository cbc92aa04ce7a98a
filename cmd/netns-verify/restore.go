package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// restoring is one `restore`.
type restoring struct {
	root                           string
	yes, dryRun, json, showSecrets bool
	stdout                         printer
	stderr                         *os.File
	path                           string
	wait                           time.Duration
	known                          *journal.Journal
	signal                         error // that came until it was over
	tried                          bool  // it is over
	said                           restored
}

// restored is what `restore --json` prints (docs/restore.md).
type restored struct {
	Journal string     `json:"journal"`
	PID     int        `json:"pid,omitempty"`
	Started *time.Time `json:"started,omitempty"`
	Error   string     `json:"error,omitempty"`
	Changes []change   `json:"changes"`
	// ExitStatus is the process's.
	ExitStatus int `json:"exit_status"`
}

// change is one difference between the host and the journal, with its values as
// people are shown them.
type change struct {
	Key    string `json:"key"`
	KeyB64 string `json:"key_b64,omitempty"` // where the bytes are not UTF-8
	Before string `json:"before"`
	After  string `json:"after"`
	State  string `json:"state"`
	Why    string `json:"why,omitempty"`

	had bool // After is what it had until the run put it back: it has Before
}

// The states of a change.
const (
	toRestore   = "to restore"
	toLookInto  = "to look into"
	isRestored  = "restored"
	notRestored = "not restored"
	leftAlone   = "left alone"
)

func restoreCommand(_ []string, stdout, stderr *os.File) *cobra.Command {
	r := &restoring{stdout: printer{to: stdout}, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Put back what a run that was killed has left on the host",
		Long: `Compare the host with the journal that a run leaves when both it and its guardian
are killed, and put back what the run's writes may have changed: a key that has a
value which was written to it in a namespace, or that a confirmed leak changes. For
what else has changed, the run's writes are made once more in a fresh namespace: what
comes with them is put back, too. Everything else is shown and left alone.

Without a journal there is nothing to do. One of another boot, of another network
namespace or of another --root is named, and nothing is touched.

Exit status: 0 nothing that is known to be the run's is left (or --dry-run), 2 usage or
not agreed to, 3 something could not be put back, or the journal is not for here,
130, 143, 129 ended by SIGINT, SIGTERM or SIGHUP: the journal stays.`,
		Example: `  netns-verify restore --dry-run    # show what is different
  netns-verify restore              # show it, ask, put it back
  netns-verify restore --yes --json # for scripts`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if r.root == "" {
				return errors.New("--root must not be empty")
			}
			r.root = sysctl.Canonical(r.root)
			if badWait(r.wait) {
				return errors.New(wrongWait)
			}
			return r.run()
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVarP(&r.yes, "yes", "y", false, "agree without being asked")
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "show the differences and change nothing")
	cmd.Flags().BoolVar(&r.json, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&r.showSecrets, "show-secrets", false, "show values of keys that not everybody may read")
	waitFlag(cmd, &r.wait)
	cmd.Flags().StringVar(&r.root, "root", sysctl.ProcRoot, "sysctl `DIR` that the run had")
	return cmd
}

// run returns a usage error, or how it ended.
func (r *restoring) run() error {
	r.path = journalPath()
	r.said = restored{Journal: r.path, Changes: []change{}}
	p, done, err := r.open()
	if errors.Is(err, errNoJournal) {
		says := "no run has left anything: there is no " + r.path
		if others := ofUsers(); len(others) > 0 {
			says += "; but runs of other users have, who can restore it: " + strings.Join(others, ", ")
		}
		return r.end(nil, says)
	}
	if err != nil {
		return r.end(err, "")
	}
	defer done()
	if !r.yes && len(p.Off)+len(p.Open) == 0 { // the run may have been killed a moment ago
		if err := p.LookLate(context.Background()); err != nil {
			return r.end(err, "")
		}
	}
	r.collect(p)
	if !r.json {
		r.show()
	}
	needed := len(p.Off)+len(p.Open) > 0
	switch {
	case r.dryRun:
		return r.end(nil, "dry run: nothing was changed")
	case needed && !r.yes:
		if err := r.ask(len(p.Off), len(p.Open)); err != nil {
			return err
		}
	}
	if needed || r.yes { // without anybody's word for it nothing is written
		err = r.putBack(p)
	}
	if err == nil {
		err = journal.Remove(r.path)
	} else {
		err = fmt.Errorf("%w; %s stays", err, r.path)
	}
	if err == nil && r.signal != nil {
		err = fmt.Errorf("%w, when all was done: nothing of that run is left", r.signal)
	}
	says := report.Plural(len(p.Restored), "key") + " put back; nothing that is known to be of that run is left on the host"
	if n := len(p.Open) + len(p.Left); n > 0 {
		says += "; left alone, although not as found: " + report.Plural(n, "other key")
	}
	return r.end(err, says)
}

// putBack puts the host back until a signal comes.
func (r *restoring) putBack(p *parent.PutBack) error {
	p.Record = func(l journal.Line) error { return journal.Append(r.path, l) }
	ctx, _, stop := untilSignal(context.Background(), zerolog.Nop(), "")
	defer stop()
	defer context.AfterFunc(ctx, func() {
		say(r.stderr, "%s: restore: stopping when the writes that are being made again are through\n", name)
	})()
	err := putBack(ctx, p)
	r.tried = true
	r.collect(p)
	stop()
	if sig := (signalled{}); errors.As(context.Cause(ctx), &sig) {
		r.signal = sig
	}
	return err
}

// putBack puts back all that is the run's. The error says what could not be.
func putBack(ctx context.Context, p *parent.PutBack) error {
	throughWriter, sure := os.Geteuid() != 0, true
	err := p.All(ctx, throughWriter)
	if err == nil && len(p.Open) > 0 && ctx.Err() == nil {
		sure, err = p.LookInto(ctx, throughWriter)
	}
	switch {
	case err != nil:
		return fmt.Errorf("put the host back: %w", err)
	case p.Unended() != nil:
		return p.Unended()
	case len(p.Off) > 0:
		return fmt.Errorf("%d of %s could not be put back: %s: %s", len(p.Off), report.Plural(len(p.Off)+len(p.Restored), "key"), p.Off[0].Key.Shown(), p.Why(p.Off[0]))
	case ctx.Err() != nil && len(p.Open) > 0:
		return fmt.Errorf("put the host back: stopped before it was known who made %s: %w", report.Plural(len(p.Open), "change"), context.Cause(ctx))
	case !sure && len(p.Open) > 0:
		return fmt.Errorf("others are writing sysctls now, so that nobody can tell who changed %s (%s): try again when they do not",
			report.Plural(len(p.Open), "key"), p.Open[0].Key.Shown())
	}
	return nil
}

var errNoJournal = errors.New("there is no journal")

// open takes the machine's lock, reads the journal and looks at the host.
func (r *restoring) open() (p *parent.PutBack, done func(), err error) {
	lock, err := lock.Await(context.Background(), r.wait, func(text string) { // signals end that at once
		_, _ = fmt.Fprintf(r.stderr, "%s: restore: %s\n", name, text)
	})
	if err != nil {
		return nil, nil, err
	}
	unlock := func() { _ = lock.Close() }
	r.known, err = journal.Read(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errNoJournal
	case err == nil:
		r.said.PID, r.said.Started = r.known.Header.PID, &r.known.Header.Started
		var here journal.Place
		if here, err = journal.Here(r.root); err == nil {
			err = r.known.Header.Check(here)
		}
		if err != nil {
			err = fmt.Errorf("%s is not for here: %w", r.path, err)
		}
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	p, end, err := openPutBack(netns.LinuxConfig{
		Root: r.root, Entry: childEntry, DrainEntry: child.DrainEntry, Build: build(), UserNS: os.Geteuid() != 0, LogLevel: "error", Logger: zerolog.Nop(),
	}, r.known)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return p, func() { end(); unlock() }, nil
}

// openPutBack compares the host with a journal.
func openPutBack(cfg netns.LinuxConfig, j *journal.Journal) (*parent.PutBack, func(), error) {
	m, err := netns.NewLinux(cfg)
	if err != nil {
		return nil, nil, err
	}
	p, err := parent.NewPutBack(m, j, parent.Options{Logger: zerolog.Nop()})
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return p, func() { p.Close(); m.Close() }, nil
}

// collect is what there is to say of the host by now.
func (r *restoring) collect(p *parent.PutBack) {
	r.said.Changes = []change{}
	add := func(some []sysctl.Change, state string, why func(sysctl.Change) string) {
		for _, c := range some {
			had := p.Overwritten(c) || slices.Contains(p.Unsure, c)
			key, b64 := report.ShowKey(string(c.Key))
			r.said.Changes = append(r.said.Changes, change{key, base64.StdEncoding.EncodeToString(b64), r.value(c.Key, c.Before), r.value(c.Key, c.After), state, why(c), had})
		}
	}
	ours := func(sysctl.Change) string { return "" }
	add(p.Restored, isRestored, ours)
	if r.tried {
		add(p.Off, notRestored, p.Why)
		add(p.Open, leftAlone, func(sysctl.Change) string { return "no write of the run explains it" })
	} else {
		add(p.Off, toRestore, ours)
		add(p.Open, toLookInto, func(c sysctl.Change) string {
			if p.Overwritten(c) {
				return "the run has put it back, to see whether its writes had changed it"
			}
			return "the run may have changed it"
		})
	}
	add(p.Unsure, leftAlone, func(sysctl.Change) string {
		return "the run had put it back, as a value of its own: a journal does not tell whether somebody else had set that, too"
	})
	add(p.Left, leftAlone, func(sysctl.Change) string { return "it came or went, or cannot be written" })
}

func (r *restoring) value(k sysctl.Key, st sysctl.State) string {
	switch {
	case st == sysctl.Absent:
		return report.Shown{}.String()
	case !st.OK():
		return report.Shown{Errno: unix.ErrnoName(st.Errno)}.String()
	case !r.showSecrets && (r.known.Secret(k) || r.known.Hides(st.Value)):
		return "<secret>"
	}
	return report.Show(st.Value).String()
}

// show lists the differences for people.
func (r *restoring) show() {
	say(&r.stdout, "%s: a run that was killed (pid %d, started %s)\n", r.path, r.said.PID, r.said.Started.Format("2006-01-02 15:04:05"))
	for _, c := range r.said.Changes {
		b64, _ := base64.StdEncoding.DecodeString(c.KeyB64) // it was encoded here
		key := sysctl.Key(report.Whole(c.Key, b64)).Shown()
		line := fmt.Sprintf("  %-12s  %s: %s, was %s", c.State, key, c.After, c.Before)
		if c.had {
			line = fmt.Sprintf("  %-12s  %s: had %s, has %s again", c.State, key, c.After, c.Before)
		}
		if c.Why != "" {
			line += ": " + c.Why
		}
		say(&r.stdout, "%s\n", line)
	}
}

// ask asks whoever is there; without anybody, that is a wrong command line.
func (r *restoring) ask(off, open int) error {
	what := "put back " + report.Plural(off, "key") + " of this host"
	if open > 0 {
		what += ", and see who changed " + report.Plural(open, "other key") + ", by making the run's writes once more in a fresh namespace"
	}
	if !isTerminal(os.Stdin) || !isTerminal(r.stderr) {
		return fmt.Errorf("restore would %s; to agree, add --yes", what)
	}
	say(r.stderr, "Shall it %s? [y/N] ", what)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("restore was not agreed to: nothing was written")
}

// end says how it went, and gives the exit status.
func (r *restoring) end(err error, says string) error {
	r.result(err, says)
	if r.stdout.err != nil {
		err = r.unprinted(err, says)
	}
	if err == nil {
		return ended{report.ExitClean}
	}
	say(r.stderr, "%s: restore: %s\n", name, withErrno(err))
	if h := hint(err); h != "" {
		say(r.stderr, "%s\n", h)
	}
	return ended{max(r.said.ExitStatus, report.ExitUnverified)}
}

// result prints how it went.
func (r *restoring) result(err error, says string) {
	if err != nil {
		r.said.ExitStatus, r.said.Error = report.ExitUnverified, withErrno(err)
		if sig := (signalled{}); errors.As(err, &sig) {
			r.said.ExitStatus = report.ExitSignal + int(sig.Signal)
		}
	}
	if r.json {
		e := json.NewEncoder(escaped{&r.stdout})
		e.SetIndent("", "  ")
		_ = e.Encode(r.said) // r.stdout remembers what goes wrong
	} else if err == nil {
		say(&r.stdout, "%s\n", says)
	}
}

// unprinted keeps what could not be printed, and is the error of that.
func (r *restoring) unprinted(err error, says string) error {
	failed, format := fmt.Errorf("write the result: %w", r.stdout.err), "text"
	if err == nil {
		err = fmt.Errorf("%s, but: %w", says, failed)
	} else {
		err = fmt.Errorf("%w; and %w", err, failed)
	}
	if r.json {
		r.stdout.all.Reset()
		r.result(err, says)
		format = "json"
	}
	kept, lost := keep(r.stdout.all.Bytes(), format)
	return unwritten{err, kept, lost}
}
