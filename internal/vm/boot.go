package vm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/guestlink"
)

// Accel is what runs the guest's instructions.
type Accel string

// The accelerations. Auto is KVM where that works, else TCG.
const (
	Auto Accel = "auto"
	KVM  Accel = "kvm"
	TCG  Accel = "tcg"
)

const (
	kvmDevice = "/dev/kvm"
	program   = "qemu-system-x86_64"
	// DefaultGrace is how long a guest under KVM may take to say hello, if TCG may
	// be tried instead. It takes a second where KVM works.
	DefaultGrace = 10 * time.Second
)

// ErrNoQEMU is the error of a machine without QEMU.
var ErrNoQEMU = errors.New(program + " is not in PATH")

// ErrOff is the error of a guest that ended its machine itself, without a last word.
var ErrOff = errors.New("the guest rebooted or powered off")

// ErrSilent is the error of a guest that said nothing for Guest.Timeout.
var ErrSilent = errors.New("the guest was silent")

var errGrace = errors.New("the guest did not say hello in time")

// QEMU boots guests, one or several at a time.
type QEMU struct {
	// Accel is what was asked for.
	Accel Accel
	// Build is ours: a guest of another one is refused.
	Build string
	// Grace is for tests; 0 means DefaultGrace.
	Grace time.Duration
	// Logger hears of it once if KVM does not work.
	Logger zerolog.Logger

	// What tests say otherwise: kvmDevice, os.Process.Kill, killDeadline.
	kvm      string
	kill     func(*os.Process) error
	patience time.Duration

	mu    sync.Mutex
	noKVM bool // it was tried and does not work
}

// Guest is a machine to be made.
type Guest struct {
	// Kernel and Initramfs are the images. The latter's /init is our binary.
	Kernel, Initramfs []byte
	// Append is more words for the kernel's command line.
	Append   []string
	MemoryMB int
	CPUs     int
	// Timeout is how long the guest may say nothing.
	Timeout time.Duration
	// Console, if not nil, gets all that the kernel writes to its console.
	Console io.Writer
}

// Result is how a guest ended.
type Result struct {
	// Accel is what ran it in the end.
	Accel Accel
	// Boot is the time from the start of QEMU to the guest's hello.
	Boot time.Duration
	// Final is the guest's last word; nil where there was none.
	Final *guestlink.Final
	// Console is the last lines of the kernel's console.
	Console []string
}

// Check tells whether QEMU is there: the error is ErrNoQEMU.
func (q *QEMU) Check() error {
	_, err := find()
	return err
}

func find() (path string, err error) {
	if path, err = exec.LookPath(program); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoQEMU, err)
	}
	return path, nil
}

// Boot makes a machine, passes the guest's messages on, hello first and the final
// one included, and ends the machine. The result is never nil; without a final
// message the error says what became of the guest. ctx ends it early, with its cause.
func (q *QEMU) Boot(ctx context.Context, g Guest, on func(guestlink.Message)) (*Result, error) {
	path, err := find()
	if err != nil {
		return &Result{}, err
	}
	if q.Accel != Auto {
		return q.try(ctx, path, g, q.Accel, 0, on)
	}
	if q.kvmWorks() {
		said := false
		r, err := q.try(ctx, path, g, KVM, cmp.Or(q.Grace, DefaultGrace), func(m guestlink.Message) {
			said = true
			on(m)
		})
		if err == nil || said || ctx.Err() != nil {
			return r, err
		}
		q.kvmFails(err)
	}
	return q.try(ctx, path, g, TCG, 0, on)
}

// kvmWorks tells whether KVM is worth a try.
func (q *QEMU) kvmWorks() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noKVM {
		return false
	}
	f, err := os.OpenFile(cmp.Or(q.kvm, kvmDevice), os.O_RDWR, 0)
	if err != nil {
		q.noKVM = true
		return false
	}
	_ = f.Close()
	return true
}

