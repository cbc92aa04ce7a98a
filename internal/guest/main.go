package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/guestlink"
	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// PhaseModules comes before those of a run (parent.Phase).
const PhaseModules = "modules"

// Config is what cmd knows and a guest needs.
type Config struct {
	// Build identifies this binary.
	Build string
	// Entry and DrainEntry are parent.LinuxConfig's.
	Entry, DrainEntry string
	// Logger makes the logger, of a level by zerolog's name.
	Logger func(w io.Writer, level, runID string) zerolog.Logger
}

// Main is the guest's life. It powers the machine off and returns only if that
// fails; the kernel panics when its first process ends, and so it is over too.
func Main(c Config) {
	if err := os.Setenv("GODEBUG", quickStart); err != nil {
		fmt.Fprintf(os.Stderr, "netns-verify guest: %v\n", err)
	}
	Serve(c.Build, c.obey)
}

// quickStart keeps our children from making tables at their start, for the checksums
// that packages of kernels have: a quarter of what they do of their own under TCG.
const quickStart = "cpu.sse42=off"

// Serve is the life of any guest of ours: it says hello, calls do for the last word,
// says that, and powers off. It returns only if that fails.
func Serve(build string, do func(*guestlink.Sender) (*guestlink.Final, error)) {
	if err := live(build, do); err != nil {
		fmt.Fprintf(os.Stderr, "netns-verify guest: %v\n", err) // the console
	}
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintf(os.Stderr, "netns-verify guest: power off: %v\n", err)
}

// live is it until the end. An error means that something could not be said.
func live(build string, do func(*guestlink.Sender) (*guestlink.Final, error)) error {
	if err := mount("devtmpfs", "/dev"); err != nil {
		return err
	}
	line, err := openPort()
	if err != nil {
		return err
	}
	out := guestlink.NewSender(line)
	if err := out.Send(guestlink.Message{Hello: &guestlink.Hello{Version: guestlink.Version, Build: build}}); err != nil {
		return err
	}
	final, err := doing(out, do)
	if final == nil {
		final = &guestlink.Final{}
	}
	if err != nil {
		final.Error = err.Error()
	}
	if err := out.Send(guestlink.Message{Final: final}); err != nil {
		return err
	}
	return line.drain()
}

// doing does it where there is all that programs expect. A panic is an error like others.
func doing(out *guestlink.Sender, do func(*guestlink.Sender) (*guestlink.Final, error)) (final *guestlink.Final, err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", p, debug.Stack()) // the console
			final, err = nil, fmt.Errorf("panic in the guest: %v", p)
		}
	}()
	for _, fs := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"}} {
		if err := mount(fs.kind, fs.at); err != nil {
			return nil, err
		}
	}
	return do(out)
}

// obey carries out the order.
func (c Config) obey(out *guestlink.Sender) (*guestlink.Final, error) {
	final := &guestlink.Final{}
	order, err := readOrder(guestlink.OrderPath)
	if err != nil {
		return final, err
	}
	run := order.Run
	if order.Probe != nil {
		run = &order.Probe.Run
	}
	if run.Build != c.Build {
		return final, fmt.Errorf("the order is for build %q, this is %q", run.Build, c.Build)
	}
	g := &life{Config: c, out: out, order: run, log: c.Logger(logWriter{out}, run.LogLevel, run.RunID)}
	if order.Probe != nil {
		final.Effects, err = g.probe(order.Probe.Writes)
		return final, err
	}
	final.Report, err = g.run()
	final.Usage = errors.As(err, new(parent.Unmatched))
	return final, err
}

func readOrder(path string) (o guestlink.Order, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = protocol.Decode(b, &o)
	}
	if err != nil {
		return o, fmt.Errorf("read the order: %w", err)
	}
	return o, nil
}

// life is a guest that knows what to do.
type life struct {
	Config
	out   *guestlink.Sender
	order *guestlink.Run
	log   zerolog.Logger

	phase    string
	kernel   *kmsg // nil where its log cannot be followed
	warnings []string
	mods     *modules
}

// machine is what a guest has made of its kernel.
type machine struct {
	mods     *modules
	heard    *heard
	host     report.Host
	warnings []string
}

// prepare follows the kernel's log, answers its requests and loads the modules.
func (g *life) prepare() (*machine, error) {
	m := &machine{heard: &heard{on: func(m report.KernelMessage) { g.send(guestlink.Message{Kernel: &m}) }}}
	var err error
	m.mods, err = newModules(func(m report.Module) { g.send(guestlink.Message{Module: &m}) }, func(name string) { g.mark(markModule, name) })
	if err != nil {
		return nil, err
	}
	// Children that are ordinary users put marks into it, too.
	g.warn(os.Chmod(kmsgDevice, 0o666))
	g.kernel, err = followKmsg(PhaseModules, kmsgEvents{message: m.heard.add, module: m.mods.followed})
	g.warn(err)
	g.progress(guestlink.Progress{Phase: PhaseModules})
	if err := answerKernel(m.mods.request); err != nil {
		g.warn(fmt.Errorf("writes that make the kernel load modules look harmless: %w", err))
	}
	m.mods.boot(g.order.Lean, func(done, total int) {
		g.progress(guestlink.Progress{Phase: PhaseModules, Done: done, Total: total})
	})
	m.host, m.warnings = hostinfo.Read("/")
	g.send(guestlink.Message{Host: &m.host})
	return m, nil
}

