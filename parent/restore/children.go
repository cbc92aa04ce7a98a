package restore

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/record"
)

// ErrUnended is a child that was killed and may be in the middle of a write.
var ErrUnended = errors.New("a child was killed and did not end, and a write of it may still come: when it has ended, netns-verify restore puts the host back, if there is a journal")

// EndChildren ends who may still write, and waits until they are gone, with their namespaces
// left to the kernel. A pid that is another process's by now is let be.
func EndChildren(children []record.Child) error {
	var fds []int
	for _, c := range children {
		fd, err := unix.PidfdOpen(c.PID, 0)
		if err != nil {
			continue // it is gone
		}
		defer func() { _ = unix.Close(fd) }()
		if c.Started != 0 && record.StartOf(c.PID) == c.Started {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // its parent's death has done it, too
			fds = append(fds, fd)
		}
	}
	for _, fd := range fds {
		if !ended(fd, netns.DrainDeadline.Milliseconds()) {
			return ErrUnended
		}
	}
	return nil
}

// ended waits for so many milliseconds (pidfd_open(2): readable when it has).
func ended(fd int, ms int64) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(ms))
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
