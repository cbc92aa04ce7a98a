// Command storm kills runs of netns-verify, and what belongs to them, at random
// moments, again and again, in virtual machines whose kernel has planted leaks, so
// that there is always something to undo. It tells how often the host was as before, and
// fails where it once was not; that an end came late is told, and fails nothing.
// `make storm` builds it and what it needs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netns-verify/netns-verify/internal/guestlink"
	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/storm/order"
	"github.com/netns-verify/netns-verify/internal/vm"
)

// build is stamped: it must be the guest's.
var build string

type options struct {
	binary, guest, kernel, module string
	times                         map[order.Kind]*int
	machines                      int
	rows                          string
	seed                          uint64
	timeout                       time.Duration
}

func main() {
	o := options{times: map[order.Kind]*int{}}
	flag.StringVar(&o.binary, "binary", "bin/netns-verify", "what is killed")
	flag.StringVar(&o.guest, "guest", ".cache/storm-guest", "the machines' first process (internal/storm/guest)")
	flag.StringVar(&o.kernel, "kernel", ".cache/kernels/6.1-cloud", "where the packages of the kernel are")
	flag.StringVar(&o.module, "module", ".cache/leaky/6.1-cloud/leaky.ko", "the planted-leak module for that kernel")
	for kind, n := range map[order.Kind]int{order.Parent: 1000, order.Child: 200, order.Guardian: 200, order.Both: 100, order.Signal: 200} {
		o.times[kind] = flag.Int(string(kind), n, "how many runs are hit like that")
	}
	flag.StringVar(&o.rows, "rows", "", "what the runs write, separated by commas: keys as internal/storm/order lists them (all of those)")
	flag.IntVar(&o.machines, "machines", 2, "machines at a time")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().Unix()), "what draws the moments")
	flag.DurationVar(&o.timeout, "timeout", 24*time.Hour, "longest time for it all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	t, err := o.storm(ctx)
	stop()
	t.print()
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
	}
	if err != nil || t.wrong > 0 {
		os.Exit(1)
	}
}

// storm does what was asked for, shared among machines.
func (o options) storm(ctx context.Context) (*tally, error) {
	t := &tally{rounds: map[order.Kind][]order.Round{}}
	rows, err := o.chosen()
	if err != nil {
		return t, err
	}
	g, err := o.machine(ctx)
	if err != nil {
		return t, err
	}
	fmt.Printf("seed %d\n", o.seed)
	q := &vm.QEMU{Accel: vm.TCG, Build: build}
	errs := make([]error, o.machines)
	var machines sync.WaitGroup
	for i := range o.machines {
		machines.Go(func() {
			share := order.Order{Seed: o.seed + uint64(i), Times: map[order.Kind]int{}, Rows: rows, Arguments: flag.Args()}
			for kind, n := range o.times {
				share.Times[kind] = (*n + o.machines - 1 - i) / o.machines
			}
			errs[i] = boot(ctx, q, g, share, t)
		})
	}
	machines.Wait()
	return t, errors.Join(errs...)
}

// chosen is the rows that were asked for.
func (o options) chosen() (rows []order.Row, err error) {
	all := order.Rows()
	if o.rows == "" {
		return all, nil
	}
	for keys := range strings.SplitSeq(o.rows, ",") {
		i := slices.IndexFunc(all, func(r order.Row) bool { return r.Keys == keys })
		if i < 0 {
			return nil, fmt.Errorf("-rows: there is no row %s", keys)
		}
		rows = append(rows, all[i])
	}
	return rows, nil
}

// files is what a machine is made of.
type files struct {
	kernel, init, tool, module []byte
	timeout                    time.Duration
}

func (o options) machine(ctx context.Context) (f files, err error) {
	f.timeout = o.timeout
	packages, err := filepath.Glob(filepath.Join(o.kernel, "*.deb"))
	if err != nil {
		return f, err
	}
	found, err := kernel.FromPackages(ctx, packages...)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d kernels in %s, want one: `make kernels` brings it", len(found), o.kernel)
	}
	if err != nil {
		return f, err
	}
	f.kernel = found[0].Image()
	for path, to := range map[string]*[]byte{o.guest: &f.init, o.binary: &f.tool, o.module: &f.module} {
		if *to, err = os.ReadFile(path); err != nil {
			return f, err
		}
	}
	return f, nil
}

// boot makes one machine and takes note of its rounds.
func boot(ctx context.Context, q *vm.QEMU, f files, o order.Order, t *tally) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	err = initramfs.Write(&archive, initramfs.Contents{Executable: f.init, Files: map[string][]byte{
		order.Path: text, order.Tool: f.tool, order.Module: f.module,
	}})
	if err != nil {
		return err
	}
	g := vm.Guest{Kernel: f.kernel, Initramfs: archive.Bytes(), MemoryMB: 512, CPUs: 1, Timeout: f.timeout, Append: []string{"mitigations=off"}}
	r, err := q.Boot(ctx, g, func(m guestlink.Message) {
		var round order.Round
		if m.Log != nil && json.Unmarshal(m.Log.Line, &round) == nil {
			t.add(round)
		}
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w; console: %q", err, r.Console)
	case r.Final.Error != "":
		return errors.New(r.Final.Error)
	}
	return nil
}
