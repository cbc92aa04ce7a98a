package main

import (
	"bytes"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// stdoutClosed is not 0 where the process was started with stdout closed. Go's runtime
// puts /dev/null in the place of a closed stream, so that no other file gets its number,
// before any code of ours can look. So entry_*.s looks before the runtime does, in
// programs that are linked with -E netns_verify_entry (make build). In others a closed
// stdout is like /dev/null.
var stdoutClosed byte

// standardOutput is stdout. Where it was closed, all writes to it fail with EBADF.
func standardOutput() *os.File {
	if stdoutClosed == 0 {
		return os.Stdout
	}
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.Stdout
	}
	return os.NewFile(uintptr(fd), "/dev/stdout")
}

// isNull tells that what is written to a file is thrown away.
func isNull(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == unix.Mkdev(1, 3)
}

// printer writes to stdout for commands that do not look at every error: it remembers
// the first one, and all that there was to write.
type printer struct {
	to  io.Writer
	all bytes.Buffer
	err error
}

func (p *printer) Write(b []byte) (int, error) {
	p.all.Write(b)
	if p.err == nil {
		_, p.err = p.to.Write(b)
	}
	return len(b), nil
}
