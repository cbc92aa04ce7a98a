package child

import (
	"fmt"
	"io"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Mark is the format of the line that a child puts into the kernel's log before
// it writes a key, if asked to. What the kernel says about a write then stands
// below it, whatever the clocks say.
const Mark = "netns-verify: write %q"

// marked is a tree whose writes can be found in the kernel's log.
type marked struct {
	sysctl.Tree
	log io.Writer // /dev/kmsg
}

func (m marked) Write(key sysctl.Key, value string) error {
	const debug = "<7>"                                     // not for the console (syslog(2))
	_, _ = fmt.Fprintf(m.log, debug+Mark+"\n", string(key)) // worth no failed write
	return m.Tree.Write(key, value)
}
