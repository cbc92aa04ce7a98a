package restore

import (
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/parent/record"
)

// A child is ended by its pid and start; a process that only has the pid is somebody else's.
func TestEndChildren(t *testing.T) {
	cmd := reexec.Command(sleeperEntry)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	started := record.StartOf(pid)
	others := []record.Child{{PID: pid, Started: started + 1}, {PID: pid}, {PID: 1 << 23, Started: started}}
	if err := EndChildren(others); err != nil || ended(fd, 0) {
		t.Errorf("others: %v, ended: %v", err, ended(fd, 0))
	}
	if err := EndChildren([]record.Child{{PID: pid, Started: started}}); err != nil || !ended(fd, 0) {
		t.Errorf("%v, ended: %v", err, ended(fd, 0))
	}
	_ = cmd.Wait() // it was killed
}
