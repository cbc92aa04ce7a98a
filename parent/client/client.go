package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// Config is what children are started with.
type Config struct {
	Pace *Pace
	// Announce, if not nil, is told of each request that writes before it is sent. With its
	// error the request is not sent.
	Announce func(*Client, protocol.Request) error
	// Writing, if not nil, is told which keys a request writes, before it is sent.
	Writing func([]sysctl.Key)
	// Unended, if not nil, is set where a child was killed and did not end.
	Unended *atomic.Bool
}

// Client is the parent's side of one child. After an error it is of no use
// any more, and the child has been killed.
type Client struct {
	cfg  Config
	role netns.Role
	proc *netns.Process
	conn *protocol.ParentConn
	pid  int
	dead bool
	made []protocol.Device // beside lo

	// Base is what a look at some keys is compared with.
	Base sysctl.Snapshot
}

// PID is the child's process id.
func (c *Client) PID() int { return c.pid }

// Ended tells that the child has ended, or was given up.
func (c *Client) Ended() bool { return c.dead }

// Made is the devices that the child was asked to make, and how that went.
func (c *Client) Made() []protocol.Device { return c.made }

// maxAnswer is how much a child may say in answer to one request, in bytes: the survey
// of a namespace with hundreds of devices is a few MB.
const maxAnswer = 256 << 20

// ErrDeadline is the cause of a call in which the child was silent for too long.
var ErrDeadline = errors.New("no answer within the deadline")

