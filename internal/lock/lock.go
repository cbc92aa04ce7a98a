// Package lock is the machine's lock: one run at a time, whoever starts it. It knows
// nothing of runs; whoever writes sysctls takes it first.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockDirs is where the lock may be, the first where it can be. Every user must
// come to the same one: two runs at once would see each other's leaks.
var lockDirs = []string{"/run/lock", "/run", "/tmp"}

// Err is that the lock's file could not be had.
var Err = errors.New("take the machine's lock")

// Take takes the machine's lock: one run at a time. It does not wait. The
// error of a second run names the process that holds it.
func Take() (unlock func(), err error) {
	f, err := File()
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// File takes the same lock. Whoever has the file holds it, until all have
// closed theirs: one process can hand it on to another (flock(2)).
func File() (*os.File, error) {
	for _, dir := range lockDirs {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			continue
		}
		f, err := lockedFile(filepath.Join(dir, "netns-verify.lock"))
		if !errors.Is(err, unix.EROFS) { // where nobody can make it
			return f, err
		}
	}
	return nil, fmt.Errorf("%w: none of %s can have it", Err, strings.Join(lockDirs, ", "))
}

func lockedFile(path string) (*os.File, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", Err, err)
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		_ = f.Close()
		return nil, errors.Join(fmt.Errorf("%w: %s is not a regular file: remove it", Err, path), err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %w", Err, &fs.PathError{Op: "flock", Path: path, Err: err})
		}
		return nil, fmt.Errorf("another run (pid %s) %w %s: wait for it (--wait) or end it", holder(f), errHeld, path)
	}
	Hold(f)
	return f, nil
}

// errHeld is that somebody else has the lock.
var errHeld = errors.New("holds")

// holder is the pid of who has the lock, or unknown: anybody may have written what is in the
// file, and whoever could not write it has the lock all the same. So may a process that has
// it from another one, such as the guardian of a run that was killed.
func holder(f *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(f, 20))
	pid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 31)
	if err == nil && pid != 0 && !errors.Is(unix.Kill(int(pid), 0), unix.ESRCH) {
		return strconv.FormatUint(pid, 10)
	}
	own, err := f.Stat()
	fds, gerr := filepath.Glob("/proc/[0-9]*/fd/*")
	if errors.Join(err, gerr) != nil {
		return "unknown"
	}
	for _, fd := range fds {
		pid := strings.Split(fd, "/")[2]
		if st, err := os.Stat(fd); err == nil && os.SameFile(own, st) && pid != strconv.Itoa(os.Getpid()) {
			comm, _ := os.ReadFile("/proc/" + pid + "/comm") // it may have ended
			return pid + ", " + strconv.QuoteToASCII(strings.TrimSpace(string(comm)))
		}
	}
	return "unknown"
}

// lockPoll is how often a lock is tried that is being waited for: a blocking flock(2) could
// not be given up.
const lockPoll = 100 * time.Millisecond

// Await is File that waits for so long for the lock, until ctx is cancelled.
// Before it does, it says for whom.
func Await(ctx context.Context, wait time.Duration, says func(string)) (*os.File, error) {
	end := time.Now().Add(wait)
	for first := true; ; first = false {
		f, err := File()
		left := time.Until(end)
		if !errors.Is(err, errHeld) || left <= 0 {
			return f, err
		}
		if first {
			says(fmt.Sprintf("waiting at most %v: %v", wait, err))
		}
		select {
		case <-time.After(min(left, lockPoll)):
		case <-ctx.Done():
			return nil, fmt.Errorf("stopped: %w", context.Cause(ctx))
		}
	}
}

// Hold puts our pid into the lock's file. That is for the message above only;
// another user's file is locked all the same.
func Hold(f *os.File) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	}
}

// openLock opens without O_CREAT first: in a sticky directory, root may not
// open another user's file with it (fs.protected_regular, proc_sys_fs(5)).
func openLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			// Enough for flock(2). What somebody has put there may be a pipe.
			f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			_ = f.Chmod(0o644) // every user must be able to open it, whatever our umask
		}
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		} // somebody was faster
	}
}
