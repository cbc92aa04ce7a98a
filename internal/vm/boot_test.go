package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/guestlink"
	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// answering is a guest that says hello, repeats its command line and ends.
func answering(t *testing.T) Guest {
	t.Helper()
	file, _ := testenv.NeedFiles(t, "6.1-cloud")
	image, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "answering")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, "./testdata/answering")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exe, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := initramfs.Write(&archive, initramfs.Contents{Executable: exe}); err != nil {
		t.Fatal(err)
	}
	return Guest{Kernel: image, Initramfs: archive.Bytes(), MemoryMB: 256, CPUs: 1, Timeout: time.Minute}
}

// qemu puts a QEMU into the path that begins with some lines of shell of ours.
func qemu(t *testing.T, script string) {
	t.Helper()
	real, err := find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := fmt.Sprintf("#!/bin/sh\n%s\nexec %s \"$@\"\n", script, real)
	if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // it runs as nobody
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

// A QEMU whose KVM opens and hangs, or fails at once, is used without, and that
// is said once.
func TestKVMFallback(t *testing.T) {
	g := answering(t)
	g.Append = []string{"one", "two"}
	for name, broken := range map[string]string{"hangs": "exec /bin/sleep 1000", "fails": "echo no such luck >&2; exit 1"} {
		t.Run(name, func(t *testing.T) {
			qemu(t, `case "$*" in *accel=kvm*) `+broken+`;; esac`)
			var log bytes.Buffer
			q := &QEMU{Accel: Auto, Build: "x", Grace: time.Second, kvm: os.DevNull, Logger: zerolog.New(&log)}
			for range 2 {
				var heard []guestlink.Message
				r, err := q.Boot(context.Background(), g, func(m guestlink.Message) { heard = append(heard, m) })
				if err != nil || r.Accel != TCG || r.Boot <= 0 || len(heard) != 2 || heard[0].Hello == nil || heard[1].Final != r.Final {
					t.Fatalf("%+v, %v, heard %+v", r, err, heard)
				}
				if !strings.Contains(r.Final.Error, " one two ") {
					t.Errorf("command line %q", r.Final.Error)
				}
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `"warn"`) {
				t.Errorf("logged %q", log.String())
			}
		})
	}
}

// A QEMU that is not ended by being killed, and one whose pipes somebody else has
// too: we go on without.
func TestUndead(t *testing.T) {
	g := answering(t)
	enough := errors.New("enough")
	boot := func(t *testing.T, kill func(*os.Process) error) error {
		ctx, cancel := context.WithCancelCause(t.Context())
		g := g
		g.Console = writer(func() { cancel(enough) })
		q := &QEMU{Accel: TCG, Build: "x", kill: kill, patience: time.Millisecond}
		_, err := q.Boot(ctx, g, func(guestlink.Message) {})
		if !errors.Is(err, enough) {
			t.Error(err)
		}
		return err
	}
	console := fmt.Sprintf(">&%d", consoleFD)
	t.Run("undead", func(t *testing.T) {
		qemu(t, "echo up "+console+"; exec /bin/sleep 1000")
		err := boot(t, func(p *os.Process) error {
			t.Cleanup(func() { _ = p.Kill() })
			return nil
		})
		if !errors.Is(err, errUndead) {
			t.Error(err)
		}
	})
	t.Run("survived", func(t *testing.T) {
		note := filepath.Join(t.TempDir(), "survivor")
		writable(t, note)
		qemu(t, "/bin/sleep 1000 & echo $! >"+note+"; echo up "+console+"; exec /bin/sleep 1000")
		_ = boot(t, nil)
		b, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil {
			err = unix.Kill(pid, unix.SIGKILL)
		}
		if err != nil {
			t.Errorf("nobody has survived: %v", err)
		}
	})
}

// writer does something when it is written to.
type writer func()

func (w writer) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

// writable makes a file that a QEMU can write to, which runs as nobody.
func writable(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o666); err != nil {
		t.Fatal(err)
	}
	for d := filepath.Dir(name); d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Without KVM's device there is nothing to warn of.
func TestNoKVM(t *testing.T) {
	g := answering(t)
	var log bytes.Buffer
	q := &QEMU{Accel: Auto, Build: "x", kvm: filepath.Join(t.TempDir(), "none"), Logger: zerolog.New(&log)}
	if r, err := q.Boot(context.Background(), g, func(guestlink.Message) {}); err != nil || r.Accel != TCG || log.Len() > 0 {
		t.Errorf("%+v, %v, logged %q", r, err, log.String())
	}
}

// A QEMU that was built without its sandbox is used all the same.
func TestNoSandbox(t *testing.T) {
	g := answering(t)
	qemu(t, `case "$*" in *-sandbox*) echo "-sandbox support is not enabled in this QEMU binary" >&2; exit 1;; esac`)
	q := &QEMU{Accel: TCG, Build: "x"}
	if _, err := q.Boot(context.Background(), g, func(guestlink.Message) {}); err != nil {
		t.Error(err)
	}
}

// A guest of another build is not listened to.
func TestOtherBuild(t *testing.T) {
	g := answering(t)
	q := &QEMU{Accel: TCG, Build: "y"}
	r, err := q.Boot(context.Background(), g, func(m guestlink.Message) { t.Errorf("heard %+v", m) })
	if err == nil || !strings.Contains(err.Error(), `build "x"`) || r.Final != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// QEMU does not run as root, and sees nothing of ours but what it was given.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	g := answering(t)
	note := filepath.Join(t.TempDir(), "note")
	writable(t, note)
	qemu(t, "/usr/bin/id -u > "+note+"; /usr/bin/env >> "+note)
	t.Setenv("SECRET", "x")
	q := &QEMU{Accel: TCG, Build: "x"}
	if _, err := q.Boot(context.Background(), g, func(guestlink.Message) {}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(note); err != nil || !strings.HasPrefix(string(b), "65534\n") || strings.Contains(string(b), "SECRET") {
		t.Errorf("%q, %v", b, err)
	}
}
