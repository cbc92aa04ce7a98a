package netns

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// socketPair is what a child passes descriptors over.
func socketPair() (ours, childs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket of a child"), nil
}

// receive takes the next descriptor, and does not wait for one: a child sends it
// before it says so. EMFILE means that it was lost on the way, because this
// process may have no more of them, or not this one.
func receive(socket *os.File) (h sysctl.Handle, err error) {
	conn, err := socket.SyscallConn() // nobody closes it meanwhile
	if err != nil {
		return nil, fmt.Errorf("receive a descriptor: %w", err)
	}
	cerr := conn.Control(func(s uintptr) {
		data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
		var n, flags int
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			_, n, flags, _, err = unix.Recvmsg(int(s), data, rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		}
		if err != nil {
			return
		}
		var fds []int
		if fds, err = descriptors(rights[:n]); err != nil {
			return
		}
		if len(fds) != 1 || flags&unix.MSG_CTRUNC != 0 {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
			err = unix.EMFILE
			return
		}
		h = sysctl.NewDescriptor(fds[0], "descriptor of a child")
	})
	if err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("receive a descriptor: %w", err)
	}
	return h, nil
}

// descriptors is those in a message's ancillary data (unix(7)).
func descriptors(data []byte) (all []int, err error) {
	messages, err := unix.ParseSocketControlMessage(data)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			all = append(all, fds...)
		}
	}
	return all, nil
}
