package child

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"
)

// DrainEntry is the name under which cmd registers DrainMain.
const DrainEntry = "netns-verify-drain"

// emptyEntry starts a process that does nothing but end.
const emptyEntry = "netns-verify-empty"

func init() { reexec.Register(emptyEntry, func() { os.Exit(0) }) }

// DrainMain tells when the kernel has finished with every network namespace
// that ended before it is asked. It runs in a fresh user namespace that may
// have one network namespace at a time (user.max_net_namespaces). Ended
// namespaces are cleaned up in order by one worker, and the count drops when
// that is over (cleanup_net, net/core/net_namespace.c). So: make one, let it
// end, and when a second one is granted, everything before it is gone too.
//
// It says "ready" on stdout, then for each line on stdin "drained", and ends
// with its stdin.
func DrainMain() {
	if err := drain(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func drain() error {
	if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("1"), 0); err != nil {
		return fmt.Errorf("limit network namespaces: %w", err)
	}
	if err := keepOnly(1 << unix.CAP_SYS_ADMIN); err != nil { // clone(2) with CLONE_NEWNET
		return err
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	asked := bufio.NewReader(os.Stdin)
	for first := true; ; first = false {
		if _, err := asked.ReadString('\n'); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("wait for the parent: %w", err)
		}
		cmd, err := emptyNamespace(!first)
		if err == nil {
			err = cmd.Wait()
		}
		if err == nil {
			cmd, err = emptyNamespace(true)
		}
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if _, err := fmt.Println("drained"); err != nil {
			return err
		}
		_ = cmd.Wait() // that it was granted is all
	}
}

// emptyNamespace starts a process in a network namespace of its own, when the one before
// it is gone.
func emptyNamespace(wait bool) (*exec.Cmd, error) {
	for {
		cmd := reexec.Command(emptyEntry)
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
		err := cmd.Start()
		if !wait || !errors.Is(err, unix.ENOSPC) {
			return cmd, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}