// run does a whole run.
func (g *life) run() (*report.Report, error) {
	m, err := g.prepare()
	if err != nil {
		return nil, err
	}
	g.mods = m.mods
	r, rerr := g.verify()
	if g.kernel != nil {
		g.warn(g.kernel.stop())
	}
	m.host.Modules, m.host.Devices = m.mods.report(), r.Host.Devices
	r.Run.Observe = g.order.Observe.Names()
	r.Host, r.Warnings = m.host, slices.Concat(g.warnings, m.warnings, r.Warnings)
	r.KernelMessages = m.heard.report()
	noteGuards(r)
	r.Normalize()
	r.Conclude(report.Ending{Err: rerr})
	return r, rerr
}

// probe makes some writes and tells what changed.
func (g *life) probe(writes []protocol.Assign) ([]report.Effect, error) {
	m, err := g.prepare()
	if err != nil {
		return nil, err
	}
	g.mods = m.mods
	l, err := g.linux()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var planned []parent.Assignment
	for _, w := range writes {
		planned = append(planned, parent.Assignment{Key: sysctl.Key(w.Key), Value: string(w.Value)})
	}
	return parent.Probe(context.Background(), l, g.options(), planned)
}

func (g *life) linux() (*netns.Linux, error) {
	return netns.NewLinux(netns.LinuxConfig{
		Root: sysctl.ProcRoot, Entry: g.Entry, DrainEntry: g.DrainEntry, Build: g.Build,
		LogLevel: g.order.LogLevel, Logger: g.log, Marks: g.marks(),
		Observe: g.order.Observe,
	})
}

func (g *life) verify() (*report.Report, error) {
	m, err := g.linux()
	if err != nil {
		return &report.Report{}, err
	}
	defer m.Close()
	return parent.Run(context.Background(), m, g.options())
}

// options is what was ordered.
func (g *life) options() parent.Options {
	var writers []trace.Writer
	for _, w := range g.order.Writers {
		writers = append(writers, trace.Writer(w))
	}
	// Every kind may be tried: what modules that loads goes with the machine.
	devices := parent.Devices{Kinds: g.order.Devices}
	if len(devices.Kinds) > 0 {
		var err error
		devices.Like, err = parent.HostDevices()
		g.warn(err)
	}
	return parent.Options{
		Seed: g.order.Seed, BatchSize: g.order.BatchSize, Include: g.order.Include, Exclude: g.order.Exclude,
		AllowUntested: g.order.Allow, Lines: g.order.Lines, Lenient: g.order.Lenient,
		Writers: writers, Latches: g.order.Latches, Thorough: g.order.Thorough, Extreme: true,
		Devices:     devices,
		AllowOneWay: g.order.AllowOneWay, DryRun: g.order.DryRun, Settle: g.order.Settle, Deadline: g.order.Deadline,
		Logger: g.log,
		Progress: func(p parent.Progress) {
			g.progress(guestlink.Progress{Phase: string(p.Phase), Done: p.Done, Total: p.Total, Doing: p.Doing, Leaks: p.Leaks})
		},
		Writing:  g.writing,
		Found:    func(l report.Leak) { g.send(guestlink.Message{Leak: &l}) },
		Loadable: g.loadable(), Private: true, Descriptors: g.order.Descriptors, WriteHost: g.order.WriteHost,
		ShowSecrets: g.order.ShowSecrets,
	}
}

// loadable is the modules that came along unloaded, where their loading would be seen.
func (g *life) loadable() []string {
	if !g.order.Observe.Has(observe.Modules) {
		return nil
	}
	return g.mods.unloaded()
}

func (g *life) writing(keys []sysctl.Key) {
	m := &guestlink.Writing{Phase: g.phase, Keys: make([]protocol.Bytes, len(keys))}
	for i, k := range keys {
		m.Keys[i] = protocol.Bytes(k)
	}
	g.send(guestlink.Message{Writing: m})
	if g.phase == string(parent.PhaseDescriptors) && len(keys) == 1 {
		g.mark(child.Mark, string(keys[0])) // it is we who write now
	}
}

func (g *life) progress(p guestlink.Progress) {
	if p.Phase != g.phase {
		g.phase = p.Phase
		g.mark(markPhase, p.Phase)
	}
	g.send(guestlink.Message{Progress: &p})
}

// mark puts a line into the kernel's log, by which what follows can be told.
func (g *life) mark(format, what string) {
	if g.kernel != nil {
		_ = g.kernel.mark(format, what) // what is lost is a hint
	}
}

// marks is where children put theirs.
func (g *life) marks() string {
	if g.kernel == nil {
		return ""
	}
	return kmsgDevice
}

// warn keeps a warning for the report; nil is none.
func (g *life) warn(err error) {
	if err != nil {
		g.warnings = append(g.warnings, err.Error())
	}
}

// send sends what is not worth failing for: if the line does not work, the final
// message will say so by not coming.
func (g *life) send(m guestlink.Message) { _ = g.out.Send(m) }

// logWriter sends what a logger writes: one line at a time (zerolog.New).
type logWriter struct{ out *guestlink.Sender }

func (w logWriter) Write(line []byte) (int, error) {
	return len(line), w.out.Send(guestlink.Message{Log: &guestlink.Log{Line: line}})
}

func mount(kind, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	// What Selected, or the kernel (CONFIG_DEVTMPFS_MOUNT), has mounted is as good.
	if err := unix.Mount(kind, at, kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	return nil
}
