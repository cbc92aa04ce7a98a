package vm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killDeadline is the longest wait for a killed QEMU to be gone.
const killDeadline = 10 * time.Second

// nobody is the user that QEMU runs as where we are root.
const nobody = 65534

// process is one QEMU.
type process struct {
	console, result *os.File // what the guest writes to its serial ports
	cmd             *exec.Cmd
	stderr          console
	exited          chan struct{}
	err             error // how it ended, once exited is closed
	killed          sync.Once
	undead          chan struct{} // closed when it should long have ended
}

// errUndead is the error of a QEMU that waits in the kernel for what does not come,
// such as a disk: nothing can end it then.
var errUndead = errors.New("does not end when it is killed")

// start starts QEMU. A machine outlives neither its process nor the end of ours.
func start(path string, g Guest, accel Accel, confined bool) (*process, error) {
	var kept opened
	defer kept.close()
	kernel, initramfs := kept.memory("kernel", g.Kernel), kept.memory("initramfs", g.Initramfs)
	consoleR, consoleW := kept.pipe()
	resultR, resultW := kept.pipe()
	if kept.err != nil {
		return nil, kept.err
	}
	argv := arguments(g, accel, confined)
	files := []*os.File{kernel, initramfs, consoleW, resultW} // in the order of kernelFD and so on
	p := &process{console: consoleR, result: resultR, undead: make(chan struct{})}
	err := p.run(path, argv, files, unprivileged(accel))
	if refused := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES); refused && os.Geteuid() == 0 {
		err = p.run(path, argv, files, nil) // no such user where we are, or QEMU is not for everybody
	}
	if err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	kept.take(consoleR, resultR)
	return p, nil
}

func (p *process) run(path string, argv []string, files []*os.File, as *syscall.Credential) error {
	p.cmd = exec.Command(path, argv...)
	p.cmd.Dir = "/"
	p.cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	p.cmd.ExtraFiles = files
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second
	// A Ctrl-C is for us: we end QEMU when there is nothing more to learn from it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL, Credential: as}
	p.exited = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the thread that started QEMU ends, so that thread
		// stays until QEMU is gone (golang/go#27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			// That somebody had its stderr open for longer is no failure of QEMU.
			if p.err = p.cmd.Wait(); errors.Is(p.err, exec.ErrWaitDelay) {
				p.err = nil
			}
		}
		close(p.exited)
	}()
	return <-started
}

// kill ends QEMU. Nobody waits for it, or for what it writes, much longer, whether
// that ends it or not.
func (p *process) kill(end func(*os.Process) error, patience time.Duration) {
	p.killed.Do(func() {
		_ = end(p.cmd.Process) // gone already is as good
		for _, port := range []*os.File{p.console, p.result} {
			_ = port.SetReadDeadline(time.Now().Add(patience)) // pipes can do that
		}
		time.AfterFunc(patience, func() { close(p.undead) })
	})
}

// wait waits until QEMU, which has been killed, is gone.
func (p *process) wait() error {
	select {
	case <-p.exited:
		return p.err
	case <-p.undead:
		return fmt.Errorf("QEMU (process %d) %w", p.cmd.Process.Pid, errUndead)
	}
}

// unprivileged is whom QEMU may run as instead of root: nobody, in the group that
// the acceleration's device is for.
func unprivileged(accel Accel) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	c := &syscall.Credential{Uid: nobody, Gid: nobody}
	if accel != KVM {
		return c
	}
	var st unix.Stat_t
	switch err := unix.Stat(kvmDevice, &st); {
	case err != nil:
		return nil
	case st.Mode&0o006 == 0o006:
	case st.Mode&0o060 == 0o060:
		c.Groups = []uint32{st.Gid}
	default:
		return nil
	}
	return c
}

// opened closes what was opened, whatever fails in between.
type opened struct {
	files []*os.File
	err   error
}

func (o *opened) add(err error, files ...*os.File) {
	if o.err == nil {
		o.err = err
	}
	if err == nil {
		o.files = append(o.files, files...)
	}
}

// memory makes a file that exists nowhere but in memory (memfd_create(2)), and that
// nobody can change any more.
func (o *opened) memory(name string, content []byte) *os.File {
	fd, err := unix.MemfdCreate("netns-verify-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		o.add(fmt.Errorf("make a file in memory: %w", err))
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	o.add(nil, f)
	if _, err := f.Write(content); err != nil {
		o.add(fmt.Errorf("fill a file in memory: %w", err))
		return f
	}
	const sealed = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, sealed); err != nil {
		o.add(fmt.Errorf("seal a file in memory: %w", err))
	}
	return f
}

func (o *opened) pipe() (r, w *os.File) {
	r, w, err := os.Pipe()
	o.add(err, r, w)
	return r, w
}

// take keeps files open.
func (o *opened) take(files ...*os.File) {
	for _, f := range files {
		for i, g := range o.files {
			if f == g {
				o.files[i] = nil
			}
		}
	}
}

func (o *opened) close() {
	for _, f := range o.files {
		_ = f.Close() // a nil file only says so
	}
}
