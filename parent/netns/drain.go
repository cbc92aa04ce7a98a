package netns

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"
)

// drainGuess is how long to wait where the end of namespaces cannot be
// observed: cleanup was seen 70 ms after the process (6.18).
const drainGuess = 500 * time.Millisecond

// DrainDeadline is the least that a wait for ended namespaces to be cleaned up may take.
const DrainDeadline = 30 * time.Second

// drain is the helper process that observes the end of network namespaces
// (child.DrainMain says how). It is started early, because that takes longer
// than asking it.
type drain struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	expect []string // the lines that answer the next question
	err    error
}

func startDrain(entry string) *drain {
	d := &drain{}
	if entry == "" {
		d.err = errors.New("not asked for")
		return d
	}
	cmd := reexec.Command(entry)
	// Mapped to itself, so that the helper may set the user namespace's limits.
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = selfMap(os.Getuid())
	cmd.SysProcAttr.GidMappings = selfMap(os.Getgid())
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = 0 // its starting thread may end; its stdin tells it
	var out io.ReadCloser
	if d.stdin, d.err = cmd.StdinPipe(); d.err != nil {
		return d
	}
	if out, d.err = cmd.StdoutPipe(); d.err != nil {
		return d
	}
	if d.err = cmd.Start(); d.err != nil {
		return d
	}
	d.cmd, d.stdout, d.expect = cmd, bufio.NewReader(out), []string{"ready\n", "drained\n"}
	return d
}

// wait returns when every namespace that ended before the call is gone. On
// error it has waited drainGuess instead.
func (d *drain) wait(ctx context.Context) error {
	err := d.ask(ctx)
	if err != nil {
		select {
		case <-time.After(drainGuess):
		case <-ctx.Done():
		}
	}
	return err
}

func (d *drain) ask(ctx context.Context) error {
	if d.err != nil {
		return d.err
	}
	helper := d.cmd.Process
	stop := context.AfterFunc(ctx, func() { _ = helper.Kill() })
	defer stop()
	if _, err := io.WriteString(d.stdin, "drain\n"); err != nil {
		d.err = fmt.Errorf("ask the drain helper: %w", err)
		return d.err
	}
	for _, want := range d.expect {
		if line, err := d.stdout.ReadString('\n'); line != want {
			d.err = fmt.Errorf("drain helper said %.80q instead of %q: %w", line, want, errors.Join(err, context.Cause(ctx)))
			return d.err
		}
	}
	d.expect = []string{"drained\n"}
	return nil
}

func (d *drain) close() {
	if d.cmd == nil {
		return
	}
	_ = d.stdin.Close()
	_ = d.cmd.Process.Kill() // it has done its work, or could not
	_ = d.cmd.Wait()
	d.cmd, d.err = nil, errors.New("the drain helper was ended")
}

// selfMap maps root inside to an id outside (user_namespaces(7)).
func selfMap(id int) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
}
