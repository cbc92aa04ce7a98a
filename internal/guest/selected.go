package guest

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Word on the kernel's command line selects the role. The kernel passes a word
// that it does not know itself to init as an argument, unless there is a dot in it.
const Word = "netns_verify_guest"

const procCmdline = "/proc/cmdline"

// Selected tells whether this process, started with args, is the first one of a
// machine that was made for us: it is PID 1, it was given the word, and the word
// is on the kernel's command line too. The first process of a container is not.
// To read the command line, /proc is mounted where there is none, but only by a
// process that was given the word.
func Selected(args []string) bool {
	if os.Getpid() != 1 || !slices.Contains(args[1:], Word) {
		return false
	}
	b, err := os.ReadFile(procCmdline)
	if errors.Is(err, fs.ErrNotExist) {
		if os.MkdirAll("/proc", 0o555) != nil || unix.Mount("proc", "/proc", "proc", 0, "") != nil {
			return false
		}
		if b, err = os.ReadFile(procCmdline); err != nil || !onCmdline(string(b)) {
			_ = unix.Unmount("/proc", 0) // as it was
		}
	}
	return err == nil && onCmdline(string(b))
}

func onCmdline(line string) bool { return slices.Contains(strings.Fields(line), Word) }
