package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// The test namespace that is taken as host is a process of its own: noiseHost
// lives in it, makes the noise, and runs the tool beside.
const (
	noiseHost = "test-noise-host"
	toolEntry = "test-tool"
	// noiseContainer is a namespace that comes and goes beside it.
	noiseContainer = "test-noise-container"
)

func init() {
	reexec.Register(noiseHost, noiseMain)
	reexec.Register(noiseContainer, containerMain)
	reexec.Register(toolEntry, func() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) })
}

// noiseRunsVariable is how many runs are made beside each kind of noise;
// noiseLogVariable is a directory for their logs, where they are wanted.
const (
	noiseRunsVariable = "NETNS_VERIFY_NOISE_RUNS"
	noiseLogVariable  = "NETNS_VERIFY_NOISE_LOG"
)

// noiseResult is what the noise host found out about the runs beside it.
type noiseResult struct {
	Runs, Writes, Keys  int
	Devices, Namespaces int // that came and went
	Leaks               []report.Leak
	Unconfirmed         int
	Replays             []int // of each run
	// Later is the unconfirmed effects that were not seen on the host.
	Later []report.Effect
	// Missed is the runs that saw none of the foreign changes; Overwritten the
	// keys found with another value than the noise had left there.
	Missed      int
	Overwritten []string
	Statuses    map[int]int
}

// noises is what goes on beside the runs: writers, by how many writes each makes in a
// second, and perhaps devices and namespaces that come and go all the time.
var noises = []struct {
	name  string
	rates string
	churn bool
}{
	{"10 a second", "10", false},
	{"200 a second", "200", false},
	{"10 and 200 a second, devices and namespaces", "10,200", true},
}

// TestForeignWrites: beside other programs that write sysctls of the host,
// no leak is reported that isn't one, and their values are left alone.
func TestForeignWrites(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	runs := 1
	if n, err := strconv.Atoi(os.Getenv(noiseRunsVariable)); err == nil {
		runs = n
	}
	for _, n := range noises {
		t.Run(n.name, func(t *testing.T) {
			runtime.LockOSThread() // the host ends with the thread that starts it (Pdeathsig)
			defer runtime.UnlockOSThread()
			cmd := reexec.Command(noiseHost, n.rates, strconv.Itoa(runs), strconv.FormatBool(n.churn))
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
			t.Logf("%d runs, exit statuses %v, beside %d foreign writes to %d keys, %d devices and %d namespaces: %d leaks, %d unconfirmed, %d overwritten; replays %v",
				r.Runs, r.Statuses, r.Writes, r.Keys, r.Devices, r.Namespaces, len(r.Leaks), r.Unconfirmed, len(r.Overwritten), r.Replays)
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
			if r.Runs != runs || r.Writes == 0 || n.churn && (r.Devices == 0 || r.Namespaces == 0) {
				t.Errorf("%d runs of %d beside %d writes, %d devices, %d namespaces", r.Runs, runs, r.Writes, r.Devices, r.Namespaces)
			}
		})
	}
}

