package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// someKeys is how many keys are named where not all are.
const someKeys = 5

// agreed makes sure that somebody wants the host's keys to be written. What is
// wrong is wrong with the command line.
func (f *runFlags) agreed(stdin io.Reader, stderr *os.File) error {
	if f.restoreFirst && f.dryRun {
		return errors.New("--restore-first means nothing with --dry-run, which writes nothing")
	}
	if f.yes && !f.writeHost {
		return errors.New("--yes means nothing without --write-host")
	}
	if !f.writeHost || f.dryRun {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("--write-host needs root: nobody else may write the host's keys")
	}
	proc := sysctl.NewProc(f.root)
	reader := proc.Keep()
	host, err := sysctl.Survey(proc, reader)
	_ = reader.Close() // it only reads
	switch {
	case err != nil && f.yes:
		return nil // the run says what is wrong with the directory
	case err != nil:
		return fmt.Errorf("--write-host: %w", err)
	}
	keys := f.options().WritableOnHost(host)
	denied := func(k sysctl.Key) bool { // root of a user namespace may be nobody to the host
		err := unix.Access(filepath.Join(f.root, string(k)), unix.W_OK)
		return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
	}
	switch {
	case len(keys) > 0 && denied(keys[0]):
		return fmt.Errorf("--write-host needs root: this process (%s) may not write the host's keys", hostinfo.Who("/"))
	case f.yes:
		return nil
	}
	return f.ask(keys, isTerminal(stdin) && isTerminal(stderr), stdin, stderr)
}

// ask says what is going to be written, and asks whoever is there.
func (f *runFlags) ask(keys []sysctl.Key, anybody bool, in io.Reader, out io.Writer) error {
	what := fmt.Sprintf("--write-host writes up to %s of this host, with values far from their own, and puts them back: %s", report.Plural(len(keys), "key"), f.named(keys))
	if !anybody {
		return fmt.Errorf("%s; to agree, add --yes", what)
	}
	say(out, "%s\nGo on? [y/N] ", what)
	answer, _ := bufio.NewReader(in).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("--write-host was not agreed to: nothing was written")
}

// named is the first few keys, or all.
func (f *runFlags) named(keys []sysctl.Key) string {
	var names []string
	for _, k := range keys {
		if len(names) == someKeys && !f.verbose {
			names = append(names, "... (--verbose names all)")
			break
		}
		names = append(names, k.Shown())
	}
	if f.verbose {
		return "\n  " + strings.Join(names, "\n  ")
	}
	return strings.Join(names, ", ")
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
