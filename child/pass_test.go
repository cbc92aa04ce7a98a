package child

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// A descriptor arrives before its answer, and works on the file that was opened.
func TestPass(t *testing.T) {
	tree := fixture(t, map[string]string{"net/a": "1", "net/b": "2"})
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fds[1]), "socket")
	t.Cleanup(func() { _, _ = socket.Close(), unix.Close(fds[0]) })
	conn, hangUp, ended := talk(t, passing{tree, tree, socket})
	got := ask(t, conn, protocol.Request{Pass: &protocol.Pass{Keys: []protocol.Bytes{"net/b", "net/none", "net/b"}}})
	if len(got) != 4 || got[0].Passed.State.Value != "2" || got[0].Passed.Error != nil || got[2].Passed.Key != "net/b" ||
		!errors.Is(got[1].Passed.Error.Err(), unix.ENOENT) {
		t.Fatalf("pass: %+v", got)
	}
	for i := range 2 {
		data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(8))
		_, n, _, _, err := unix.Recvmsg(fds[0], data, rights, unix.MSG_DONTWAIT)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		all, err := unix.ParseSocketControlMessage(rights[:n])
		if err != nil || len(all) != 1 {
			t.Fatalf("message %d: %v, %v", i, all, err)
		}
		passed, err := unix.ParseUnixRights(&all[0])
		if err != nil || len(passed) != 1 {
			t.Fatalf("message %d: %v, %v", i, passed, err)
		}
		d := sysctl.NewDescriptor(passed[0], "passed")
		if err := d.Write(fmt.Sprint(7 + i)); err != nil {
			t.Error(err)
		}
		if st := tree.Read("net/b"); st.Value != fmt.Sprint(7+i) || d.Read() != st {
			t.Errorf("message %d: the file has %+v, the descriptor shows %+v", i, st, d.Read())
		}
		_ = d.Close()
	}
	hangUp()
	<-ended
}

func TestPassRefuses(t *testing.T) {
	for _, tc := range []struct {
		tree func(*sysctl.Proc) sysctl.Tree
		n    int
		want string
	}{
		{func(p *sysctl.Proc) sysctl.Tree { return p }, 1, "nothing to pass"},
		{func(p *sysctl.Proc) sysctl.Tree { return passing{p, p, nil} }, protocol.MaxPass + 1, "more than 64"},
	} {
		conn, hangUp, ended := talk(t, tc.tree(fixture(t, map[string]string{"net/a": "1"})))
		got := ask(t, conn, protocol.Request{Pass: &protocol.Pass{Keys: make([]protocol.Bytes, tc.n)}})
		if got[0].Failed == nil || !strings.Contains(got[0].Failed.Err().Error(), tc.want) {
			t.Errorf("%+v, want %q", got[0], tc.want)
		}
		hangUp()
		<-ended
	}
}

// A key is opened for reading and writing, and nothing is made where none is.
func TestPassOpens(t *testing.T) {
	tree := fixture(t, map[string]string{"net/a": "1"})
	if _, err := tree.Open("net/none"); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	d, err := tree.Open("net/a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if flags, err := unix.FcntlInt(uintptr(d.Fd()), unix.F_GETFL, 0); err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
		t.Errorf("flags %o, %v", flags, err)
	}
}
