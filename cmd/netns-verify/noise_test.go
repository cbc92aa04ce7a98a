package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// The test namespace that is taken as host is a process of its own: noiseHost
// lives in it, writes random values to it, and runs the tool beside.
const (
	noiseHost = "test-noise-host"
	toolEntry = "test-tool"
)

func init() {
	reexec.Register(noiseHost, noiseMain)
	reexec.Register(toolEntry, func() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) })
}

// noiseRunsVariable is how many runs are made beside each rate of noise;
// noiseLogVariable is a directory for their logs, where they are wanted.
const (
	noiseRunsVariable = "NETNS_VERIFY_NOISE_RUNS"
	noiseLogVariable  = "NETNS_VERIFY_NOISE_LOG"
)

// noiseResult is what the noise host found out about the runs beside it.
type noiseResult struct {
	Runs, Writes, Keys int
	Leaks              []report.Leak
	Unconfirmed        int
	Replays            []int // of each run
	// Later is the unconfirmed effects that were not seen on the host.
	Later []report.Effect
	// Missed is the runs that saw none of the foreign changes; Overwritten the
	// keys found with another value than the noise had left there.
	Missed      int
	Overwritten []string
	Statuses    map[int]int
}

// TestForeignWrites: beside another program that writes sysctls of the host,
// no leak is reported that isn't one, and its values are left alone.
func TestForeignWrites(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	runs := 1
	if n, err := strconv.Atoi(os.Getenv(noiseRunsVariable)); err == nil {
		runs = n
	}
	for _, rate := range []int{10, 200} {
		t.Run(fmt.Sprintf("%d a second", rate), func(t *testing.T) {
			runtime.LockOSThread() // the host ends with the thread that starts it (Pdeathsig)
			defer runtime.UnlockOSThread()
			cmd := reexec.Command(noiseHost, strconv.Itoa(rate), strconv.Itoa(runs))
			cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("noise host: %v\n%s", err, out)
			}
			var r noiseResult
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d runs, exit statuses %v, beside %d foreign writes to %d keys: %d leaks, %d unconfirmed, %d overwritten; replays %v",
				r.Runs, r.Statuses, r.Writes, r.Keys, len(r.Leaks), r.Unconfirmed, len(r.Overwritten), r.Replays)
			for _, e := range r.Later {
				t.Logf("unconfirmed, %s: %s: %s", e.Observer, e.Key, e.Why)
			}
			for _, l := range r.Leaks {
				t.Errorf("false leak: %s, causes %+v, %d candidates, effects %+v: %s",
					l.Evidence.Status, l.Cause, len(l.Evidence.Candidates), l.Effects, l.Evidence.Why)
			}
			if len(r.Overwritten) > 0 {
				t.Errorf("foreign values were overwritten: %v", r.Overwritten)
			}
			if r.Missed > 0 {
				t.Errorf("%d runs list none of the foreign changes", r.Missed)
			}
			if r.Runs != runs || r.Writes == 0 {
				t.Errorf("%d runs of %d beside %d writes", r.Runs, runs, r.Writes)
			}
		})
	}
}

