package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"
)

const lockEntry = "test-lock"

func init() {
	reexec.Register(lockEntry, func() {
		unlock, err := lockFile(os.Args[1])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		unlock()
		os.Exit(0)
	})
}

// lockAs takes the lock in another process, as another user where uid is not
// ours, and returns what it says.
func lockAs(t *testing.T, uid int, path string) (ok bool, says string) {
	t.Helper()
	cmd := reexec.Command(lockEntry, path)
	if uid != os.Getuid() {
		if os.Getuid() != 0 {
			t.Skip("only root can become another user")
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		cmd.Dir = "/"
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil, string(out)
}

// openDir is a directory like /run/lock, for everybody.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lock") // t.TempDir is in one that is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("another run (pid %d) holds %s", os.Getpid(), path)
	if _, err := lockFile(path); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("in the same process: %v, want %s", err, want)
	}
	if ok, says := lockAs(t, os.Getuid(), path); ok || !strings.Contains(says, want) {
		t.Errorf("in another process: %v %q, want %s", ok, says, want)
	}
	unlock()
	if ok, says := lockAs(t, os.Getuid(), path); !ok {
		t.Errorf("after it was given back: %s", says)
	}
}

// The pid in the file may be longer or shorter than ours, or anything else.
func TestLockContent(t *testing.T) {
	for _, old := range []string{"", "4194303\n", "1\n", strings.Repeat("x", 1<<16)} {
		path := filepath.Join(t.TempDir(), "lock")
		if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
			t.Fatal(err)
		}
		unlock, err := lockFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != strconv.Itoa(os.Getpid())+"\n" {
			t.Errorf("after %.20q: %q, %v", old, got, err)
		}
		unlock()
	}
}

// Every user comes to the same lock, whoever made the file.
func TestLockOfOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	const other, third = 65534, 65533
	old := unix.Umask(0o077) // as root often has it
	defer unix.Umask(old)
	dir := openDir(t)

	ours := filepath.Join(dir, "ours")
	unlock, err := lockFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("another run (pid %d) holds", os.Getpid())
	if ok, says := lockAs(t, other, ours); ok || !strings.Contains(says, want) {
		t.Errorf("another user while we have it: %v %q", ok, says)
	}
	unlock()
	if ok, says := lockAs(t, other, ours); !ok {
		t.Errorf("another user afterwards: %s", says)
	}

	theirs := filepath.Join(dir, "theirs")
	if ok, says := lockAs(t, other, theirs); !ok {
		t.Fatalf("a file of their own: %s", says)
	}
	if ok, says := lockAs(t, third, theirs); !ok {
		t.Errorf("a third user: %s", says)
	}
	if unlock, err = lockFile(theirs); err != nil {
		t.Fatalf("root, another user's file: %v", err)
	}
	if ok, says := lockAs(t, other, theirs); ok || !strings.Contains(says, want) {
		t.Errorf("the owner while we have it: %v %q", ok, says)
	}
	unlock()

	closed := filepath.Join(dir, "closed")
	if err := os.WriteFile(closed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, says := lockAs(t, other, closed); ok || !strings.Contains(says, "permission denied") {
		t.Errorf("a file that is closed to others: %v %q", ok, says)
	}
}

// What lies at the lock's place is not followed and not overwritten.
func TestLockElsewhere(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		link:                                 unix.ELOOP,
		filepath.Join(dir, "absent", "lock"): unix.ENOENT,
	} {
		unlock, err := lockFile(path)
		if err == nil {
			unlock()
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "precious\n" {
		t.Errorf("what the link led to: %q, %v", got, err)
	}
}

// What somebody else has put where the lock is keeps nobody waiting, and what is in it
// is shown only if it is a pid.
func TestLockIsOdd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("\x1b[2Jx"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := lockFile(path); err == nil || !strings.Contains(err.Error(), "(pid unknown)") {
		t.Errorf("%q", err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(pipe, os.O_RDWR, 0) // so that reading it would wait
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if _, err := lockFile(pipe); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("%v", err)
	}
}

func lockFile(path string) (unlock func(), err error) {
	f, err := lockedFile(path)
	return func() { _ = f.Close() }, err
}
