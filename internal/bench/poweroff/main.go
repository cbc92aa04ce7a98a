// Command poweroff is the first process of a machine that is to do nothing but
// boot: bench measures that beside `netns-verify vm`.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "poweroff: only the first process of a machine may end it")
		os.Exit(2)
	}
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintf(os.Stderr, "poweroff: %v\n", err) // and the kernel panics
}
