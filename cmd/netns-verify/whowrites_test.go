package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

const (
	worldUserRoot   world = "user-root"   // unshare -Ur of an ordinary user
	worldKernelRoot world = "kernel-root" // unshare -Ur of root
	worldContainer  world = "container"   // a container in a user namespace
	worldAllMapped  world = "all-mapped"  // a user namespace in which all are who they are
	worldNoCaps     world = "no-capabilities"
	worldNoNetAdmin world = "no-net-admin"
	worldNoSetFCap  world = "no-setfcap"
)

// worldUsers is who the users of a world are outside of it.
var worldUsers = map[world]syscall.SysProcIDMap{
	worldUserRoot:   {ContainerID: 0, HostID: nobody, Size: 1},
	worldKernelRoot: {ContainerID: 0, HostID: 0, Size: 1},
	worldContainer:  {ContainerID: 0, HostID: 100000, Size: nobody + 1},
}

func init() {
	nothing := func() error { return nil }
	for _, w := range []world{worldUserRoot, worldKernelRoot, worldContainer, worldAllMapped} {
		worlds[w] = worldMade{unix.CLONE_NEWUSER, nothing}
	}
	var all []int
	for c := range unix.CAP_LAST_CAP + 1 {
		all = append(all, c)
	}
	worlds[worldNoCaps] = worldMade{0, func() error { return without(all...) }}
	worlds[worldNoNetAdmin] = worldMade{0, func() error { return without(unix.CAP_NET_ADMIN) }}
	worlds[worldNoSetFCap] = worldMade{0, func() error { return without(unix.CAP_SETFCAP) }}
}

// without takes capabilities from what is executed next.
func without(capabilities ...int) error {
	for _, c := range capabilities {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// TestWhoWrites: a writer is what the report says of it, however the run was started.
func TestWhoWrites(t *testing.T) {
	testenv.NeedUserNS(t)
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	const refused = "cannot start such a one"
	for _, tt := range []struct {
		world   world
		writers string   // asked for
		want    []string // of the report; nil: refused
		says    string
	}{
		{worldPlain, "", []string{"root"}, ""},
		{worldPlain, "root,userns", []string{"userns", "root"}, ""},
		{worldNobody, "", []string{"userns"}, ""},
		{worldNobody, "root", nil, refused + "|sudo netns-verify run"},
		{worldNobody, "root,userns", nil, refused},
		{worldUserRoot, "", []string{"userns"}, ""},
		{worldUserRoot, "root", nil, refused + "|outside of the user namespace"},
		{worldContainer, "", []string{"userns"}, ""},
		{worldContainer, "root", nil, refused},
		{worldAllMapped, "", []string{"userns"}, ""},
		{worldAllMapped, "root", nil, refused},
		{worldKernelRoot, "", nil, refused + "|the only user in this user namespace"},
		{worldNoCaps, "", nil, "missing here: CAP_SETGID, CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SETFCAP"},
		{worldNoCaps, "userns", nil, "missing here: "},
	} {
		t.Run(string(tt.world)+" "+tt.writers, func(t *testing.T) {
			args := []string{"run", "--json", "--log-format", "console", "--devices", "none", "--include", "net/core/somaxconn"}
			if tt.writers != "" {
				args = append(args, "--writers", tt.writers)
			}
			status, stdout, stderr := in(t, tt.world, args...)
			if tt.want == nil {
				for what := range strings.SplitSeq(tt.says, "|") {
					if status != report.ExitUnverified || stdout != "" || !strings.Contains(stderr, what) {
						t.Errorf("exit status %d, stdout %.300q, nothing of %q on stderr:\n%s", status, stdout, what, stderr)
					}
				}
				return
			}
			if status != report.ExitClean {
				t.Fatalf("exit status %d: %s", status, stderr)
			}
			r := decode(t, stdout)
			if !slices.Equal(r.Run.Writers, tt.want) {
				t.Errorf("writers %v, want %v", r.Run.Writers, tt.want)
			}
			for _, k := range r.Keys {
				if k.Key == "net/core/somaxconn" && k.Verdict != report.VerdictIsolated {
					t.Errorf("%s is %s (%s)", k.Key, k.Verdict, k.UntestedReason)
				}
			}
		})
	}
}

// TestWriteHostDenied: root of a user namespace is nobody to the host.
func TestWriteHostDenied(t *testing.T) {
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	for _, w := range []world{worldNobody, worldUserRoot} {
		status, _, stderr := in(t, w, "run", "--write-host", "--yes", "--devices", "none", "--include", "net/core/somaxconn")
		if status != report.ExitUsage || !strings.Contains(stderr, "--write-host needs root") {
			t.Errorf("%s: exit status %d: %s", w, status, stderr)
		}
	}
}

// TestNoNetAdmin: without devices less is asked, and that is said.
func TestNoNetAdmin(t *testing.T) {
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root has capabilities to give up")
	}
	status, stdout, stderr := in(t, worldNoNetAdmin, "run", "--json", "--strict", "--include", "net/core/somaxconn")
	if status != report.ExitUnverified {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	r := decode(t, stdout)
	if r.Run.Complete || !slices.ContainsFunc(r.Run.Skipped, func(s report.Skipped) bool { return strings.Contains(s.Why, "CAP_NET_ADMIN") }) {
		t.Errorf("complete %v, skipped %+v", r.Run.Complete, r.Run.Skipped)
	}
}
