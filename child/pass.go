package child

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// Passer is a tree whose keys can be opened and passed on to the parent.
type Passer interface {
	sysctl.Tree
	// Pass opens a key, reads it once and sends its descriptor. An error tells that
	// nothing was sent.
	Pass(sysctl.Key) (sysctl.State, error)
}

// pass opens keys and passes them on, each before its answer.
func (s *server) pass(m *protocol.Pass) error {
	tree, ok := s.tree.(Passer)
	if !ok {
		return errors.New("there is nothing to pass descriptors over")
	}
	if len(m.Keys) > protocol.MaxPass {
		return fmt.Errorf("%d keys to pass on at once, more than %d", len(m.Keys), protocol.MaxPass)
	}
	for _, k := range m.Keys {
		state, err := tree.Pass(sysctl.Key(k))
		err = s.conn.Send(protocol.Reply{Passed: &protocol.Passed{
			Key: k, Error: protocol.FromError(err), State: protocol.FromState(state),
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// passing is a tree with a socket to the parent.
type passing struct {
	sysctl.Tree
	proc   *sysctl.Proc
	socket *os.File
}

func (p passing) Pass(key sysctl.Key) (sysctl.State, error) {
	d, err := p.proc.Open(key)
	if err != nil {
		return sysctl.State{}, err
	}
	defer func() { _ = d.Close() }() // the parent has its own by then
	state := d.Read()
	// A message without any data carries no descriptor (unix(7)).
	if err := unix.Sendmsg(int(p.socket.Fd()), []byte{0}, unix.UnixRights(d.Fd()), nil, 0); err != nil {
		return state, os.NewSyscallError("sendmsg", err)
	}
	return state, nil
}
