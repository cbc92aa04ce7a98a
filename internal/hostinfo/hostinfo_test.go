package hostinfo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree makes a root directory; a value that starts with "->" is a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestInitial(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"by inode", map[string]string{"proc/self/ns/net": "->net:[4026531833]"}, "true"},
		{"by key, older kernel", map[string]string{"proc/self/ns/net": "->net:[4026531840]", "proc/sys/net/core/netdev_budget": "300"}, "true"},
		{"another one", map[string]string{"proc/self/ns/net": "->net:[4026532289]", "proc/sys/net/core/somaxconn": "4096"}, "false"},
		{"nothing to see", map[string]string{"proc/self/ns/net": "->net:[4026532289]"}, "unknown"},
	} {
		got := "unknown"
		if p := initial(tree(t, tt.files)); p != nil {
			got = map[bool]string{true: "true", false: "false"}[*p]
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestOthers(t *testing.T) {
	files := map[string]string{
		"proc/self/ns/net": "->net:[1]", "proc/self/ns/pid": "->" + initialPID,
		"proc/1/ns/net": "->net:[1]", "proc/2/ns/net": "->net:[2]", "proc/3/ns/net": "->net:[2]",
		"proc/net/x": "", // not a process
		"proc/self/mountinfo": "23 1 0:4 net:[7] /run/netns/blue rw shared:9 - nsfs nsfs rw\n" +
			"24 1 0:4 net:[2] /run/netns/red rw - nsfs nsfs rw\n" +
			"25 1 0:4 mnt:[8] /run/x rw - nsfs nsfs rw\n26 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
	}
	if n, unseen := others(tree(t, files)); n != 2 || unseen != "" {
		t.Errorf("got %d, %q; want 2 and nothing unseen", n, unseen)
	}
	// Where its namespace must not be looked at, a process is named, unless it is ours.
	addProcess := func(pid string) {
		files["proc/"+pid+"/comm"] = "no\x1bvel\n"
		files["proc/"+pid+"/ns/net"] = "->net:[1]"
	}
	hide := func(root string, pids ...string) string {
		for _, pid := range pids {
			dir := filepath.Join(root, "proc", pid, "ns")
			if err := os.Chmod(dir, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) // or it could not be removed
		}
		return root
	}
	addProcess("8")
	addProcess("9")
	files["proc/8/cmdline"] = "netns-verify-guardian\x00auto\x00"
	if os.Geteuid() != 0 {
		if _, unseen := others(hide(tree(t, files), "8")); unseen != "" {
			t.Errorf("our own helper: %q", unseen)
		}
		if _, unseen := others(hide(tree(t, files), "8", "9")); unseen != `that of process 9 ("no\x1bvel") cannot be read` {
			t.Errorf("one: %q", unseen)
		}
		files["proc/8/cmdline"] = "nginx"
		if _, unseen := others(hide(tree(t, files), "8", "9")); unseen != `those of 2 running processes cannot be read, such as process 8 ("no\x1bvel")` {
			t.Errorf("two: %q", unseen)
		}
	}
	for _, pid := range []string{"8", "9"} {
		delete(files, "proc/"+pid+"/ns/net")
	}
	delete(files, "proc/1/ns/net")
	if n, unseen := others(tree(t, files)); n != 2 || !strings.Contains(unseen, "hidepid") {
		t.Errorf("got %d, %q; without process 1 not everything is seen", n, unseen)
	}
	files["proc/1/ns/net"] = "->net:[1]"
	files["proc/self/ns/pid"] = "->pid:[4026532288]"
	if n, unseen := others(tree(t, files)); n != 2 || unseen == "" {
		t.Errorf("got %d, %q; in a PID namespace not everything is seen", n, unseen)
	}
}

func TestRead(t *testing.T) {
	const config = "CONFIG_NET_NS=y\n"
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(config)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	h, warnings := Read(tree(t, map[string]string{
		"proc/version": "Linux version 6.18.0 (gcc)\n", "proc/cmdline": "console=ttyS0\n",
		"proc/sys/kernel/random/boot_id": "c0ffee\n", "proc/cpuinfo": "processor : 0\nflags\t\t: fpu hypervisor lahf_lm\n",
		"proc/config.gz": zipped.String(), "proc/self/ns/net": "->" + initialNet, "proc/self/ns/pid": "->" + initialPID, "proc/1/ns/net": "->" + initialNet,
	}))
	sum := sha256.Sum256([]byte(config))
	if h.ConfigSHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("config_sha256 %q", h.ConfigSHA256)
	}
	if h.KernelVersion != "Linux version 6.18.0 (gcc)" || h.Cmdline != "console=ttyS0" || h.BootID != "c0ffee" || !h.VirtualMachine {
		t.Errorf("got %+v", h)
	}
	if len(warnings) > 0 {
		t.Errorf("got warnings %q", warnings)
	}
	if _, warnings := Read(t.TempDir()); len(warnings) != 2 {
		t.Errorf("an empty root gave the warnings %q", warnings)
	}
}

func TestThisMachine(t *testing.T) {
	h, _ := Read("/")
	if h.KernelRelease == "" || h.Machine == "" || h.BootID == "" {
		t.Errorf("got %+v", h)
	}
	if ro, err := ReadOnly(t.TempDir()); ro || err != nil {
		t.Errorf("a directory just made is read-only: %v, %v", ro, err)
	}
	if _, err := ReadOnly(filepath.Join(t.TempDir(), "absent")); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestUserNamespaceLimits(t *testing.T) {
	got := UserNamespaceLimits(tree(t, map[string]string{
		"proc/sys/user/max_user_namespaces": "0\n", "proc/sys/kernel/unprivileged_userns_clone": "1\n",
	}))
	if !slices.Equal(got, []string{"user.max_user_namespaces = 0"}) {
		t.Errorf("got %q", got)
	}
}
