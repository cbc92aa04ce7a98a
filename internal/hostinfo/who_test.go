package hostinfo

import (
	"os"
	"testing"
)

// TestWhoMaps: whether there can be an ordinary user is in the maps of the user namespace.
func TestWhoMaps(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only for root does it matter who is mapped")
	}
	const all, one = "         0          0 4294967295\n", "         0       1000          1\n"
	for _, tt := range []struct {
		uids, gids string
		want       bool
	}{
		{all, all, true}, {one, one, false}, {all, one, false}, {one, all, false}, {"", "", false},
		{one + "         1     100000      65534\n", all, true},
		{one + "         1     100000      65533\n", all, false},
	} {
		// The owner of the directory proc is root: the kernel's, for all that is known.
		if got := Who(tree(t, map[string]string{"proc/self/uid_map": tt.uids, "proc/self/gid_map": tt.gids})); !got.KernelRoot || got.Ordinary != tt.want {
			t.Errorf("%q, %q: %+v", tt.uids, tt.gids, got)
		}
	}
}
