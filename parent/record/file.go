package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// name is the file's: there is one run at a time.
const name = "journal"

// Path is where the calling user's journal is, or is to be: in /run for root, else where
// the user's session has what does not outlive it, or, without one, in a directory of the
// user's own below /tmp. One that is in a place which another environment would choose
// is found there.
func Path() string {
	uid := os.Geteuid()
	if uid == 0 {
		return "/run/netns-verify/" + name
	}
	paths := pathsOf(uid)
	for _, p := range paths {
		if ownerOf(p) == uid && ownerOf(filepath.Dir(p)) == uid { // others can make such files in /tmp
			return p
		}
	}
	return paths[0]
}

// pathsOf is where a user's journal may be, the best place first.
func pathsOf(uid int) (paths []string) {
	id := strconv.Itoa(uid)
	for _, session := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + id} {
		if filepath.IsAbs(session) && ownerOf(session) == uid { // not of whoever became this user
			paths = append(paths, filepath.Join(session, "netns-verify", name))
		}
	}
	for _, tmp := range []string{os.TempDir(), "/tmp"} {
		paths = append(paths, filepath.Join(tmp, "netns-verify-"+id, name))
	}
	return paths
}

func ownerOf(path string) (uid int) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return -1
	}
	return int(st.Uid)
}

// OfUsers is the journals of users other than root, in the usual places. Root must not
// believe them, as their users can write anything into them, but should know.
func OfUsers() []string {
	var found []string
	for _, place := range []struct{ before, after string }{{"/run/user/", "/netns-verify/" + name}, {"/tmp/netns-verify-", "/" + name}} {
		some, _ := filepath.Glob(place.before + "*" + place.after) // only a bad pattern fails
		for _, p := range some {
			uid := ownerOf(p)
			if uid > 0 && p == place.before+strconv.Itoa(uid)+place.after { // others can make such files in /tmp
				found = append(found, p)
			}
		}
	}
	return found
}

// Unlinked makes a record's file that has no name: it is there for as long as somebody has
// it open, such as a guardian.
func Unlinked() (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "unlinked journal"), nil
}

// file is a record's that is being written. Nothing is synced: neither it nor what it is
// about outlives a crash of the kernel.
type file struct {
	*os.File
	path string
	size int64
}

// create makes the file with its first lines, whole or not at all.
func create(path string, first []Line) (*file, error) {
	dir := filepath.Dir(path)
	if err := private(dir); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, &fs.PathError{Op: "create", Path: path, Err: unix.EEXIST}
	}
	part := partOf(path) // one that was left over is of no use to anybody
	tmp, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	f := &file{File: tmp, path: path}
	if err = f.append(first...); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_, _ = os.Remove(part), tmp.Close() // what went wrong has been found out
		return nil, err
	}
	return f, nil
}

// partOf is the file's name while it is not whole yet.
func partOf(path string) string { return filepath.Join(filepath.Dir(path), "."+name) }

// private makes sure of a directory to which nobody else can write.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return isPrivate(dir)
}

func isPrivate(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o022 != 0 || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a directory that only this user can write to", dir)
	}
	return nil
}

// append adds lines with one write(2), all of them or nothing.
func (f *file) append(ls ...Line) error {
	var b []byte
	for _, l := range ls {
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		b = append(append(b, text...), '\n')
	}
	if f.size+int64(len(b)) > maxFile {
		return &fs.PathError{Op: "write", Path: f.path, Err: unix.EFBIG}
	}
	if _, err := f.WriteAt(b, f.size); err != nil {
		_ = f.Truncate(f.size) // a part of it may be there
		var pe *fs.PathError
		if errors.As(err, &pe) {
			pe.Path = f.path // not that of the time before it was whole
		}
		return err
	}
	f.size += int64(len(b))
	return nil
}

// Remove ends a journal of which nothing is needed any more, and its directory. One
// that is gone is as good.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove journal: %w", err)
	}
	_ = os.Remove(partOf(path))       // of a run that was killed before it was whole
	_ = os.Remove(filepath.Dir(path)) // there may be something else in it
	return nil
}
