package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/storm/order"
	"github.com/netns-verify/netns-verify/parent/record"
	putback "github.com/netns-verify/netns-verify/parent/restore"
)

const (
	reportFile = "/tmp/report"
	logFile    = "/tmp/log"
	// nobodysJournal is where record.Path finds it as that user.
	nobodysJournal = "/tmp/netns-verify-65534/journal"
)

// storm is one run after another.
type storm struct {
	host    *host
	rng     *rand.Rand
	args    []string
	longest map[string]int64 // what a run takes without a fault, by what it writes, in ms
}

// round does one run, hits it at some moment, and looks at what is left.
func (s *storm) round(kind order.Kind, row order.Row) order.Round {
	r := order.Round{Kind: kind, Seed: uint64(s.rng.Uint32()) + 1, Keys: row.Keys, WriteHost: slices.Contains(row.Arguments, writeHost)}
	if longest := s.longest[name(row)]; longest > 0 {
		r.AfterMS = s.rng.Int64N(longest)
	}
	began := time.Now()
	args := []string{"run", "--json", "--log-format", "json", "--log-level", "debug", "--seed", strconv.FormatUint(r.Seed, 10), "--include", "net/leaky/" + row.Keys}
	p, err := start(row.Nobody, slices.Concat(args, row.Arguments, s.args), reportFile, logFile)
	if err != nil {
		r.Wrong = append(r.Wrong, err.Error())
		return r
	}
	whole := 1 // the exit status of a run that comes to its end: something leaks
	if row.Clean {
		whole = 0
	}
	sent, last := unix.Signal(0), func() time.Time { return time.Time{} }
	if kind != order.Nothing {
		time.Sleep(time.Duration(r.AfterMS) * time.Millisecond)
		r.Phase = phase()
		began = time.Now()
		sent = s.hit(kind, p.Pid)
		r.Missed = sent == 0
		last = inNamespaces()
	}
	status, hangs := ended(p.Pid)
	if hangs {
		r.Wrong = append(r.Wrong, fmt.Sprintf("processes were left after %v", longestEnd))
	}
	if sent > 0 {
		r.Wrong = append(r.Wrong, judge(kind, status, sent, whole)...)
	} else if status.ExitStatus() != whole {
		r.Wrong = append(r.Wrong, fmt.Sprintf("a run without a fault ended with %+v", status))
	}
	if kind == order.Both && !r.Missed {
		r.Wrong = append(r.Wrong, restore(row.Nobody)...)
	}
	r.TookMS = time.Since(began).Milliseconds()
	r.TailMS = r.TookMS
	if at := last(); !at.IsZero() {
		r.TailMS = time.Since(at).Milliseconds()
	}
	r.Wrong = append(r.Wrong, s.host.off()...)
	// A key that moves by itself, slowly, looks like somebody else's doing, who may
	// want to know: then the journal stays until it has been looked at.
	left := record.Path()
	if row.Nobody {
		left = nobodysJournal
	}
	if _, err := os.Lstat(left); err == nil {
		r.Wrong = append(r.Wrong, restore(row.Nobody)...)
	}
	if _, err := os.Lstat(left); err == nil {
		r.Wrong = append(r.Wrong, "a journal is left")
		_ = os.Remove(left) // for the rounds to come
	}
	time.Sleep(order.Soon) // what comes later than that is no leak that the run could see
	for _, off := range s.host.off() {
		r.Wrong = append(r.Wrong, fmt.Sprintf("%v after the last process, %s", order.Soon, off))
	}
	if len(r.Wrong) > 0 || r.Late() {
		r.Log = tail()
	}
	return r
}

// hit does it, and returns the signal that was sent; 0 where nobody was there.
func (s *storm) hit(kind order.Kind, pid int) unix.Signal {
	all := processes()
	guardian := all[putback.GuardianEntry]
	var targets []int
	sig := unix.SIGKILL
	switch kind {
	case order.Parent:
		targets = []int{pid}
	case order.Child:
		if c := all[child.Entry]; len(c) > 0 {
			targets = []int{c[s.rng.IntN(len(c))]}
		}
	case order.Guardian:
		targets = guardian
	case order.Both:
		if len(guardian) > 0 {
			targets = append([]int{pid}, guardian...)
		}
	case order.Signal:
		targets = []int{pid}
		signals := []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP}
		sig = signals[s.rng.IntN(len(signals))]
	}
	hit := unix.Signal(0)
	for _, t := range targets {
		if len(all[order.Tool]) > 0 && unix.Kill(t, sig) == nil {
			hit = sig
		}
	}
	return hit
}

// judge says what is wrong with how a run ended that was hit. It may have come to its
// end beforehand.
func judge(kind order.Kind, status unix.WaitStatus, sent unix.Signal, whole int) []string {
	killed := status.Signaled() && status.Signal() == unix.SIGKILL
	ok := status.Exited() && status.ExitStatus() == whole
	switch kind {
	case order.Parent, order.Both:
		ok = ok || killed
	case order.Child, order.Guardian:
		ok = ok || status.Exited() && status.ExitStatus() == 3
	case order.Signal:
		ok = ok || status.Exited() && status.ExitStatus() == 128+int(sent) || status.Signaled() && status.Signal() == sent // too early, or too late, to be caught
	}
	if ok {
		return nil
	}
	return []string{fmt.Sprintf("after signal %d it ended with %+v (exit status %d)", sent, status, status.ExitStatus())}
}

// restore puts the host back from the journal.
func restore(asNobody bool) []string {
	p, err := start(asNobody, []string{"restore", "--yes"}, reportFile, logFile+".restore")
	if err != nil {
		return []string{err.Error()}
	}
	if status, hangs := ended(p.Pid); hangs || status.ExitStatus() != 0 {
		text, _ := os.ReadFile(logFile + ".restore")
		return []string{fmt.Sprintf("restore ended with %+v: %.2000s", status, text)}
	}
	return nil
}

// phase is the last one in the log.
func phase() (last string) {
	text, _ := os.ReadFile(logFile)
	for line := range bytes.Lines(text) {
		var e struct{ Message, Phase string }
		if json.Unmarshal(line, &e) == nil && e.Message == "phase" {
			last = e.Phase
		}
	}
	return last
}

// tail is the last of the log.
func tail() string {
	const most = 16 << 10
	text, _ := os.ReadFile(logFile)
	return string(text[max(0, len(text)-most):])
}
