package hostinfo

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// ModulesThere returns whether a module's code is in the kernel now: built in or
// loaded, so that using it makes the kernel load nothing. Names are in sysfs's
// spelling. Of a kernel that cannot load modules everything is said to be there:
// what is not will be refused, and nothing else happens.
func ModulesThere(root, release string) func(name string) bool {
	_, err := os.Stat(filepath.Join(root, "proc/modules"))
	if errors.Is(err, fs.ErrNotExist) || text(root, "proc/sys/kernel/modules_disabled") == "1" {
		return func(string) bool { return true }
	}
	builtin := map[string]bool{}
	for line := range strings.Lines(text(root, "lib/modules/"+release+"/modules.builtin")) {
		name := strings.TrimSuffix(path.Base(strings.TrimSpace(line)), ".ko")
		builtin[strings.ReplaceAll(name, "-", "_")] = true
	}
	return func(name string) bool {
		if builtin[name] || name == "" {
			return builtin[name]
		}
		_, err := os.Stat(filepath.Join(root, "sys/module", name))
		return err == nil
	}
}
