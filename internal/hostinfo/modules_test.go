package hostinfo

import (
	"os"
	"path/filepath"
	"testing"
)

func TestModulesThere(t *testing.T) {
	for _, tt := range []struct {
		what  string
		files map[string]string
		want  map[string]bool
	}{
		{"no modules in this kernel", nil, map[string]bool{"dummy": true, "anything": true}},
		{"no more modules", map[string]string{"proc/modules": "", "proc/sys/kernel/modules_disabled": "1\n"}, map[string]bool{"dummy": true}},
		{"loaded or built in", map[string]string{
			"proc/modules": "veth 40960 0 - Live 0x0\n", "proc/sys/kernel/modules_disabled": "0\n",
			"sys/module/veth/refcnt":          "0\n",
			"lib/modules/6.1/modules.builtin": "kernel/drivers/net/dummy.ko\nkernel/net/batman-adv/batman-adv.ko\n",
			"lib/modules/6.2/modules.builtin": "kernel/drivers/net/bonding/bonding.ko\n",
		}, map[string]bool{"veth": true, "dummy": true, "batman_adv": true, "bonding": false, "vrf": false, "": false}},
		{"nothing to be learnt", map[string]string{"proc/modules": ""}, map[string]bool{"dummy": false}},
	} {
		root := t.TempDir()
		for name, content := range tt.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		there := ModulesThere(root, "6.1")
		for name, want := range tt.want {
			if there(name) != want {
				t.Errorf("%s: %q there: %v", tt.what, name, !want)
			}
		}
	}
}
