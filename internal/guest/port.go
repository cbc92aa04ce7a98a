package guest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// portDevice is the second serial port, which every kernel has that has the first.
const portDevice = "/dev/ttyS1"

// port is the serial line to the outside.
type port struct{ *os.File }

// openPort opens the line in raw mode: as a terminal it would make two bytes of
// every newline (termios(3), OPOST).
func openPort() (port, error) {
	f, err := os.OpenFile(portDevice, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return port{}, fmt.Errorf("open the line to the outside: %w", err)
	}
	var t unix.Termios // all flags off is raw
	t.Cflag = unix.CS8 | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &t); err != nil {
		return port{}, fmt.Errorf("set the line to the outside to raw mode: %w", err)
	}
	return port{f}, nil
}

// drain waits until all that was written is out (tcdrain(3)).
func (p port) drain() error {
	return unix.IoctlSetInt(int(p.Fd()), unix.TCSBRK, 1)
}
