package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Privileges is one line for each thread of a process: its permitted and effective
// capabilities, in hexadecimal, and no_new_privs (proc_pid_status(5)).
func Privileges(t testing.TB, pid int) string {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("no threads of process %d: %v", pid, err)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		has := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			has[name] = strings.TrimSpace(value)
		}
		fmt.Fprintln(&b, has["CapPrm"], has["CapEff"], has["NoNewPrivs"])
	}
	return b.String()
}
