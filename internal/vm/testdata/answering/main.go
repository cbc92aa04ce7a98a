// Command answering is a guest that says hello, repeats its command line in its
// last word, and then stays.
package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/internal/guestlink"
)

func main() {
	if !guest.Selected(os.Args) {
		panic("this is no guest")
	}
	must(unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""))
	port, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY|unix.O_NOCTTY, 0)
	must(err)
	t := unix.Termios{Cflag: unix.CS8 | unix.CLOCAL | unix.B115200}
	must(unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, &t))
	cmdline, err := os.ReadFile("/proc/cmdline")
	must(err)
	out := guestlink.NewSender(port)
	must(out.Send(guestlink.Message{Hello: &guestlink.Hello{Version: guestlink.Version, Build: "x"}}))
	must(out.Send(guestlink.Message{Final: &guestlink.Final{Error: string(cmdline)}}))
	time.Sleep(time.Hour)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
