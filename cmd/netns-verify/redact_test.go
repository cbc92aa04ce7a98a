package main

import (
	"os"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// In no format is anything left of what identifies this machine.
func TestRedact(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	here, _ := hostinfo.Read("/")
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	root := sharedTree(t, 1)
	for _, format := range []string{"json", "text"} {
		status, stdout, stderr := cli(t, "run", "--redact", "--format", format, "--verbose", "--root", root)
		if status != report.ExitLeak {
			t.Errorf("exit status %d: %s", status, stderr)
		}
		for _, s := range []string{here.BootID, here.Cmdline, root, hostname} {
			if len(s) > 3 && strings.Contains(stdout, s) {
				t.Errorf("%s: %q is left:\n%s", format, s, stdout)
			}
		}
		if format == "json" && !decode(t, stdout).Run.Redacted {
			t.Error("it does not say that it was redacted")
		}
	}
}
