package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/moby/sys/reexec"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// LinuxConfig says how children are started on the running kernel.
type LinuxConfig struct {
	// Root is the sysctl directory, normally sysctl.ProcRoot.
	Root string
	// Entry and DrainEntry are the names that cmd registered the child's mains
	// under. No DrainEntry: Drain waits a fixed time.
	Entry, DrainEntry string
	// UserNS puts every child into a user namespace of its own: all that is left
	// to who may not make network namespaces otherwise.
	UserNS bool
	// Build identifies this binary; a child of another one is refused.
	Build string
	// LogLevel is the children's (zerolog's names).
	LogLevel string
	Logger   zerolog.Logger
	// Marks is the kernel's log (/dev/kmsg), where children then mark each write
	// before they make it; empty for none.
	Marks string
	// Observe is what is watched on the host beside its network sysctls.
	Observe observe.Kinds
}

// Linux is the Machine under us.
type Linux struct {
	cfg     LinuxConfig
	netns   uint64
	userns  uint64 // 0 in a kernel without user namespaces
	covered []string
	drain   *drain
}

// NewLinux finds out where we are. It starts nothing that lives in a network
// namespace of its own yet.
func NewLinux(cfg LinuxConfig) (*Linux, error) {
	var st unix.Stat_t
	const self = "/proc/self/ns/net"
	if err := unix.Stat(self, &st); err != nil {
		return nil, fmt.Errorf("find own network namespace: %w", &os.PathError{Op: "stat", Path: self, Err: err})
	}
	covered, err := sysctl.Covered(cfg.Root)
	if err != nil {
		return nil, err
	}
	return &Linux{cfg: cfg, netns: st.Ino, userns: hostinfo.UserNamespace(), covered: covered, drain: startDrain(cfg.DrainEntry)}, nil
}

// Covered is Options.Covered of this machine.
func (l *Linux) Covered() []string { return l.covered }

// Close ends what NewLinux started.
func (l *Linux) Close() { l.drain.close() }

// Host implements Machine.
func (l *Linux) Host() sysctl.Tree {
	return observe.New(sysctl.NewProc(l.cfg.Root).Without(l.covered), "/proc", "/sys", l.cfg.Observe)
}

// NFLog implements Machine.
func (l *Linux) NFLog() string {
	b, err := os.ReadFile("/proc/net/netfilter/nf_log")
	if err != nil {
		return "" // no netfilter in this kernel
	}
	return string(b)
}

// Drain implements Machine.
func (l *Linux) Drain(ctx context.Context) error { return l.drain.wait(ctx) }

// Start implements Machine. The error wraps the errno of clone(2).
func (l *Linux) Start(_ context.Context, role Role) (*Process, error) {
	p, err := l.start(role)
	if err != nil {
		return nil, fmt.Errorf("start %s in a new network namespace: %w", role, err)
	}
	return p, nil
}

func (l *Linux) start(role Role) (*Process, error) {
	var pipes Pipes
	defer pipes.CloseChildEnds()
	requestsR, requestsW := pipes.Add()
	repliesR, repliesW := pipes.Add()
	socket, socketChild := pipes.addSocket()
	if pipes.Err != nil {
		pipes.CloseAll()
		return nil, pipes.Err
	}
	pipes.ChildEnds = []*os.File{requestsR, repliesW, socketChild}

	tail := &logTail{log: l.cfg.Logger.With().Str("role", string(role)).Logger()}
	cmd := reexec.Command(l.cfg.Entry, string(role), l.cfg.Root, l.cfg.LogLevel, l.cfg.Marks)
	cmd.ExtraFiles = pipes.ChildEnds
	cmd.Stderr = tail
	cmd.WaitDelay = time.Second // whoever else has stderr open is not waited for
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	own := l.cfg.UserNS || role == RoleUserWriter
	if own {
		asOrdinaryUser(cmd.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the parent, which still needs its children

	started, exited := make(chan error, 1), make(chan struct{})
	var waitErr error
	go func() {
		// Pdeathsig fires when the thread that started the child ends, so that
		// thread stays until the child is gone (golang/go#27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			waitErr = goodEnd(cmd.Wait())
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		pipes.CloseAll()
		return nil, err
	}
	kill := sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // already gone is as good
		_ = requestsW.Close()
		_ = repliesR.Close()
		_ = socket.Close()
	})
	return &Process{
		Requests: requestsW, Replies: repliesR, Kill: kill,
		Wait: func() error {
			<-exited
			return tail.explain(waitErr)
		},
		Build: l.cfg.Build, NotNetNS: l.netns, UserNS: l.userns, OwnUserNS: own,
		Receive: func() (sysctl.Handle, error) { return receive(socket) },
	}, nil
}