// Start starts a child and hears its hello.
func Start(ctx context.Context, m netns.Machine, role netns.Role, cfg Config) (*Client, error) {
	proc, err := m.Start(ctx, role)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, role: role, proc: proc,
		conn: protocol.NewConn[protocol.Reply, protocol.Request](proc.Replies, proc.Requests),
	}
	var hello *protocol.Hello
	err = c.limited("say hello", func(func()) error {
		r, err := c.conn.Receive()
		hello = r.Hello
		if err == nil && hello == nil {
			err = errors.New("the first message is no hello")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := c.check(hello); err != nil {
		return nil, c.fail("say hello", err)
	}
	c.pid = hello.PID
	return c, nil
}

func (c *Client) check(h *protocol.Hello) error {
	switch {
	case h.Version != protocol.Version:
		return fmt.Errorf("it speaks protocol version %d, this is %d", h.Version, protocol.Version)
	case c.proc.Build != h.Build:
		return fmt.Errorf("it is build %q, this is %q", h.Build, c.proc.Build)
	case c.proc.NotNetNS != 0 && c.proc.NotNetNS == h.NetNS:
		return fmt.Errorf("it is in our own network namespace (%d)", h.NetNS)
	case c.proc.UserNS != 0 && c.proc.OwnUserNS == (c.proc.UserNS == h.UserNS):
		return fmt.Errorf("it is in the wrong user namespace (%d, ours is %d)", h.UserNS, c.proc.UserNS)
	}
	return nil
}

// call sends a request and passes the replies on until done.
func (c *Client) call(what string, req protocol.Request, on func(protocol.Reply) error) error {
	if c.dead {
		return fmt.Errorf("%s: %s: the child is gone", c.role, what)
	}
	c.conn.Allow(maxAnswer)
	return c.limited(what, func(heard func()) error {
		sent := make(chan error, 1)
		send := func() {
			err := c.conn.Send(req)
			if err != nil {
				c.proc.Kill() // there will be no answer
			}
			sent <- err
		}
		if short(req) {
			send()
		} else {
			go send() // replies may come before all is sent
		}
		for {
			r, err := c.conn.Receive()
			switch {
			case err != nil:
				select {
				case serr := <-sent:
					return cmp.Or(serr, err)
				default:
					return err
				}
			case r.Failed != nil:
				return r.Failed.Err()
			case r.Done != nil:
				return <-sent
			case on == nil:
				return errors.New("an answer that was not asked for")
			}
			if err := on(r); err != nil {
				return err
			}
			heard()
		}
	})
}

// short tells that a request surely fits into a pipe, which is empty between requests: then
// nobody is needed who sends it while another receives.
func short(req protocol.Request) bool {
	var items []protocol.Item
	if req.Perturb != nil {
		items = req.Perturb.Items
	}
	size := 0
	for _, it := range items {
		for _, v := range slices.Concat([]protocol.Bytes{it.Key}, it.Candidates, it.Avoid) {
			size += mostEscaped * len(v)
		}
	}
	return size < pipeSize/2 && req.Replay == nil && req.Look == nil && req.Pass == nil && req.Devices == nil
}

// A byte takes at most six in JSON. A pipe holds 64 KiB, or 4 where its user has too
// many (pipe(7)).
const (
	mostEscaped = 6
	pipeSize    = 4 << 10
)

// limited runs f, which calls heard after each message: without one for as long as the
// deadline the child is given up. It does not survive an error.
// Requests are not cut short by the run's context: it is asked between them.
func (c *Client) limited(what string, f func(heard func()) error) error {
	s := listen(c.cfg.Pace.deadline(what), c.proc.Kill)
	err := f(s.heard)
	if !s.over() {
		err = fmt.Errorf("%w (%v)", ErrDeadline, s.deadline)
	}
	if err != nil {
		return c.fail(what, err)
	}
	c.cfg.Pace.Note(what, s.longest)
	return nil
}

// fail kills the child and adds how it ended to the error.
func (c *Client) fail(what string, err error) error {
	c.dead = true
	c.proc.Kill()
	if werr := c.wait(); werr != nil && !errors.Is(err, ErrDeadline) && errors.Is(err, io.EOF) {
		err = fmt.Errorf("the child ended (%w)", werr)
	} else if werr != nil {
		err = fmt.Errorf("%w (the child: %v)", err, werr)
	} else if errors.Is(err, io.EOF) {
		err = errors.New("the child ended without a last word")
	}
	return fmt.Errorf("%s: %s: %w", c.role, what, err)
}

// Survey asks for all keys and makes them the baseline of the child's sweeps.
func (c *Client) Survey() (sysctl.Snapshot, error) {
	return c.entries(StepSurvey, protocol.Request{Survey: &protocol.Survey{}})
}

// entries collects the keys that answer a request, in their order.
func (c *Client) entries(what string, req protocol.Request) (sysctl.Snapshot, error) {
	var s sysctl.Snapshot
	err := c.call(what, req, func(r protocol.Reply) error {
		if r.Entries == nil {
			return fmt.Errorf("the answer to a request for %s has no entries", what)
		}
		for _, e := range r.Entries.Entries {
			k := sysctl.Key(e.Key)
			if err := k.Check(); err != nil {
				return err
			}
			if len(s) > 0 && k <= s[len(s)-1].Key {
				return fmt.Errorf("%s is out of order at %s", what, k)
			}
			s = append(s, sysctl.Entry{Key: k, Mode: FileMode(e.Mode), State: e.State.State()})
		}
		return nil
	})
	return s, err
}

// Sweep asks for what changed since the survey; known, of the keys that were there.
func (c *Client) Sweep(known bool) ([]sysctl.Change, error) {
	var changes []sysctl.Change
	err := c.call("sweep", protocol.Request{Sweep: &protocol.Sweep{Known: known}}, func(r protocol.Reply) error {
		if r.Changes == nil {
			return errors.New("the answer to a sweep has no changes")
		}
		for _, ch := range r.Changes.Changes {
			k := sysctl.Key(ch.Key)
			if err := k.Check(); err != nil {
				return err
			}
			changes = append(changes, sysctl.Change{Key: k, Before: ch.Before.State(), After: ch.After.State()})
		}
		return nil
	})
	return changes, err
}

// Perturb has a batch written; it returns the writes made so far with an error.
func (c *Client) Perturb(items []protocol.Item) ([]trace.Write, error) {
	most := map[string]int{}
	keys := make([]sysctl.Key, len(items))
	for i, it := range items {
		keys[i] = sysctl.Key(it.Key)
		most[string(it.Key)] += len(it.Candidates) + len(it.Avoid)
	}
	return c.writes("perturb", keys, protocol.Request{Perturb: &protocol.Perturb{Items: items}}, func(w trace.Write) bool {
		most[string(w.Key)]--
		return most[string(w.Key)] >= 0
	})
}

// Replay has exactly these writes repeated.
func (c *Client) Replay(ws []trace.Write) ([]trace.Write, error) {
	m := &protocol.Replay{Writes: make([]protocol.Assign, len(ws))}
	for i, w := range ws {
		m.Writes[i] = protocol.Assign{Key: protocol.Bytes(w.Key), Value: protocol.Bytes(w.Value), Read: w.Via == trace.ViaRead}
	}
	i := 0
	done, err := c.writes("replay", trace.KeysOf(ws), protocol.Request{Replay: m}, func(w trace.Write) bool {
		i++
		return i <= len(ws) && w.Key == ws[i-1].Key && w.Value == ws[i-1].Value
	})
	if err == nil && len(done) != len(ws) {
		err = c.fail("replay", fmt.Errorf("%s to a request for %d", report.Plural(len(done), "answer"), len(ws)))
	}
	return done, err
}

// writes collects the results of a request's writes to the keys; asked tells
// whether one was asked for.
func (c *Client) writes(what string, keys []sysctl.Key, req protocol.Request, asked func(trace.Write) bool) ([]trace.Write, error) {
	var ws []trace.Write
	if c.cfg.Announce != nil {
		if err := c.cfg.Announce(c, req); err != nil {
			return nil, err
		}
	}
	if c.cfg.Writing != nil {
		c.cfg.Writing(keys)
	}
	err := c.call(what, req, func(r protocol.Reply) error {
		if r.Write == nil {
			return errors.New("an answer that is no write")
		}
		w := trace.Write{
			Key: sysctl.Key(r.Write.Key), Value: string(r.Write.Value), By: writerOf(c.role), At: time.Now(),
			Before: r.Write.Before.State(), After: r.Write.After.State(),
		}
		if r.Write.Error != nil {
			w.Errno = r.Write.Error.Number()
		}
		if !asked(w) {
			return fmt.Errorf("a write of %.80q that was not asked for", string(w.Key))
		}
		ws = append(ws, w)
		return nil
	})
	return ws, err
}

// Quit ends the child in good order and waits until the process is gone.
func (c *Client) Quit() error {
	if c.dead {
		return nil
	}
	if err := c.call("quit", protocol.Request{Quit: &protocol.Quit{}}, nil); err != nil {
		return err
	}
	c.dead = true
	err := c.wait()
	c.proc.Kill() // closes our ends of the pipes
	if err != nil {
		return fmt.Errorf("%s: quit: %w", c.role, err)
	}
	return nil
}

// Abandon ends the child at once.
func (c *Client) Abandon() {
	if !c.dead {
		c.dead = true
		c.kill(c.ending())
	}
}

// leastToEnd is how long a process has to end at least, whatever its answers have.
const leastToEnd = 10 * time.Second

// wait waits for the process, not for ever.
func (c *Client) wait() error {
	ended := c.ending()
	select {
	case err := <-ended:
		return err
	case <-time.After(max(c.cfg.Pace.deadline(stepEnd), leastToEnd)):
		c.kill(ended)
		return fmt.Errorf("process %d does not end: %w", c.pid, ErrDeadline)
	}
}

func (c *Client) ending() <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- c.proc.Wait() }()
	return ended
}

// kill takes note of a process in an uninterruptible system call, which outlives even
// SIGKILL.
func (c *Client) kill(ended <-chan error) {
	c.proc.Kill()
	select {
	case <-ended:
	case <-time.After(max(c.cfg.Pace.deadline(stepEnd), leastToEnd)):
		if c.cfg.Unended != nil {
			c.cfg.Unended.Store(true)
		}
	}
}
func FileMode(m uint32) fs.FileMode { return fs.FileMode(m) & 0o7777 }

func RoleOf(w trace.Writer) netns.Role {
	if w == trace.WriterUserNS {
		return netns.RoleUserWriter
	}
	return netns.RoleWriter
}

// writerOf is the inverse of roleOf; it is empty for children that only watch.
func writerOf(r netns.Role) trace.Writer {
	switch r {
	case netns.RoleWriter:
		return trace.WriterRoot
	case netns.RoleUserWriter:
		return trace.WriterUserNS
	}
	return ""
}
