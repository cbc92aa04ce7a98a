package netns

import (
	"context"
	"io"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Role is what a child is started for. All run the same program.
type Role string

// The roles.
const (
	RoleWriter Role = "writer"
	// RoleUserWriter is in a user namespace of its own, and an ordinary user outside.
	RoleUserWriter Role = "user-writer"
	RoleSibling    Role = "sibling"
	RoleControl    Role = "control"
	RoleLater      Role = "later"
	// RoleCreator makes namespaces of its own.
	RoleCreator Role = "creator"
)

// Machine is what a run happens on: the real one is Linux, tests bring others.
type Machine interface {
	// Host is the sysctls of the namespace that the run was started in.
	Host() sysctl.Tree
	// Start starts a child in a fresh network namespace made from the host.
	Start(ctx context.Context, role Role) (*Process, error)
	// Drain waits until every network namespace of a child that has ended is
	// cleaned up. It is asked at the end. An error means that it could not
	// tell; enough time to make it likely has passed then.
	Drain(ctx context.Context) error
	// NFLog is the text of /proc/net/netfilter/nf_log, empty where there is none.
	NFLog() string
}

// Process is a child as its parent holds it.
type Process struct {
	// Requests and Replies are the ends of the two pipes.
	Requests io.WriteCloser
	Replies  io.ReadCloser
	// Kill ends the child at once; Wait reports how it ended, with the last line
	// that it logged. Both may be called more than once.
	Kill func()
	Wait func() error
	// Build and NotNetNS, where set, are what the child's hello must and must
	// not say: another build, or no namespace of its own. UserNS, where set, is our
	// own user namespace, and OwnUserNS tells that the child is to be in another one.
	Build            string
	NotNetNS, UserNS uint64
	OwnUserNS        bool
	// Receive takes the next of the descriptors that the child passed on, which has
	// been sent by then; nil where none can be passed. Its error wraps the errno.
	Receive func() (sysctl.Handle, error)
}
