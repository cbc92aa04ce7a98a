package child

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

const (
	plainEntry = "test-plain"
	waitEntry  = "test-wait"
)

func init() {
	reexec.Register(plainEntry, func() { // a child, and what it starts: an offspring
		if err := keepOnly(needs(os.Args[1], os.Args[2])); err != nil {
			fmt.Println(err)
		}
		cmd := reexec.Command(waitEntry)
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
		}
		os.Exit(0)
	})
	reexec.Register(waitEntry, func() {
		fmt.Println(os.Getpid())
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	})
}

// TestPrivileges: a child has what it needs and nothing else, in all of its threads,
// and what it starts has no more.
func TestPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root has capabilities to give up")
	}
	_, _, withCgo := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0)
	for _, tt := range []struct {
		role, root string
		want       uint64
	}{
		{"writer", sysctl.ProcRoot, 1 << unix.CAP_NET_ADMIN},
		{"writer", "/tmp", 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_DAC_OVERRIDE},
		{"creator", sysctl.ProcRoot, 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SYS_ADMIN},
	} {
		cmd := reexec.Command(plainEntry, tt.role, tt.root)
		cmd.SysProcAttr.Pdeathsig = 0 // its stdin tells it
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said, _ := bufio.NewReader(out).ReadString('\n')
		var pid int
		if _, err := fmt.Sscan(said, &pid); err != nil {
			t.Fatalf("it said %q", said)
		}
		want := fmt.Sprintf("%016x %016x 1\n", tt.want, tt.want)
		for what, got := range map[string]string{"the child": testenv.Privileges(t, cmd.Process.Pid), "its offspring": testenv.Privileges(t, pid)} {
			other := strings.ReplaceAll(got, want, "")
			if other == got || other != "" && (withCgo == 0 || what != "the child") {
				t.Errorf("%s on %s, %s: wants %s, has\n%s", tt.role, tt.root, what, want, got)
			}
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}
