package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/guestlink"
)

func TestArguments(t *testing.T) {
	g := Guest{MemoryMB: 512, CPUs: 2}
	want := "-no-user-config -nodefaults -machine q35,vmport=off,smbus=off,sata=off,usb=off,accel=tcg -cpu max,erms=off,fsrm=off -smp 2 -m 512M -display none -nic none -no-reboot" +
		" -kernel /proc/self/fd/3 -initrd /proc/self/fd/4 -append " + cmdline(nil) +
		" -add-fd fd=5,set=5 -chardev file,id=port5,path=/dev/fdset/5,append=on -serial chardev:port5" +
		" -add-fd fd=6,set=6 -chardev file,id=port6,path=/dev/fdset/6,append=on -serial chardev:port6"
	if got := strings.Join(arguments(g, TCG, false), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want += " -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny"
	if got := strings.Join(arguments(g, TCG, true), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCmdline(t *testing.T) {
	got := strings.Fields(cmdline([]string{"panic=0", "x"}))
	if i, j := slices.Index(got, "panic=-1"), slices.Index(got, "panic=0"); i < 0 || j < i {
		t.Errorf("what is asked for does not come last: %q", got)
	}
	if got[len(got)-1] != "netns_verify_guest" {
		t.Errorf("the guest is not told that it is one: %q", got)
	}
}

func TestConsole(t *testing.T) {
	var kept bytes.Buffer
	c := &console{keep: &kept}
	var all strings.Builder
	for i := range 70 {
		fmt.Fprintf(&all, "line %d\r\n", i)
	}
	all.WriteString("\x1b[2J\x1bclast\tone\x07")
	for _, b := range []byte(all.String()) { // bytes come as they like
		_, _ = c.Write([]byte{b})
	}
	tail := c.tail()
	if kept.String() != all.String() || len(tail) != tailLines || tail[0] != "line 21" || tail[tailLines-1] != "[2Jclast one" {
		t.Errorf("%d lines, %q ... %q", len(tail), tail[0], tail[len(tail)-1])
	}
	endless := &console{}
	for range 100 {
		_, _ = endless.Write(bytes.Repeat([]byte("x"), 10_000))
	}
	if len(endless.part) > maxLine+10_000 || len(endless.tail()) != tailLines {
		t.Errorf("a line without end takes %d bytes, %d lines", len(endless.part), len(endless.last))
	}
	if why := panicked([]string{"x", "[ 1.0] Kernel panic - not syncing: sysrq triggered crash"}); why != "sysrq triggered crash" {
		t.Errorf("panic: %q", why)
	}
	failing := &console{keep: full{}}
	if n, err := failing.Write([]byte("a\n")); n != 2 || err != nil || !errors.Is(failing.err, errFull) {
		t.Errorf("%d, %v, %v", n, err, failing.err) // the guest must not wait for our disk
	}
}

var errFull = errors.New("no space")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestNoQEMU(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	q := &QEMU{Accel: TCG}
	r, err := q.Boot(context.Background(), Guest{Timeout: time.Minute}, func(guestlink.Message) {})
	if r == nil || !errors.Is(err, ErrNoQEMU) || !errors.Is(q.Check(), ErrNoQEMU) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestKVMFailsOnce(t *testing.T) {
	var log bytes.Buffer
	q := &QEMU{Logger: zerolog.New(&log)}
	q.kvmFails(errGrace)
	q.kvmFails(errGrace)
	if strings.Count(log.String(), "\n") != 1 || q.kvmWorks() {
		t.Errorf("logged %q", log.String())
	}
}

func TestOff(t *testing.T) {
	for _, tc := range []struct {
		err  *exitError
		want bool
	}{
		{&exitError{}, true},
		{&exitError{hello: true}, true},
		{&exitError{panic: "x"}, false},
		{&exitError{err: errFull}, false},
	} {
		if errors.Is(tc.err, ErrOff) != tc.want {
			t.Errorf("%v: %v", tc.err, !tc.want)
		}
	}
}

// What QEMU is given to boot it cannot change.
func TestMemoryIsSealed(t *testing.T) {
	var o opened
	defer o.close()
	f := o.memory("kernel", []byte("image"))
	if o.err != nil {
		t.Fatal(o.err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("written to: %v", err)
	}
	if err := f.Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncated: %v", err)
	}
}
