package netns

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What comes over the socket is one descriptor a message, or an error: never a
// wait, never a descriptor that nobody closes.
func TestReceive(t *testing.T) {
	ours, childs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), childs.Close() })
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	fd := int(file.Fd())
	for _, tc := range []struct {
		name string
		send [][]int // descriptors of each message
		want error
	}{
		{"one", [][]int{{fd}}, nil},
		{"nothing sent", nil, unix.EAGAIN},
		{"none in it", [][]int{{}}, unix.EMFILE},
		{"two in it", [][]int{{fd, fd}}, unix.EMFILE},
		{"many in it", [][]int{{fd, fd, fd, fd, fd, fd, fd}}, unix.EMFILE},
		{"one again", [][]int{{fd}}, nil},
	} {
		before := open(t)
		for _, fds := range tc.send {
			var rights []byte
			if len(fds) > 0 {
				rights = unix.UnixRights(fds...)
			}
			if err := unix.Sendmsg(int(childs.Fd()), []byte{0}, rights, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		h, err := receive(ours)
		if !errors.Is(err, tc.want) || (h == nil) != (err != nil) {
			t.Errorf("%s: %v, %v", tc.name, h, err)
		}
		if h != nil {
			if err := h.Write("x"); err != nil || h.Read().Value != "x" {
				t.Errorf("%s: %+v, %v", tc.name, h.Read(), err)
			}
			if err := h.Close(); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			if _, err := file.Seek(0, io.SeekStart); err != nil { // it is one file, and one offset
				t.Fatal(err)
			}
		}
		if after := open(t); after != before {
			t.Errorf("%s: %d descriptors before, %d after", tc.name, before, after)
		}
	}
	_ = ours.Close()
	if _, err := receive(ours); err == nil {
		t.Error("received over a closed socket")
	}
}

// open counts this process's descriptors.
func open(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
