package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/netns-verify/netns-verify/internal/guestlink"
	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/vm"
)

// machineRounds is how often machines are measured: each takes many seconds.
const machineRounds = 3

// errNoMachine is for hosts that lack what `vm` needs and the rest does not.
var errNoMachine = errors.New("netns-verify vm is not measured")

// machineTimes is what `vm` takes, in turn with a machine that only boots.
type machineTimes struct {
	none            error // why there are no figures
	release         string
	bare            sample // a machine whose init powers off at once
	files, packages vmTimes
}

// vmTimes is processes of `vm` that are told of the kernel in one way.
type vmTimes struct {
	whole, guest, rest sample // guest: from its hello to its last word; rest: of the whole
}

// measureMachines measures machines, where there can be any.
func measureMachines(ctx context.Context, o options) (machineTimes, error) {
	var t machineTimes
	dir, err := os.MkdirTemp("", "netns-verify-bench-")
	if err != nil {
		return t, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays below TMPDIR is in nobody's way
	q := &vm.QEMU{Accel: vm.TCG}
	packages, err := needMachine(q, o.kernels)
	if err != nil {
		t.none = fmt.Errorf("%w: %w", errNoMachine, err)
		return t, nil
	}
	k, err := unpackKernel(ctx, packages, dir)
	if err != nil {
		return t, err
	}
	t.release = k.Release
	image, err := k.WriteImage(dir)
	if err != nil {
		return t, err
	}
	g, err := bareGuest(k, o.poweroff)
	if err != nil {
		return t, err
	}
	var debs []string
	for _, p := range packages {
		debs = append(debs, "--deb", p)
	}
	for range machineRounds {
		start := time.Now()
		if _, err := q.Boot(ctx, g, func(guestlink.Message) {}); !errors.Is(err, vm.ErrOff) {
			return t, fmt.Errorf("a machine that only boots: %w", err)
		}
		t.bare.add(time.Since(start))
		if err := t.files.measure(ctx, o, g, "--kernel", image, "--modules", dir); err != nil {
			return t, err
		}
		if err := t.packages.measure(ctx, o, g, debs...); err != nil {
			return t, err
		}
	}
	return t, nil
}

// needMachine looks for what machines need: QEMU, a kernel's packages, and what
// unpacks those.
func needMachine(q *vm.QEMU, kernels string) (packages []string, err error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	if kernels == "" {
		return nil, errors.New("-kernels is empty")
	}
	packages, err = filepath.Glob(filepath.Join(kernels, "*.deb"))
	if err == nil && len(packages) == 0 {
		err = fmt.Errorf("no packages in %s: `make kernels` brings them", kernels)
	}
	if err == nil {
		_, err = exec.LookPath("dpkg-deb")
	}
	return packages, err
}

// unpackKernel unpacks all that is in the packages of one kernel, as an installed
// kernel's files are: `vm` has to find among them what it needs.
func unpackKernel(ctx context.Context, packages []string, dir string) (*kernel.Kernel, error) {
	for _, p := range packages {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", p, dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("unpack %s: %w\n%s", p, err, bytes.TrimSpace(out))
		}
	}
	found, err := kernel.FromPackages(ctx, packages...)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d kernels in %q, want one", len(found), packages)
	}
	return found[0], nil
}

// bareGuest is the machine that `vm` makes, with nothing in it but the kernel and
// an init that powers off.
func bareGuest(k *kernel.Kernel, poweroff string) (vm.Guest, error) {
	init, err := os.ReadFile(poweroff)
	if err != nil {
		return vm.Guest{}, err
	}
	var archive bytes.Buffer
	err = initramfs.Write(&archive, initramfs.Contents{Executable: init})
	return vm.Guest{Kernel: k.Image(), Initramfs: archive.Bytes(), MemoryMB: 512, CPUs: 1, Timeout: 5 * time.Minute}, err
}

// measure does one short run in a machine like g.
func (t *vmTimes) measure(ctx context.Context, o options, g vm.Guest, kernel ...string) error {
	args := append([]string{
		"vm", "--accel", string(vm.TCG), "--memory", strconv.Itoa(g.MemoryMB) + "M", "--cpus", strconv.Itoa(g.CPUs),
		"--include", "net.core", "--reboots", "0", "--thorough=false", "--write-host=false", "--json", "--log-format", "json", "--log-level", "info",
	}, kernel...)
	p, err := timed(ctx, o.binary, args...)
	if err != nil {
		return err
	}
	guest, err := guestTime(p.log)
	if err != nil {
		return err
	}
	t.whole.add(p.took)
	t.guest.add(guest)
	t.rest.add(p.took - guest)
	return nil
}

// guestTime is the time from a guest's first word to its last, by the log of `vm`
// (docs/logging.md).
func guestTime(log []byte) (time.Duration, error) {
	all, err := events(log)
	if err != nil {
		return 0, err
	}
	at := map[string]time.Time{}
	for _, e := range all {
		at[e.Message] = e.Time
	}
	up, done := at["guest is up"], at["guest is done"]
	if up.IsZero() || done.Before(up) {
		return 0, fmt.Errorf("the log does not tell how long the guest ran:\n%s", log)
	}
	return done.Sub(up), nil
}
