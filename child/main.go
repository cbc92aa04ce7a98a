package child

import (
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// Entry is the name under which cmd registers Main for re-execution.
const Entry = "netns-verify-child"

// The descriptors a child is started with, after stdin, stdout and stderr.
const (
	fdRequests = 3
	fdReplies  = 4
	fdSocket   = 5 // takes the descriptors that are passed on
)

// Main is the re-executed child. Its arguments are its role, the sysctl root, the
// log level and where to mark writes (empty: nowhere); it ends the process.
func Main(build string) {
	log := zerolog.New(os.Stderr)
	if err := run(build, &log); err != nil {
		log.Error().Err(err).Msg("child failed")
		os.Exit(1)
	}
	os.Exit(0)
}

func run(build string, log *zerolog.Logger) error {
	if len(os.Args) != 5 {
		return fmt.Errorf("%s is started by netns-verify itself, with a role, a root, a log level and a file for marks", Entry)
	}
	if level, err := zerolog.ParseLevel(os.Args[3]); err == nil {
		*log = log.Level(level)
	}
	if err := keepOnly(needs(os.Args[1], os.Args[2])); err != nil {
		return err
	}
	netns, err := NetNS()
	if err != nil {
		return fmt.Errorf("find own network namespace: %w", err)
	}
	userns, _ := inode("/proc/self/ns/user") // there is none in a kernel without user namespaces
	requests := os.NewFile(fdRequests, "requests")
	replies := os.NewFile(fdReplies, "replies")
	hello := protocol.Hello{Version: protocol.Version, Build: build, PID: os.Getpid(), NetNS: netns, UserNS: userns}
	log.Debug().Uint64("netns", netns).Msg("child started")
	proc := sysctl.NewProc(os.Args[2])
	var tree sysctl.Tree = proc
	if path := os.Args[4]; path != "" {
		marks, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("open the kernel's log: %w", err)
		}
		tree = marked{tree, marks}
	}
	here := fertile{passing{tree, proc, os.NewFile(fdSocket, "socket")}, os.Args[2]}
	return Serve(here, hello, requests, replies, *log)
}

// NetNS is the inode of the calling process's network namespace (namespaces(7)).
func NetNS() (uint64, error) { return inode("/proc/self/ns/net") }

func inode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}
