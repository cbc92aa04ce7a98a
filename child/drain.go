package child

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
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
	for first := true; ; {
		if _, err := asked.ReadString('\n'); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("wait for the parent: %w", err)
		}
		for range 2 {
			err := emptyNamespace()
			for !first && errors.Is(err, unix.ENOSPC) { // the one before it is not gone
				time.Sleep(2 * time.Millisecond)
				err = emptyNamespace()
			}
			if err != nil {
				return fmt.Errorf("make a network namespace: %w", err)
			}
			first = false
		}
		if _, err := fmt.Println("drained"); err != nil {
			return err
		}
	}
}

func emptyNamespace() error {
	cmd := reexec.Command(emptyEntry)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	return cmd.Run()
}
