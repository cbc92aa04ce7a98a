package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/vm"
	"github.com/netns-verify/netns-verify/parent/trace"
)

func vmCommand(args []string, stdout, stderr *os.File) *cobra.Command {
	f := &vmFlags{runFlags: runFlags{observe: observed{observe.All()}}}
	cmd := &cobra.Command{
		Use:   "vm",
		Short: "Do the same to any kernel, in a throw-away virtual machine",
		Long: `Boot kernels with QEMU, this program as init, load every module that has network
sysctls, and do in there what run does on a host. Nothing outside of the machine
is written to, root is not needed, and what cannot be put back is written too. In a
further machine with few modules it shows which writes have the kernel load more.

Several kernels give one report each. In a .deb, kernel and modules are found by
themselves; packages that make up one kernel are given together.`,
		Example: `  netns-verify vm --deb linux-image-6.1.0-50-cloud-amd64_6.1.176-1_amd64.deb
  netns-verify vm --kernel /boot/vmlinuz-$(uname -r) --modules /lib/modules/$(uname -r)
  netns-verify vm --kernel arch/x86/boot/bzImage --json > report.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return ended{newVMSession(f, args, stdout, stderr).run()}
		},
	}
	f.register(cmd)
	return cmd
}

// vmFlags is what can be said to `vm`.
type vmFlags struct {
	runFlags
	kernels     []kernelFiles
	debs, extra []string
	append      []string
	accel       string
	memory      memory
	cpus, jobs  int
	reboots     int
	timeout     time.Duration
	keepConsole string
}

// kernelFiles is a --kernel with the --modules that follows it.
type kernelFiles struct{ image, modules string }

func (f *vmFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Var(kernelFlag{f}, "kernel", "boot the kernel in `FILE`, a bzImage (repeatable)")
	fs.Var(modulesFlag{f}, "modules", "modules of the --kernel before it: a `DIR` such as /lib/modules/RELEASE")
	fs.StringArrayVar(&f.debs, "deb", nil, "boot the kernel in a Debian package `FILE` (repeatable)")
	fs.StringArrayVar(&f.extra, "module", nil, "also load the module in `FILE` (repeatable)")
	fs.StringArrayVar(&f.append, "append", nil, "more `WORDS` for the kernel's command line (repeatable)")
	fs.StringVar(&f.accel, "accel", string(vm.Auto), "what runs the machine: kvm, tcg, or auto (KVM where it works)")
	f.memory = 512 << 20
	fs.Var(&f.memory, "memory", "the machine's memory")
	fs.IntVar(&f.cpus, "cpus", 1, "the machine's processors")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Minute, "longest silence of a machine, and longest time for reading the kernels")
	fs.IntVar(&f.reboots, "reboots", 10, "boots that prove what cannot be undone, with the write and without (0: none)")
	fs.StringVar(&f.keepConsole, "keep-console", "", "write what the kernels write to their console to `FILE`")
	fs.IntVar(&f.jobs, "jobs", 1, "kernels at a time")
	f.runFlags.register(cmd)
	fs.BoolVar(&f.writeHost, "write-host", true, "also write the guest's own keys, and see which namespaces take them over")
	f.allowOneWay, f.writeHost = true, true // nothing outlives the machine
	f.thorough, f.descriptors = true, true
	for _, flag := range []string{"allow-one-way", "descriptors", "thorough"} {
		cmd.Flags().Lookup(flag).DefValue = "true"
	}
}

func (f *vmFlags) check() error {
	for _, wrong := range []struct {
		when bool
		text string
	}{
		{len(f.kernels)+len(f.debs) == 0, "no kernel given: use --kernel or --deb"},
		{f.accel != string(vm.Auto) && f.accel != string(vm.KVM) && f.accel != string(vm.TCG), fmt.Sprintf("--accel: unknown %q: use one of auto, kvm, tcg", f.accel)},
		{f.memory < 128<<20 || f.memory > 1<<40, "--memory must be at least 128M and at most 1T"},
		{f.cpus < 1 || f.cpus > 255, "--cpus must be 1 to 255"},
		{f.timeout <= 0 || f.timeout > 24*time.Hour, "--timeout must be more than 0 and at most 24h, such as 5m"},
		{f.reboots < 0 || f.reboots == 1 || f.reboots > 1000, "--reboots must be 0, or 2 to 1000: with the write and without"},
		{f.jobs < 1 || f.jobs > 255, "--jobs must be 1 to 255"},
		{f.jobs > 1 && f.keepConsole != "", "--keep-console means nothing with --jobs: the consoles would be mixed up"},
	} {
		if wrong.when {
			return errors.New(wrong.text)
		}
	}
	if runtime.GOARCH != "amd64" {
		return errors.New("virtual machines are for amd64 so far")
	}
	if len(f.writers) == 0 && !f.userns {
		f.writers = writers{trace.WriterUserNS, trace.WriterRoot} // nothing is to be feared from either
	}
	return f.runFlags.check()
}

// guest is the machine that was asked for, without a kernel.
func (f *vmFlags) guest() vm.Guest {
	g := vm.Guest{MemoryMB: f.memory.mib(), CPUs: f.cpus, Timeout: f.timeout}
	for _, words := range f.append {
		g.Append = append(g.Append, strings.Fields(words)...)
	}
	return g
}

type kernelFlag struct{ f *vmFlags }

func (k kernelFlag) Set(s string) error {
	if s == "" {
		return errors.New("no file")
	}
	k.f.kernels = append(k.f.kernels, kernelFiles{image: s})
	return nil
}
func (kernelFlag) String() string { return "" }
func (kernelFlag) Type() string   { return "FILE" }

type modulesFlag struct{ f *vmFlags }

func (m modulesFlag) Set(s string) error {
	n := len(m.f.kernels)
	switch {
	case s == "":
		return errors.New("no directory")
	case n == 0:
		return errors.New("there is no --kernel before it that they could be for")
	case m.f.kernels[n-1].modules != "":
		return errors.New("the --kernel before it has modules already")
	}
	m.f.kernels[n-1].modules = s
	return nil
}
func (modulesFlag) String() string { return "" }
func (modulesFlag) Type() string   { return "DIR" }

// memory is a size in bytes (pflag.Value): 512M, 1G, 1GiB.
type memory int64

func (m *memory) Set(s string) error {
	n, err := units.RAMInBytes(s)
	if err == nil {
		*m = memory(n)
	}
	return err
}
func (m *memory) String() string { return fmt.Sprintf("%dM", m.mib()) }
func (*memory) Type() string     { return "SIZE" }
func (m *memory) mib() int       { return int(*m >> 20) }
