package observe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

func put(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fixture is a proc directory.
func fixture(t *testing.T) string {
	t.Helper()
	proc := t.TempDir()
	for name, text := range map[string]string{
		"sys/net/core/somaxconn": "4096\n", "sys/kernel/panic": "0\n", "sys/vm/stat_refresh": "", "sys/fs/mqueue/msg_max": "10\n",
		"net/ptype": "0800          ip_rcv\n", "net/dev": "Inter-|  Receive\n face |bytes\n    lo:9579 87\n  eth0: 1 2\n",
		"net/netstat": "TcpExt: 1\n",
		"modules":     "tcp_bbr 20480 0 - Live 0x0000000000000000\nnf_tables 1 2 a,b, Loading 0x0\n",
	} {
		put(t, proc, name, text)
	}
	return proc
}

func tree(t *testing.T, proc, list string) *Tree {
	t.Helper()
	kinds, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return New(sysctl.NewProc(proc+"/sys"), proc, proc+"/none", kinds)
}

func TestList(t *testing.T) {
	proc := fixture(t)
	for list, want := range map[string]string{
		"net":         "net/core/somaxconn",
		"sys":         "fs/mqueue/msg_max kernel/panic net/core/somaxconn",
		"proc":        "net/core/somaxconn proc:net/dev proc:net/ptype",
		"modules,net": "module:nf_tables module:tcp_bbr net/core/somaxconn",
		"all":         "fs/mqueue/msg_max kernel/panic module:nf_tables module:tcp_bbr net/core/somaxconn proc:net/dev proc:net/ptype",
	} {
		keys, err := tree(t, proc, list).List()
		slices.Sort(keys)
		var got []string
		for _, k := range keys {
			got = append(got, string(k))
			if err := k.Check(); err != nil {
				t.Error(err)
			}
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", list, got, err, want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, list := range []string{"", "net,", "sysctl", "all,nothing", "NET"} {
		if kinds, err := Parse(list); err == nil && list != "all,nothing" {
			t.Errorf("%q was taken as %v", list, kinds)
		}
	}
	if kinds, err := Parse("modules"); err != nil || !slices.Equal(kinds, Kinds{Net, Modules}) {
		t.Errorf("%v, %v: net is always watched", kinds, err)
	}
}

// A sweep finds what changes in any kind of place, and nothing of what is left out.
func TestSweep(t *testing.T) {
	proc := fixture(t)
	host := tree(t, proc, "all")
	s, err := sysctl.NewSweeper(host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	put(t, proc, "net/dev", "Inter-|  Receive\n face |bytes\n    lo:9999 88\n  eth0: 7 7\n")
	put(t, proc, "net/netstat", "TcpExt: 2\n")
	put(t, proc, "sys/vm/stat_refresh", "1\n")
	if changes, err := s.Sweep(); err != nil || len(changes) > 0 {
		t.Errorf("counters are changes: %v, %v", changes, err)
	}
	put(t, proc, "net/dev", "Inter-|  Receive\n face |bytes\n    lo:9999 88\n")
	put(t, proc, "net/ip_vs", "IP Virtual Server\n")
	put(t, proc, "sys/kernel/panic", "1\n")
	put(t, proc, "modules", "nf_tables 1 2 a,b, Live 0x0\nsch_fq 1 0 - Live 0x0\n")
	changes, err := s.Sweep()
	want := []sysctl.Change{
		{Key: "kernel/panic", Before: sysctl.State{Value: "0"}, After: sysctl.State{Value: "1"}},
		{Key: "module:sch_fq", Before: sysctl.Absent, After: loaded},
		{Key: "module:tcp_bbr", Before: loaded, After: sysctl.Absent},
		{Key: "proc:net/dev", Before: sysctl.State{Value: "Inter-|\nface\nlo:\neth0:"}, After: sysctl.State{Value: "Inter-|\nface\nlo:"}},
		{Key: "proc:net/ip_vs", Before: sysctl.Absent, After: sysctl.State{Value: "IP Virtual Server"}},
	}
	if err != nil || !slices.Equal(changes, want) {
		t.Errorf("got %v, %v\nwant %v", changes, err, want)
	}
	for _, c := range changes {
		if st := host.Read(c.Key); st != c.After {
			t.Errorf("%s reads %v, and in a sweep %v", c.Key, st, c.After)
		}
	}
}

// What is no sysctl is never written.
func TestWrite(t *testing.T) {
	proc := fixture(t)
	host := tree(t, proc, "all")
	for _, k := range []sysctl.Key{"proc:net/dev", "module:tcp_bbr", "module:absent"} {
		if err := host.Write(k, "1"); !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: %v", k, err)
		}
		if mode, err := host.Mode(k); err != nil || mode&0o222 != 0 {
			t.Errorf("%s has the mode %v, %v", k, mode, err)
		}
	}
	if err := host.Write("kernel/panic", "5"); err != nil || host.Read("kernel/panic") != (sysctl.State{Value: "5"}) {
		t.Errorf("a sysctl was not written: %v", err)
	}
	if _, err := host.Mode("proc:net/ip_vs"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent table has a mode: %v", err)
	}
}

func TestPlace(t *testing.T) {
	for k, want := range map[sysctl.Key][2]string{
		"net/core/somaxconn": {"sysctl", "net/core/somaxconn"},
		"kernel/modprobe":    {"sysctl", "kernel/modprobe"},
		"module:tcp_bbr":     {"module", "tcp_bbr"},
		"proc:net/dev":       {"proc", "net/dev"},
	} {
		if what, name := Place(k); what != want[0] || name != want[1] {
			t.Errorf("%s is %s %s", k, what, name)
		}
	}
}

func TestReduce(t *testing.T) {
	routes := table{columns: []int{0, 1, 2, 3, 4, 5, 8, 9}}
	const line = "fd00 40 00 00 fe80 00000100 %s 00000001     eth0\n"
	a, b := routes.reduce(strings.Replace(line, "%s", "00000001 00000009", 1)), routes.reduce(strings.Replace(line, "%s", "00000003 0000000a", 1))
	if a != b || a != "fd00 40 00 00 fe80 00000100 00000001 eth0" {
		t.Errorf("%q and %q", a, b)
	}
	for _, text := range []string{"", "\n", ":", "a\n\n b:c:d", "\x00\xff"} {
		for _, tt := range tables {
			_ = tt.reduce(text) // must not panic
		}
		_ = modules(text)
	}
}

// A table that is too large to be read again and again is not.
func TestLargeTable(t *testing.T) {
	proc := fixture(t)
	put(t, proc, "net/route", strings.Repeat("x", maxTable+1))
	if st := tree(t, proc, "proc").Read("proc:net/route"); st.Errno != unix.EFBIG || st.Value != "" {
		t.Errorf("%d bytes, %v", len(st.Value), st.Errno)
	}
}

// The tree of this machine can be surveyed, and what is mounted below /proc/sys is not in it.
func TestThisMachine(t *testing.T) {
	host := New(sysctl.NewProc(sysctl.ProcRoot), "/proc", "/sys", All())
	s, err := sysctl.NewSweeper(host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	kinds := map[string]int{}
	for _, e := range s.Baseline() {
		what, name := Place(e.Key)
		kinds[what]++
		if strings.HasPrefix(name, "fs/binfmt_misc/") {
			t.Errorf("%s is on another file system", name)
		}
		if e.Key == "kernel/ostype" && e.State.Value != "Linux" {
			t.Errorf("%s reads %v", e.Key, e.State)
		}
	}
	if kinds["sysctl"] == 0 || kinds["proc"] == 0 {
		t.Errorf("got %v", kinds)
	}
}
