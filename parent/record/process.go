package record

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// StartOf is when a process was started, in ticks since boot; 0 where there is none. With
// the pid, that names a process: a pid alone is used again.
func StartOf(pid int) uint64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // it may be gone
	_, rest, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" "))
	fields := bytes.Fields(rest)
	const starttime = 22 - 3 // the third follows the name
	if len(fields) <= starttime {
		return 0
	}
	started, _ := strconv.ParseUint(string(fields[starttime]), 10, 64)
	return started
}
