package restore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/moby/sys/reexec"
)

// GuardianEntry is the name under which cmd registers GuardianMain's caller for
// re-execution.
const GuardianEntry = "netns-verify-guardian"

// Guardian is a run's end of its guardian: a process of its own, which waits until its run
// is gone, and then puts the host back from what that has left on record. It is told nothing.
type Guardian struct {
	cmd   *exec.Cmd
	pipe  *os.File      // closed when the run ends, however it does
	ended chan struct{} // closed when the guardian has
}

// guardianFD is its first descriptor after stdin, stdout and stderr: the end of the pipe,
// the lock, and a record that has no name.
const guardianFD = 3

// StartGuardian starts the process, with the machine's lock, which it holds on to for as long
// as it works. An unlinked record is nil where the record has a name.
func StartGuardian(args []string, lock, unlinked, stderr *os.File) (*Guardian, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	defer func() { _ = r.Close() }()
	cmd := reexec.Command(append([]string{GuardianEntry}, args...)...)
	cmd.ExtraFiles = []*os.File{r, lock}
	if unlinked != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, unlinked)
	}
	cmd.Stderr = stderr
	cmd.SysProcAttr.Pdeathsig = 0 // it is there for when we are not
	cmd.SysProcAttr.Setsid = true // nor is it to end with a terminal or a job
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	g := &Guardian{cmd: cmd, pipe: w, ended: make(chan struct{})}
	go func() {
		defer close(g.ended)
		_ = cmd.Wait() // how it ended is noticed, or does not matter any more
	}()
	return g, nil
}

// ErrGuardianGone is a guardian that was killed.
var ErrGuardianGone = errors.New("the guardian is gone, which puts the host back if this process is killed")

// Alive is the error of a guardian that has ended.
func (g *Guardian) Alive() error {
	select {
	case <-g.ended:
		return ErrGuardianGone
	default:
		return nil
	}
}

// endDeadline is the longest wait for the guardian's end: until then it has the machine's lock.
const endDeadline = 30 * time.Second

// Close ends the guardian of a run that has put the host back itself, before that could take
// the run for one that was killed. Any other is let do its work.
func (g *Guardian) Close(done bool) {
	if done {
		_ = g.cmd.Process.Kill()
	}
	_ = g.pipe.Close()
	select {
	case <-g.ended:
	case <-time.After(endDeadline):
	}
}
