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
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/restore"
)

// restoring is one `restore`.
type restoring struct {
	root                                string
	yes, all, dryRun, json, showSecrets bool
	stdout                              printer
	stderr                              *os.File
	path                                string
	wait                                time.Duration
	known                               *record.Record
	signal                              error // that came until it was over
	tried                               bool  // it is over
	said                                restored
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

	had bool // the run itself had put it back: it has Before
}

// The states of a change.
const (
	toRestore   = "to restore"
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
are killed, and put back what the run's writes explain: a key that has a value which
was written to it in a namespace, or that a leak changes. What nothing explains is put
back, too, if nobody else writes sysctls; but later than a minute after the run it is
only shown, unless --all or you say otherwise. Everything is shown with both values.

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
	cmd.Flags().BoolVar(&r.all, "all", false, "put back what nothing explains, too, however long the run is over")
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
	h, done, err := r.open()
	if errors.Is(err, errNoJournal) {
		says := "no run has left anything: there is no " + r.path
		if others := ofUsers(); len(others) > 0 {
			says += "; but runs of other users have, who can restore it: " + strings.Join(others, ", ")
		}
		return r.end(nil, says)
	}
	if err == nil {
		defer done()
		if r.all {
			err = h.All()
		}
	}
	if err == nil && !r.yes && len(h.Off) == 0 { // the run may have been killed a moment ago
		err = h.Look(context.Background(), nil)
	}
	if err != nil {
		return r.end(err, "")
	}
	r.collect(h)
	if !r.json {
		r.show()
	}
	if r.dryRun {
		return r.end(nil, "dry run: nothing was changed")
	}
	if err := r.agree(h); err != nil {
		return err
	}
	if len(h.Off) > 0 || r.yes { // without anybody's word for it nothing is written
		err = r.putBack(h)
	}
	if err == nil {
		err = record.Remove(r.path)
	} else {
		err = fmt.Errorf("%w; %s stays", err, r.path)
	}
	if err == nil && r.signal != nil {
		err = fmt.Errorf("%w, when all was done: nothing of that run is left", r.signal)
	}
	put, _ := h.Done()
	says := report.Plural(len(put), "key") + " put back; nothing that is known to be of that run is left on the host"
	if n := len(h.Off); n > 0 {
		says += ", but for " + report.Plural(n, "key") + " that the kernel does not take back before a reboot"
	}
	if n := len(h.Left); n > 0 {
		says += "; left alone, although not as found: " + report.Plural(n, "other key")
	}
	return r.end(err, says)
}

// agree asks for what --yes or --all have not agreed to.
func (r *restoring) agree(h *restore.Host) error {
	stale := h.Stale()
	switch {
	case r.yes || len(h.Off) == 0 && !stale:
		return nil
	case !isTerminal(os.Stdin) || !isTerminal(r.stderr):
		how := "; to agree, add --yes"
		if stale {
			how += ", and --all for keys that nothing explains"
		}
		return fmt.Errorf("restore would put back %s of this host%s", report.Plural(len(h.Off), "key"), how)
	}
	if n := len(h.Off); n > 0 && !r.ask("put back "+report.Plural(n, "key")+" of this host") {
		return errors.New("restore was not agreed to: nothing was written")
	}
	if stale && r.ask("put back the other keys, too, which no write of the run explains, and which somebody may have changed since") {
		return h.All()
	}
	return nil
}

// putBack puts the host back until a signal comes.
func (r *restoring) putBack(h *restore.Host) error {
	ctx, _, stop := untilSignal(context.Background(), zerolog.Nop(), "")
	defer stop()
	err := putBack(ctx, h)
	r.tried = true
	r.collect(h)
	stop()
	if sig := (signalled{}); errors.As(context.Cause(ctx), &sig) {
		r.signal = sig
	}
	return err
}

// putBack puts back all that is the run's. The error says what could not be.
func putBack(ctx context.Context, h *restore.Host) error {
	err := h.Put(ctx, nil)
	switch {
	case err != nil:
		return fmt.Errorf("put the host back: %w", err)
	case h.Unended() != nil:
		return h.Unended()
	case h.Holds():
		done, _ := h.Done()
		return fmt.Errorf("%d of %s could not be put back: %s: %s", len(h.Off), report.Plural(len(h.Off)+len(done), "key"), h.Off[0].Key.Shown(), h.Why(h.Off[0]))
	}
	return nil
}

var errNoJournal = errors.New("there is no journal")

// open takes the machine's lock, reads the journal and looks at the host.
func (r *restoring) open() (h *restore.Host, done func(), err error) {
	lock, err := lock.Await(context.Background(), r.wait, func(text string) { // signals end that at once
		_, _ = fmt.Fprintf(r.stderr, "%s: restore: %s\n", name, text)
	})
	if err != nil {
		return nil, nil, err
	}
	unlock := func() { _ = lock.Close() }
	r.known, err = record.Read(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errNoJournal
	case err == nil:
		r.said.PID, r.said.Started = r.known.Header.PID, &r.known.Header.Started
		var here record.Place
		if here, err = record.Here(r.root); err == nil {
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
	h, end, err := openHost(r.root, r.known)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return h, func() { end(); unlock() }, nil
}

// openHost compares the host with a record.
func openHost(root string, rec *record.Record) (*restore.Host, func(), error) {
	devices, err := record.Devices()
	if err != nil {
		return nil, nil, err
	}
	m, err := netns.NewLinux(restorer(root))
	if err != nil {
		return nil, nil, err
	}
	h, err := restore.Open(m, rec, devices)
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return h, func() { h.Close(); m.Close() }, nil
}

// collect is what there is to say of the host by now.
func (r *restoring) collect(h *restore.Host) {
	r.said.Changes = []change{}
	add := func(some []record.Change, state string, had bool, why func(record.Change) string) {
		for _, c := range some {
			key, b64 := report.ShowKey(string(c.Key))
			r.said.Changes = append(r.said.Changes, change{key, base64.StdEncoding.EncodeToString(b64), r.value(c.Key, c.Before), r.value(c.Key, c.After), state, why(c), had})
		}
	}
	given := func(c record.Change) string { return c.Why }
	done, loans := h.Done()
	add(done, isRestored, false, func(record.Change) string { return "" })
	add(loans, isRestored, true, func(record.Change) string {
		return "the run itself had put it back, and did not know yet who had changed it"
	})
	if r.tried {
		add(h.Off, notRestored, false, h.Why)
	} else {
		add(h.Off, toRestore, false, func(c record.Change) string {
			if !c.Explained {
				return "no write of the run explains it, but nobody else writes sysctls"
			}
			return ""
		})
	}
	add(h.Left, leftAlone, false, given)
}

func (r *restoring) value(k sysctl.Key, st sysctl.State) string {
	return restore.Show(r.known, k, st, r.showSecrets)
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

// ask asks whoever is there.
func (r *restoring) ask(what string) bool {
	say(r.stderr, "Shall it %s? [y/N] ", what)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
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