func noiseMain() {
	runs, _ := strconv.Atoi(os.Args[2])
	r, err := makeNoise(strings.Split(os.Args[1], ","), runs, os.Args[3] == "true")
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// makeNoise makes all of it while the tool runs again and again.
func makeNoise(rates []string, runs int, churn bool) (r noiseResult, err error) {
	r.Statuses = map[int]int{}
	tree := sysctl.NewProc(sysctl.ProcRoot)
	values, err := lonelyKeys(tree)
	if err != nil {
		return r, err
	}
	r.Keys = len(values)
	var noisy []func(context.Context) error
	writers := make([]*noiseWriter, len(rates))
	for i, k := range slices.Sorted(maps.Keys(values)) {
		w := &writers[i%len(rates)]
		if *w == nil {
			rate, _ := strconv.Atoi(rates[i])
			*w = &noiseWriter{tree: tree, values: values, last: map[sysctl.Key]string{}, rate: rate, rng: rand.New(rand.NewPCG(1, uint64(rate)))}
			noisy = append(noisy, (*w).write)
		}
		(*w).keys = append((*w).keys, k)
		(*w).last[k] = values[k][0]
	}
	if churn {
		noisy = append(noisy,
			func(ctx context.Context) error { return comeAndGo(ctx, &r.Devices, oneDevice) },
			func(ctx context.Context) error { return comeAndGo(ctx, &r.Namespaces, oneNamespace) })
	}
	for range runs {
		ctx, silence := context.WithCancel(context.Background())
		errs := make(chan error, len(noisy))
		for _, n := range noisy {
			go func() { errs <- n(ctx) }()
		}
		rep, status, err := runTool()
		silence()
		for range noisy {
			err = errors.Join(err, <-errs)
		}
		if err != nil {
			return r, err
		}
		r.Runs++
		r.Statuses[status]++
		r.Replays = append(r.Replays, rep.Run.Replays)
		r.Leaks = append(r.Leaks, rep.Leaks...)
		r.Unconfirmed += len(rep.Unconfirmed)
		for _, u := range rep.Unconfirmed {
			if u.Observer != report.ObserverHost {
				r.Later = append(r.Later, u)
			}
		}
		if len(rep.Unconfirmed) == 0 {
			r.Missed++
		}
		for _, w := range writers {
			w.checkAll()
		}
	}
	for _, w := range writers {
		r.Writes += w.writes
		r.Overwritten = append(r.Overwritten, w.overwritten...)
	}
	return r, nil
}

// noiseWriter writes random values to keys of its own.
type noiseWriter struct {
	tree        *sysctl.Proc
	keys        []sysctl.Key
	values      map[sysctl.Key][]string
	last        map[sysctl.Key]string
	rate        int // in a second
	rng         *rand.Rand
	writes      int
	overwritten []string
}

func (w *noiseWriter) write(ctx context.Context) error {
	tick := time.NewTicker(time.Second / time.Duration(w.rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		k := w.keys[w.rng.IntN(len(w.keys))]
		w.check(k)
		others := slices.DeleteFunc(slices.Clone(w.values[k]), func(v string) bool { return v == w.last[k] })
		if err := w.tree.Write(k, others[w.rng.IntN(len(others))]); err != nil {
			return err
		}
		w.last[k] = w.tree.Read(k).Value
		w.writes++
	}
}

func (w *noiseWriter) check(k sysctl.Key) {
	if got := w.tree.Read(k); got.Value != w.last[k] {
		w.overwritten = append(w.overwritten, fmt.Sprintf("%s: %q, was left as %q", k, got.Value, w.last[k]))
		w.last[k] = got.Value
	}
}

func (w *noiseWriter) checkAll() {
	for _, k := range w.keys {
		w.check(k)
	}
}

// stay is how long a device or a namespace is there, and how long it is gone.
const stay = 50 * time.Millisecond

// comeAndGo makes one after another until the end, and ends each.
func comeAndGo(ctx context.Context, n *int, one func(n int) (end func() error, err error)) error {
	for ; ctx.Err() == nil; *n++ {
		end, err := one(*n)
		if err != nil {
			return err
		}
		time.Sleep(stay)
		if err := end(); err != nil {
			return err
		}
		time.Sleep(stay)
	}
	return nil
}

// oneDevice makes a pair of devices on the host, of ever other names.
func oneDevice(n int) (end func() error, err error) {
	a := netlink.NewLinkAttrs()
	a.Name = fmt.Sprintf("noise%d", n%7)
	pair := &netlink.Veth{LinkAttrs: a, PeerName: a.Name + "p"}
	return func() error { return netlink.LinkDel(pair) }, netlink.LinkAdd(pair)
}

// oneNamespace starts what a container would be: a process in namespaces of its own
// that writes its sysctls.
func oneNamespace(int) (end func() error, err error) {
	cmd := reexec.Command(noiseContainer)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	cmd.SysProcAttr.Pdeathsig = 0 // the thread that starts it may end; its stdin tells it
	stdin, err := cmd.StdinPipe()
	if err == nil {
		cmd.Stderr = os.Stderr
		err = cmd.Start()
	}
	return func() error { return errors.Join(stdin.Close(), cmd.Wait()) }, err
}

// containerMain gives values of its namespace other values, until its stdin ends.
func containerMain() {
	tree := sysctl.NewProc(sysctl.ProcRoot)
	for k, v := range map[sysctl.Key]string{"net/core/somaxconn": "128", "net/ipv4/ip_forward": "1", "net/ipv4/ip_local_port_range": "20000 30000", "net/ipv6/conf/all/forwarding": "1"} {
		if err := tree.Write(k, v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
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