// kvmFails remembers that it does not work, and says so once.
func (q *QEMU) kvmFails(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.noKVM {
		q.Logger.Warn().Str("error", why.Error()).Msg("KVM does not work here: emulating the processor (TCG)")
	}
	q.noKVM = true
}

// try boots once with one acceleration. A guest that says nothing within the
// grace period, if there is one, is ended.
func (q *QEMU) try(ctx context.Context, path string, g Guest, accel Accel, grace time.Duration, on func(guestlink.Message)) (*Result, error) {
	r, err := q.once(ctx, path, g, accel, true, grace, on)
	var ended *exitError
	if r.Boot == 0 && errors.As(err, &ended) && strings.Contains(ended.stderr, "-sandbox") {
		return q.once(ctx, path, g, accel, false, grace, on) // this QEMU was built without
	}
	return r, err
}

func (q *QEMU) once(ctx context.Context, path string, g Guest, accel Accel, confined bool, grace time.Duration, on func(guestlink.Message)) (*Result, error) {
	r := &Result{Accel: accel}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(g.Timeout, func() { cancel(fmt.Errorf("%w for %v (--timeout)", ErrSilent, g.Timeout)) })
	defer silent.Stop()
	began := time.Now()
	p, err := start(path, g, accel, confined)
	if err != nil {
		return r, err
	}
	kill := func() {
		end := q.kill
		if end == nil {
			end = (*os.Process).Kill
		}
		p.kill(end, cmp.Or(q.patience, killDeadline))
	}
	defer context.AfterFunc(ctx, kill)()
	hurry := func() bool { return true }
	if grace > 0 {
		hurry = time.AfterFunc(grace, func() { cancel(fmt.Errorf("%w (%v)", errGrace, grace)) }).Stop
	}
	text := &console{keep: g.Console}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(text, p.console) }) // until QEMU is gone

	r.Final, err = guestlink.Receive(p.result, q.Build, func(m guestlink.Message) error {
		silent.Reset(g.Timeout)
		if m.Hello != nil {
			if !hurry() {
				return errGrace // and QEMU is being killed
			}
			r.Boot = time.Since(began)
		}
		on(m)
		return nil
	})
	if errors.Is(err, guestlink.ErrNoFinal) {
		select {
		case <-p.exited: // nobody else holds the port: it says more than we could by killing it
		case <-ctx.Done():
		}
	}
	kill() // there is nothing in the machine that would be worth shutting down
	werr := p.wait()
	reading.Wait()
	_, _ = p.console.Close(), p.result.Close()
	r.Console = text.tail()
	switch {
	case errors.Is(werr, errUndead):
		if cause := cmp.Or(context.Cause(ctx), err); cause != nil {
			werr = fmt.Errorf("%w; %w", cause, werr)
		}
		return r, werr
	case err == nil && text.err != nil:
		return r, fmt.Errorf("keep the console: %w", text.err)
	case err == nil:
		return r, nil
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case errors.Is(err, guestlink.ErrNoFinal):
		stderr := p.stderr.tail()
		stderr = stderr[max(0, len(stderr)-maxStderr):]
		return r, &exitError{err: werr, panic: panicked(r.Console), stderr: strings.Join(stderr, "; "), hello: r.Boot > 0}
	}
	return r, fmt.Errorf("guest: %w", err)
}

// exitError is the error of a guest that ended without a last word.
type exitError struct {
	err           error // of QEMU
	panic, stderr string
	hello         bool
}

func (e *exitError) Error() string {
	when := "before it said hello"
	if e.hello {
		when = "without a last word"
	}
	switch {
	case e.panic != "":
		return fmt.Sprintf("the guest's kernel panicked %s: %s", when, e.panic)
	case e.err == nil:
		return fmt.Sprintf("%v %s", ErrOff, when)
	case e.stderr != "":
		return fmt.Sprintf("QEMU ended (%v) %s: %s", e.err, when, e.stderr)
	}
	return fmt.Sprintf("QEMU ended (%v) %s", e.err, when)
}

func (e *exitError) Unwrap() error {
	if e.panic == "" && e.err == nil {
		return ErrOff
	}
	return e.err
}