func noiseMain() {
	rate, _ := strconv.Atoi(os.Args[1])
	runs, _ := strconv.Atoi(os.Args[2])
	r, err := makeNoise(rate, runs)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func makeNoise(rate, runs int) (r noiseResult, err error) {
	r.Statuses = map[int]int{}
	tree := sysctl.NewProc(sysctl.ProcRoot)
	values, err := lonelyKeys(tree)
	if err != nil {
		return r, err
	}
	keys := make([]sysctl.Key, 0, len(values))
	last := map[sysctl.Key]string{}
	for k, v := range values {
		keys = append(keys, k)
		last[k] = v[0]
	}
	slices.Sort(keys)
	r.Keys = len(keys)

	check := func(k sysctl.Key) {
		if got := tree.Read(k); got.Value != last[k] {
			r.Overwritten = append(r.Overwritten, fmt.Sprintf("%s: %q, was left as %q", k, got.Value, last[k]))
			last[k] = got.Value
		}
	}
	rng := rand.New(rand.NewPCG(1, uint64(rate)))
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for range runs {
		type ended struct {
			rep    report.Report
			status int
			err    error
		}
		done := make(chan ended, 1)
		go func() {
			rep, status, err := runTool()
			done <- ended{rep, status, err}
		}()
		for running := true; running; {
			select {
			case <-tick.C:
				k := keys[rng.IntN(len(keys))]
				check(k)
				others := slices.DeleteFunc(slices.Clone(values[k]), func(v string) bool { return v == last[k] })
				v := others[rng.IntN(len(others))]
				if err := tree.Write(k, v); err != nil {
					return r, err
				}
				last[k] = tree.Read(k).Value
				r.Writes++
			case e := <-done:
				if e.err != nil {
					return r, e.err
				}
				r.Runs++
				r.Statuses[e.status]++
				r.Replays = append(r.Replays, e.rep.Run.Replays)
				r.Leaks = append(r.Leaks, e.rep.Leaks...)
				r.Unconfirmed += len(e.rep.Unconfirmed)
				for _, u := range e.rep.Unconfirmed {
					if u.Observer != report.ObserverHost {
						r.Later = append(r.Later, u)
					}
				}
				if len(e.rep.Unconfirmed) == 0 {
					r.Missed++
				}
				running = false
			}
		}
		for _, k := range keys {
			check(k)
		}
	}
	return r, nil
}

// lonelyKeys is the keys whose writing moves no other key, each with values
// that take effect, its present one first.
func lonelyKeys(tree *sysctl.Proc) (map[sysctl.Key][]string, error) {
	s, err := sysctl.NewSweeper(tree)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	lonely := map[sysctl.Key][]string{}
	for _, e := range s.Baseline() {
		if !e.Writable() || !e.State.OK() || perturb.Disruptive(e.Key) || strings.HasPrefix(string(e.Key), "net/netfilter/") {
			continue
		}
		for _, c := range perturb.Candidates(perturb.Subject{Key: e.Key, Mode: e.Mode, State: e.State}, perturb.Facts{}) {
			if tree.Write(e.Key, c) != nil {
				continue
			}
			changes, err := s.Sweep()
			if err != nil {
				return nil, err
			}
			alone := len(changes) == 1 && changes[0].Key == e.Key
			back := tree.Write(e.Key, e.State.Value) == nil && tree.Read(e.Key) == e.State
			if changes, err = s.Sweep(); err != nil {
				return nil, err
			}
			if alone && back && len(changes) == 0 {
				lonely[e.Key] = append(lonely[e.Key], c)
			}
			for _, c := range changes {
				s.Expect(c.Key, c.After)
			}
			break
		}
		if lonely[e.Key] != nil {
			lonely[e.Key] = append([]string{e.State.Value}, lonely[e.Key]...)
		}
	}
	if len(lonely) < 100 {
		return nil, fmt.Errorf("only %d keys are alone", len(lonely))
	}
	return lonely, nil
}

// runTool runs the tool in this namespace and reads its report.
func runTool() (rep report.Report, status int, err error) {
	level, log := "error", os.Stderr
	if dir := os.Getenv(noiseLogVariable); dir != "" {
		if log, err = os.CreateTemp(dir, "run-*.log"); err != nil {
			return rep, 0, err
		}
		defer func() { _ = log.Close() }()
		level = "debug"
	}
	runtime.LockOSThread() // the tool is told to stop when the thread that starts it ends (Pdeathsig)
	defer runtime.UnlockOSThread()
	cmd := reexec.Command(toolEntry, "run", "--json", "--log-level", level)
	cmd.Stderr = log
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status, err = exit.ExitCode(), nil
	}
	if err == nil {
		err = json.Unmarshal(out, &rep)
	}
	return rep, status, err
}
