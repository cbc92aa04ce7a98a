package guest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

const (
	// ModprobePath is what the kernel runs when it wants a module: our binary under
	// a name that tells it so, since the path cannot carry arguments. The kernel
	// adds "-q -- NAME" (kernel/module/kmod.c, call_modprobe).
	ModprobePath = "/sbin/netns-verify-modprobe"

	modprobeSetting = "/proc/sys/kernel/modprobe"
	modprobeSocket  = "/run/netns-verify-modprobe.sock"
	maxRequest      = 256 // MODULE_NAME_LEN is 64 - sizeof(long)
)

// Modprobe is the role of ModprobePath: it hands the kernel's request on to the
// guest's first process, which keeps account, and waits until it is done, however long
// that takes: whoever had it asked for has a deadline, and the machine ends with that process.
// It returns the exit status.
func Modprobe(args []string) int {
	if err := askModprobe(modprobeSocket, args); err != nil {
		return 1 // nobody reads what a helper of the kernel writes
	}
	return 0
}

func askModprobe(socket string, args []string) error {
	if len(args) != 4 || args[1] != "-q" || args[2] != "--" {
		return fmt.Errorf("not a request of the kernel: %q", args)
	}
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, args[3]); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(c, 1<<10))
	if err == nil && len(answer) > 0 {
		err = errors.New(string(answer))
	}
	return err
}

// serveModprobe answers requests until the machine ends.
func serveModprobe(socket string, request func(name string) error) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("wait for the kernel's requests for modules: %w", err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				name, err := io.ReadAll(io.LimitReader(c, maxRequest))
				if err == nil {
					err = request(string(name))
				}
				if err != nil {
					_, _ = io.WriteString(c, err.Error())
				}
			}()
		}
	}()
	return nil
}

// answerKernel makes the kernel ask us for modules.
func answerKernel(request func(name string) error) error {
	if err := serveModprobe(modprobeSocket, request); err != nil {
		return err
	}
	if err := os.WriteFile(modprobeSetting, []byte(ModprobePath), 0); err != nil {
		return fmt.Errorf("have the kernel ask for modules: %w", err)
	}
	return nil
}
