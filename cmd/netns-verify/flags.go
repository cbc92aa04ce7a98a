package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netns-verify/netns-verify/internal/keyfile"
	"github.com/netns-verify/netns-verify/internal/report/render"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// runFlags is what can be said to `run`, and to `vm` of the runs inside.
type runFlags struct {
	json, verbose, quiet bool
	format, output       string
	seed                 uint64
	batchSize            int
	include, exclude     globs
	keysFrom             string
	lines                keyfile.Lines
	dryRun, allowOneWay  bool
	userns               bool
	writers              writers
	strict               bool
	allowUntested        globs
	settle, deadline     time.Duration
	root                 string
	logFormat, logLevel  string
	thorough             bool
	given                func(flag string) bool
	observe              observed
	devices              deviceKinds
	descriptors          bool

	writeHost, yes bool
	wait           time.Duration // for the machine's lock

	noJournal, restoreFirst, showSecrets, redact bool
}

// register adds the flags that all kinds of runs have.
func (f *runFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.given = fs.Changed
	fs.SortFlags = false
	fs.BoolVar(&f.json, "json", false, "short for --format json")
	fs.StringVar(&f.format, "format", "text", "format of the report: "+strings.Join(render.Names(), ", "))
	fs.StringVar(&f.output, "output", "", "write the report to `FILE`, whole or not at all, instead of stdout")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "list every key and every attempt")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "show only leaks and the verdict")

	fs.Var(&f.include, "include", "write only keys that match `GLOB`, such as net/ipv4/** (repeatable)")
	fs.Var(&f.exclude, "exclude", "do not write keys that match `GLOB` (repeatable)")
	fs.StringVar(&f.keysFrom, "keys-from", "", "ask about the keys in `FILE`, in the form of sysctl.d(5) or a list of keys, and try its values first; - is stdin")
	fs.Var(&f.writers, "writers", "who writes, one after another: root, userns (an ordinary user in a user namespace), or both (default root; userns without root, or as root of a user namespace; vm: both)")
	fs.BoolVar(&f.userns, "userns", false, "short for --writers userns")
	fs.Uint64Var(&f.seed, "seed", 0, "repeat the orders of the run that printed this seed (0: draw one)")
	fs.IntVar(&f.batchSize, "batch-size", parent.DefaultBatchSize, "keys written between two looks at the observers")
	fs.DurationVar(&f.settle, "settle", parent.DefaultSettle, "how long to wait for delayed effects (with --thorough: default 1s)")
	fs.DurationVar(&f.deadline, "deadline", parent.DefaultDeadline, "longest silence of a child; longer where the machine is slow")
	fs.BoolVar(&f.thorough, "thorough", false, "try every kind of value, more orders, and wait for what comes late")
	fs.BoolVar(&f.dryRun, "dry-run", false, "stop after the plan, print it and write nothing")
	fs.BoolVar(&f.allowOneWay, "allow-one-way", false, "also write keys that cannot be put back until reboot")
	fs.BoolVar(&f.descriptors, "descriptors", false, "also read and write, from here, through descriptors that the writer opened")

	fs.Var(&f.observe, "observe", "what to watch on the host: net, sys (all other sysctls), proc (tables of /proc/net), modules (the kernel's), all")

	fs.BoolVar(&f.strict, "strict", false, "fail (exit status 3) where anything is left unproven")
	fs.Var(&f.allowUntested, "allow-untested", "with --strict, accept untested keys that match `GLOB` (repeatable)")

	fs.StringVar(&f.logFormat, "log-format", "auto", "format of the log on stderr: auto (console on a terminal), json, console")
	fs.StringVar(&f.logLevel, "log-level", "", "least `LEVEL` to log: trace, debug, info, warn, error (default info, on a terminal warn)")

	fs.Var(&f.devices, "devices", "network devices that fresh namespaces get: auto (the host's by name, and dummy and veth; with --thorough every kind), all, none, or kinds such as veth,bridge")

	fs.BoolVar(&f.showSecrets, "show-secrets", false, "show values of keys that not everybody may read, in report and log")

	fs.BoolVar(&f.redact, "redact", false, "leave out of the report what identifies the machine: command line, boot id, names, paths, pids")

}

