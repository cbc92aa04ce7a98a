// Command faultyguest is a guest like the real one, except that it does what the
// word "fault=" on the kernel's command line says when it comes to a phase: the
// kernel hands such words to init in its environment.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/moby/sys/reexec"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/guest"
)

// build is stamped: it must be that of the tests.
var build string

func main() {
	reexec.Register(child.Entry, func() { child.Main(build) })
	reexec.Register(child.DrainEntry, child.DrainMain)
	reexec.Register(guest.ModprobePath, func() { os.Exit(guest.Modprobe(os.Args)) })
	if reexec.Init() {
		return
	}
	if os.Getenv("fault") == "mute" {
		time.Sleep(time.Hour)
	}
	if !guest.Selected(os.Args) {
		panic("this is no guest")
	}
	guest.Main(guest.Config{Build: build, Entry: child.Entry, DrainEntry: child.DrainEntry, Logger: logger})
}

// logger makes one that brings the fault about as soon as the second pass is logged.
func logger(w io.Writer, level, runID string) zerolog.Logger {
	phases := 0
	return zerolog.New(w).With().Str("run_id", runID).Logger().Hook(zerolog.HookFunc(func(_ *zerolog.Event, _ zerolog.Level, message string) {
		if message == "phase" {
			phases++
		}
		if message == "phase" && phases == 4 {
			fault(os.Getenv("fault"))
		}
	}))
}

func fault(what string) {
	switch what {
	case "panic":
		must(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
	case "hang":
		time.Sleep(time.Hour)
	case "crash":
		panic("the guest has a bug")
	case "die":
		os.Exit(7)
	case "memory":
		var all [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) < 0 {
				return
			}
		}
	case "module": // the kernel asks for what answers to the family's number
		// unix.Socket would stop all goroutines, those that answer included.
		if _, _, err := unix.Syscall(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0); err != 0 {
			panic(err)
		}
	default:
		panic(fmt.Sprintf("unknown fault %q", what))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
