package child

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// messageBytes is how many bytes of keys and values go into one message at
// most, unless one alone is larger: far below protocol.MaxMessage, whatever
// becomes of them in JSON.
const messageBytes = 1 << 20

// server answers requests on one tree.
type server struct {
	tree    sysctl.Tree
	conn    *protocol.ChildConn
	sweeper *sysctl.Sweeper
	reader  sysctl.Reader // of what is written, without a survey
}

// sayEvery is how long replies are kept back at most, while there come more: the parent
// takes a child for hung that says nothing.
const sayEvery = time.Second

// replies are sent together, but not much later than they are made.
type replies struct {
	*bufio.Writer
	said time.Time
}

func (r *replies) Write(b []byte) (int, error) {
	n, err := r.Writer.Write(b)
	if err == nil && time.Since(r.said) >= sayEvery {
		err = r.Flush()
	}
	return n, err
}

func (r *replies) Flush() error {
	r.said = time.Now()
	return r.Writer.Flush()
}

// Serve says hello and answers requests until it is told to quit. EOF without
// a quit means that the parent is gone: an error. A panic while serving is
// told to the parent as a failure, with its stack in the log, and ends the child.
func Serve(tree sysctl.Tree, hello protocol.Hello, r io.Reader, w io.Writer, log zerolog.Logger) (err error) {
	replies := &replies{Writer: bufio.NewWriterSize(w, 64<<10)} // the answer to a small request is one write(2)
	s := &server{tree: tree, conn: protocol.NewConn[protocol.Request, protocol.Reply](r, replies)}
	defer func() {
		if s.sweeper != nil {
			_ = s.sweeper.Close()
		}
		if s.reader != nil {
			_ = s.reader.Close()
		}
		if p := recover(); p != nil {
			log.Error().Bytes("stack", debug.Stack()).Msgf("panic: %v", p)
			err = fmt.Errorf("panic: %v", p)
			_ = s.conn.Send(protocol.Reply{Failed: protocol.FromError(err)}) // the parent may be gone
			_ = replies.Flush()
		}
	}()
	if err := s.conn.Send(protocol.Reply{Hello: &hello}); err != nil {
		return err
	}
	for {
		if err := replies.Flush(); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		req, err := s.conn.Receive()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the parent went away without saying quit")
			}
			return err
		}
		if err := s.serve(req); err != nil {
			if serr := s.conn.Send(protocol.Reply{Failed: protocol.FromError(err)}); serr != nil {
				return errors.Join(err, serr)
			}
			continue
		}
		if err := s.conn.Send(protocol.Reply{Done: &protocol.Done{}}); err != nil {
			return err
		}
		if req.Quit != nil {
			return replies.Flush()
		}
	}
}

func (s *server) serve(req protocol.Request) error {
	switch {
	case req.Survey != nil:
		return s.survey()
	case req.Perturb != nil:
		return s.perturb(req.Perturb)
	case req.Replay != nil:
		return s.replay(req.Replay)
	case req.Sweep != nil:
		return s.sweep(req.Sweep.Known)
	case req.Devices != nil:
		return s.devices(req.Devices)
	case req.Pass != nil:
		return s.pass(req.Pass)
	case req.Look != nil:
		return s.look(req.Look)
	case req.Offspring != nil:
		return s.offspring()
	}
	return nil // quit
}

func (s *server) survey() error {
	if s.sweeper != nil {
		_ = s.sweeper.Close()
	}
	var err error
	if s.sweeper, err = sysctl.NewSweeper(s.tree); err != nil {
		return err
	}
	return sendEntries(s.sweeper.Baseline(), s.conn.Send)
}

// look answers with some keys; one that is absent has that as its state.
func (s *server) look(l *protocol.Look) error {
	snap := make(sysctl.Snapshot, 0, len(l.Keys))
	for _, b := range l.Keys {
		k := sysctl.Key(b)
		mode, _ := s.tree.Mode(k) // absent ones have none
		snap = append(snap, sysctl.Entry{Key: k, Mode: mode, State: s.tree.Read(k)})
	}
	return sendEntries(snap, s.conn.Send)
}

func (s *server) sweep(known bool) (err error) {
	if s.sweeper == nil {
		return errors.New("sweep before survey")
	}
	var changes []sysctl.Change
	if known {
		changes = s.sweeper.SweepKnown()
	} else if changes, err = s.sweeper.Sweep(); err != nil {
		return err
	}
	m, size := &protocol.Changes{}, 0
	for _, c := range changes {
		m.Changes = append(m.Changes, protocol.Change{Key: protocol.Bytes(c.Key), Before: protocol.FromState(c.Before), After: protocol.FromState(c.After)})
		if size += len(c.Key) + len(c.Before.Value) + len(c.After.Value); size > messageBytes {
			if err := s.conn.Send(protocol.Reply{Changes: m}); err != nil {
				return err
			}
			m, size = &protocol.Changes{}, 0
		}
	}
	return s.conn.Send(protocol.Reply{Changes: m})
}