// check finds what is wrong with the flags taken together, and fills in what
// depends on others.
func (f *runFlags) check() error {
	for _, pair := range [][2]string{{"json", "format"}, {"writers", "userns"}, {"verbose", "quiet"}, {"redact", "show-secrets"}} {
		if f.given(pair[0]) && f.given(pair[1]) {
			return fmt.Errorf("--%s and --%s cannot be used together", pair[0], pair[1])
		}
	}
	if f.json {
		f.format = "json"
	}
	if f.userns {
		f.writers = writers{trace.WriterUserNS}
	}
	for _, wrong := range []struct {
		when bool
		text string
	}{
		{f.batchSize < 1 || f.batchSize > 1_000_000, "--batch-size must be 1 to 1000000"},
		{f.settle < time.Millisecond || f.settle > record.MaxSettle, "--settle must be 1ms to 1h, such as 300ms"},
		{f.deadline < time.Millisecond || f.deadline > time.Hour, "--deadline must be 1ms to 1h, such as 30s"},
		{badWait(f.wait), wrongWait},
		{len(f.allowUntested) > 0 && !f.strict, "--allow-untested means nothing without --strict"},
	} {
		if wrong.when {
			return errors.New(wrong.text)
		}
	}
	if err := f.readKeys(); err != nil {
		return fmt.Errorf("--keys-from: %w", err)
	}
	if _, err := render.Find(f.format); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	if _, err := f.logging().level(false); err != nil {
		return err
	}
	if f.thorough && !f.given("settle") {
		f.settle = parent.ThoroughSettle
	}
	for f.seed == 0 {
		f.seed = uint64(rand.Uint32()) // short to type, exact in every reader of JSON
	}
	return nil
}

// waitFlag is for commands that take the machine's lock.
func waitFlag(cmd *cobra.Command, d *time.Duration) {
	cmd.Flags().DurationVar(d, "wait", 0, "how long to wait for another run on this machine to end")
}

func badWait(d time.Duration) bool { return d < 0 || d > 24*time.Hour }

const wrongWait = "--wait must be 0s to 24h, such as 10m"

func (f *runFlags) logging() logging { return logging{format: f.logFormat, least: f.logLevel} }

func (f *runFlags) options() parent.Options {
	return parent.Options{
		Seed: f.seed, BatchSize: f.batchSize, Include: f.include, Exclude: f.exclude, Lines: f.lines, AllowUntested: f.allowUntested,
		Writers: f.writers, AllowOneWay: f.allowOneWay, DryRun: f.dryRun, Settle: f.settle, Deadline: f.deadline,
		Thorough:    f.thorough,
		Descriptors: f.descriptors,

		WriteHost: f.writeHost, ShowSecrets: f.showSecrets,
	}
}

// readKeys reads the file of --keys-from.
func (f *runFlags) readKeys() (err error) {
	if !f.given("keys-from") {
		return nil
	}
	in, file := os.Stdin, "stdin"
	if f.keysFrom != "-" {
		file = f.keysFrom
		if in, err = os.Open(f.keysFrom); err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // it was only read
	}
	if f.lines, err = keyfile.Parse(in); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(f.lines) == 0 {
		return fmt.Errorf("%s: no line names a key", file)
	}
	return nil
}

// writers is a list of who writes (pflag.Value). An ordinary user comes first:
// what root latches nobody can show any more.
type writers []trace.Writer

func (w *writers) Set(s string) error {
	for _, name := range strings.Split(s, ",") {
		switch p := trace.Writer(name); {
		case p != trace.WriterRoot && p != trace.WriterUserNS:
			return fmt.Errorf("%q is neither root nor userns", name)
		case slices.Contains(*w, p):
			return fmt.Errorf("%s is named twice", name)
		default:
			*w = append(*w, p)
		}
	}
	slices.SortFunc(*w, func(a, b trace.Writer) int { return -strings.Compare(string(a), string(b)) })
	return nil
}

func (w *writers) String() string { return "" }
func (w *writers) Type() string   { return "LIST" }

// globs is a repeatable flag (pflag.Value).
type globs []sysctl.Glob

func (g *globs) Set(s string) error {
	glob, err := sysctl.ParseGlob(s)
	if err == nil {
		*g = append(*g, glob)
	}
	return err
}

func (g *globs) String() string { return "" }
func (g *globs) Type() string   { return "GLOB" }

func (g globs) match(key string) bool {
	for _, glob := range g {
		if glob.Match(sysctl.Key(key)) {
			return true
		}
	}
	return false
}
