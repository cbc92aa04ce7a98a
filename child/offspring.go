package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// OffspringEntry is the name under which cmd registers OffspringMain.
const OffspringEntry = "netns-verify-offspring"

// Fertile is a tree of a namespace from which others can be made.
type Fertile interface {
	sysctl.Tree
	// Offspring makes a namespace, passes its keys on, sorted, as often as there is
	// something to pass, and lets it end.
	Offspring(pass func(*protocol.Entries) error) error
}

// fertile is the namespace that this process is in.
type fertile struct {
	passing
	root string
}

// Offspring implements Fertile: this binary is started again, in a network
// namespace of its own.
func (f fertile) Offspring(pass func(*protocol.Entries) error) error {
	runtime.LockOSThread() // its parent-death signal comes when the thread ends (golang/go#27505)
	defer runtime.UnlockOSThread()
	var complaint strings.Builder
	cmd := reexec.Command(OffspringEntry, f.root)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start a process in a namespace of its own: %w", err)
	}
	if err := passOn(out, pass); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %.500s", err, complaint.String())
	}
	return nil
}

func passOn(r io.Reader, pass func(*protocol.Entries) error) error {
	conn := protocol.NewConn[protocol.Reply, protocol.Request](r, io.Discard)
	for {
		m, err := conn.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Entries == nil:
			return errors.New("a message without entries")
		}
		if err := pass(m.Entries); err != nil {
			return err
		}
	}
}

// offspring answers with what is in a namespace made from this one.
func (s *server) offspring() error {
	f, ok := s.tree.(Fertile)
	if !ok {
		return errors.New("no namespace can be made from here")
	}
	return f.Offspring(func(m *protocol.Entries) error { return s.conn.Send(protocol.Reply{Entries: m}) })
}

// OffspringMain surveys its namespace and writes that to stdout. Its argument is
// the sysctl root; it ends the process.
func OffspringMain() {
	if err := tellAll(os.Args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func tellAll(args []string, w io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("%s is started by netns-verify itself, with a root", OffspringEntry)
	}
	tree := sysctl.NewProc(args[1])
	snap, err := sysctl.Survey(tree, opener{tree}) // each is read once: nothing to keep open
	if err != nil {
		return err
	}
	return sendEntries(snap, protocol.NewConn[protocol.Request, protocol.Reply](strings.NewReader(""), w).Send)
}

// opener opens a key for each read.
type opener struct{ *sysctl.Proc }

func (opener) Close() error { return nil }

// sendEntries cuts a survey into messages.
func sendEntries(snap sysctl.Snapshot, send func(protocol.Reply) error) error {
	m, size := &protocol.Entries{}, 0
	for _, e := range snap {
		m.Entries = append(m.Entries, protocol.Entry{Key: protocol.Bytes(e.Key), Mode: uint32(e.Mode), State: protocol.FromState(e.State)})
		if size += len(e.Key) + len(e.State.Value); size > messageBytes {
			if err := send(protocol.Reply{Entries: m}); err != nil {
				return err
			}
			m, size = &protocol.Entries{}, 0
		}
	}
	return send(protocol.Reply{Entries: m})
}