// goodEnd is how a process ended. That somebody had its output open for longer is no
// failure: a process that was being started just then, on a busy machine, or a descendant.
func goodEnd(err error) error {
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// asOrdinaryUser makes the child root in a user namespace of its own, which
// owns its network namespace too (clone(2)), and an ordinary user outside.
func asOrdinaryUser(a *syscall.SysProcAttr) {
	// Root mapped to itself would still be root to much of the kernel.
	uid, gid := os.Getuid(), os.Getgid()
	if hostinfo.Who("/").KernelRoot {
		uid, gid = hostinfo.Nobody, hostinfo.Nobody
	}
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings, a.GidMappings = selfMap(uid), selfMap(gid)
	a.Credential = &syscall.Credential{NoSetGroups: true} // may not be set in there (user_namespaces(7))
}

// Pipes makes pipes and closes the right ends of them, whatever fails.
type Pipes struct {
	all, ChildEnds []*os.File
	Err            error
}

func (p *Pipes) Add() (r, w *os.File) {
	if p.Err != nil {
		return nil, nil
	}
	r, w, p.Err = os.Pipe()
	if p.Err == nil {
		p.all = append(p.all, r, w)
	}
	return r, w
}

func (p *Pipes) addSocket() (ours, childs *os.File) {
	if p.Err != nil {
		return nil, nil
	}
	ours, childs, p.Err = socketPair()
	if p.Err == nil {
		p.all = append(p.all, ours, childs)
	}
	return ours, childs
}

// CloseChildEnds must follow the start at once: as long as the parent holds a
// copy, it gets no EOF when the child dies.
func (p *Pipes) CloseChildEnds() {
	for _, f := range p.ChildEnds {
		_ = f.Close()
	}
}

func (p *Pipes) CloseAll() {
	for _, f := range p.all {
		_ = f.Close()
	}
}

// logTail passes a child's stderr on to the log and remembers the last line.
type logTail struct {
	log  zerolog.Logger
	part []byte
	last string
}

const maxLogLine = 64 << 10

// Write is only called by the copying goroutine of exec.Cmd.
func (t *logTail) Write(b []byte) (int, error) {
	t.part = append(t.part, b...)
	for {
		line, rest, ok := bytes.Cut(t.part, []byte("\n"))
		if !ok {
			if len(t.part) > maxLogLine {
				t.line(t.part)
				t.part = nil
			}
			return len(b), nil
		}
		t.line(line)
		t.part = rest
	}
}

func (t *logTail) line(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	level, message, fields := parseLogLine(line)
	if level >= zerolog.InfoLevel {
		t.last = message
		if e, ok := fields["error"].(string); ok {
			t.last += ": " + e
		}
	}
	t.log.WithLevel(level).Fields(fields).Msg(message)
}

// explain adds the child's last words to how it ended. It is called after the
// copying is over.
func (t *logTail) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if len(t.part) > 0 {
		t.line(t.part)
		t.part = nil
	}
	if t.last == "" {
		return err
	}
	return fmt.Errorf("%w; its last words: %.500s", err, t.last)
}
