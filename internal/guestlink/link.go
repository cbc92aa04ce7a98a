package guestlink

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/netns-verify/netns-verify/protocol"
)

// Sender is the guest's end; any goroutine may send.
type Sender struct {
	mu   sync.Mutex
	zip  *gzip.Writer
	conn *protocol.Conn[Order, Message]
	done bool
}

// NewSender sends over w. Nothing else may be written there.
func NewSender(w io.Writer) *Sender {
	s := &Sender{zip: gzip.NewWriter(w)}
	s.conn = protocol.NewConn[Order, Message](nil, s.zip)
	return s
}

// Send sends one message at once: it must be outside before what it speaks of
// can end the guest. After a final message nothing is sent any more.
func (s *Sender) Send(m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	if err := s.conn.Send(m); err != nil {
		return err
	}
	end := s.zip.Flush
	if m.Final != nil {
		s.done, end = true, s.zip.Close
	}
	if err := end(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// maxSaid is how much a guest may say in all, in bytes of JSON, far more than a run has
// to say. What of it is log goes to ours.
const maxSaid = 1 << 30

// ErrNoFinal is the error of a guest that ended without its final message.
var ErrNoFinal = errors.New("it ended without a last word")

// Receive reads a guest's messages from r and passes them on in order, up to
// and with the final one, which it returns; hello is among them. Their texts have
// no control characters, so that they can be shown on a terminal. Whatever else
// happens is an error, io.EOF before the first message included. An error of
// the callback ends it.
func Receive(r io.Reader, build string, on func(Message) error) (*Final, error) {
	first := bufio.NewReader(r)
	if _, err := first.Peek(1); err != nil {
		return nil, died(err)
	}
	zip, err := gzip.NewReader(first)
	if err != nil {
		return nil, died(err)
	}
	zip.Multistream(false)
	conn := protocol.NewConn[Message, Order](zip, nil)
	conn.Allow(maxSaid)
	for said := false; ; said = true {
		m, err := conn.Receive()
		switch {
		case err != nil:
			return nil, died(err)
		case !said && m.Hello == nil:
			return nil, errors.New("the first message is no hello")
		case said && m.Hello != nil:
			return nil, errors.New("a second hello")
		case m.Hello != nil && m.Hello.Version != Version:
			return nil, fmt.Errorf("the guest speaks version %d, this is %d", m.Hello.Version, Version)
		case m.Hello != nil && m.Hello.Build != build:
			return nil, fmt.Errorf("the guest is build %q, this is %q", m.Hello.Build, build)
		}
		m.harmless()
		if err := on(m); err != nil {
			return nil, err
		}
		if m.Final != nil {
			return m.Final, nil
		}
	}
}

// died tells an end in the middle from a message that makes no sense.
func died(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w (%w)", ErrNoFinal, err)
	}
	return err
}
