package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// Guardian is a Guard in a process of its own, which outlives ours. We hold the one
// end of a pipe: when the other end sees it closed without a goodbye, it puts the
// host back (guardianProcess).
type Guardian struct {
	cfg   GuardianConfig
	mu    sync.Mutex
	conn  *protocol.Conn[ack, word]
	cmd   *exec.Cmd
	ends  []*os.File    // of the pipes
	ended chan struct{} // closed when the process has
	err   error         // it is gone
	// refused is why it could not begin, late why it could not keep what is ahead. It does
	// both while the run goes on, until that has something more to announce.
	refused, late error
	begun, left   bool // the run has begun; goodbye was said
}

// GuardianConfig says how a guardian is started.
type GuardianConfig struct {
	// Entry is the name that cmd registered GuardianMain's caller under, Args what
	// that needs to know.
	Entry string
	Args  []string
	// Tool is the tool's version.
	Tool string
	// Journal is the file that it keeps, empty for none.
	Journal string
	// Lock is the machine's (LockedFile): it holds on to that for as long as it works.
	Lock *os.File
	// Stderr takes its one line.
	Stderr *os.File
	// Machine is how it starts children.
	Machine netns.LinuxConfig
	// Asked is cancelled when the run is to stop: a guardian that does not answer is then
	// waited for a shorter time.
	Asked context.Context
}

// word is what a guardian is told: exactly one field is set. All but a child, writes
// that are known, and parts of the host that are not the last, are answered with an ack.
type word struct {
	Begin    *guardBegin   `json:"begin,omitempty"`
	Host     *journal.Host `json:"host,omitempty"`
	Child    *int          `json:"child,omitempty"`
	Announce *Announcement `json:"announce,omitempty"`
	Confirm  *journal.Keys `json:"confirm,omitempty"`
	End      *guardEnd     `json:"end,omitempty"`
}

type guardBegin struct {
	Header  journal.Header `json:"header"`
	Found   Found          `json:"found"`
	Journal string         `json:"journal"`
	// How children are started: LinuxConfig's.
	Root   string `json:"root"`
	Entry  string `json:"entry"`
	Drain  string `json:"drain"`
	Build  string `json:"build"`
	UserNS bool   `json:"userns"`
}

type guardEnd struct {
	Keep bool `json:"keep"`
}

// ack says that what was told is on record, or why not.
type ack struct {
	Done   *protocol.Done  `json:"done,omitempty"`
	Failed *protocol.Error `json:"failed,omitempty"`
}

// guardianFD is its first descriptor after stdin, stdout and stderr: words, acks,
// and the lock.
const guardianFD = 3

// StartGuardian starts the process. It is of no use before Begin.
func StartGuardian(cfg GuardianConfig) (*Guardian, error) {
	var pipes netns.Pipes
	defer pipes.CloseChildEnds()
	wordsR, wordsW := pipes.Add()
	acksR, acksW := pipes.Add()
	if pipes.Err != nil {
		pipes.CloseAll()
		return nil, fmt.Errorf("start the guardian: %w", pipes.Err)
	}
	pipes.ChildEnds = []*os.File{wordsR, acksW}
	cmd := reexec.Command(append([]string{cfg.Entry}, cfg.Args...)...)
	cmd.ExtraFiles = []*os.File{wordsR, acksW, cfg.Lock}
	cmd.Stderr = cfg.Stderr
	cmd.SysProcAttr.Pdeathsig = 0 // it is there for when we are not
	cmd.SysProcAttr.Setsid = true // nor is it to end with a terminal or a job
	if err := cmd.Start(); err != nil {
		pipes.CloseAll()
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	g := &Guardian{
		cfg: cfg, cmd: cmd, ends: []*os.File{wordsW, acksR}, ended: make(chan struct{}),
		conn: protocol.NewConn[ack, word](acksR, wordsW),
	}
	go func() {
		defer close(g.ended)
		_ = cmd.Wait() // how it ended is noticed, or does not matter any more
	}()
	return g, nil
}

// ErrJournal is that the host's values could not be kept where a later `restore`
// would find them.
var ErrJournal = errors.New("keep the journal")

// ErrGuardianGone is a guardian that was killed, or did not answer.
var ErrGuardianGone = errors.New("the guardian is gone, which puts the host back if this process is killed")

// Begin implements Guard. What comes of it, the next announcement tells.
func (g *Guardian) Begin(f Found) error {
	here, err := journal.Here(g.cfg.Machine.Root)
	if err != nil {
		return err
	}
	begin := word{Begin: &guardBegin{
		Header: journal.Header{
			Version: journal.Version, Tool: g.cfg.Tool, Place: here, PID: os.Getpid(), Started: time.Now().UTC(), Keys: len(f.Host),
			SettleMS: f.Settle.Milliseconds(),
		},
		Found: f, Journal: g.cfg.Journal,
		Root: here.Root, Entry: g.cfg.Machine.Entry, Drain: g.cfg.Machine.DrainEntry, Build: g.cfg.Machine.Build, UserNS: g.cfg.Machine.UserNS,
	}}
	g.begun = true
	g.mu.Lock() // whoever has something to say waits for it
	go func() {
		defer g.mu.Unlock()
		g.refused = g.limited(func() error { return g.begin(begin, journal.HostLines(f.Host)) })
	}()
	return nil
}

func (g *Guardian) begin(begin word, host []journal.Line) error {
	err := g.conn.Send(begin)
	if err == nil {
		err = g.hear()
	}
	for _, l := range host {
		if err == nil {
			err = g.conn.Send(word{Host: l.Host})
		}
	}
	if err != nil {
		return err
	}
	return g.hear()
}

// Child implements Guard.
func (g *Guardian) Child(pid int) { _ = g.tellPart(word{Child: &pid}) } // the next announcement fails, too

// Announce implements Guard.
func (g *Guardian) Announce(a Announcement) error {
	if err := g.lateError(); err != nil {
		return err
	}
	switch {
	case a.Known: // what is in the pipe arrives, whatever becomes of us
		return g.tellPart(word{Announce: &a})
	case a.Ahead: // whoever has more to say waits for it
		g.mu.Lock()
		go func() {
			defer g.mu.Unlock()
			g.late = g.limited(func() error { return g.say(word{Announce: &a}) })
		}()
		return nil
	}
	return g.tell(word{Announce: &a})
}

// lateError is why the guardian could not keep what was announced ahead.
func (g *Guardian) lateError() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.late
	g.late = nil
	return err
}

// Confirm implements Guard.
func (g *Guardian) Confirm(keys []sysctl.Key) {
	_ = g.tell(word{Confirm: journal.KeysOf(keys)}) // likewise
}

// End implements Guard. Where the guardian is gone, its journal is ours to remove.
func (g *Guardian) End(keep bool) error {
	if g.unwilling() {
		return nil // the run has been told why
	}
	g.left = true
	err := g.tell(word{End: &guardEnd{Keep: keep}})
	if g.gone() && g.cfg.Journal != "" && !keep {
		err = errors.Join(err, g.removeJournal())
	}
	return err
}

// removeJournal does nothing where the guardian was killed and is still there: it hangs in
// the journal's file system, and so would we.
func (g *Guardian) removeJournal() error {
	if !g.endedWithin(askedDeadline) {
		return fmt.Errorf("%w: the guardian does not end, so %s was not removed: run netns-verify restore when it has", ErrJournal, g.cfg.Journal)
	}
	return journal.Remove(g.cfg.Journal)
}

// Close ends the pipe and waits until the guardian has ended; not for ever, but one that
// has not been said goodbye to has the host to put back, and is let do that.
func (g *Guardian) Close() {
	for _, f := range g.ends {
		_ = f.Close()
	}
	patience := DefaultDeadline
	if g.gone() {
		patience = time.Second // it was killed, and ends when the kernel lets it
	}
	if !g.endedWithin(patience) && (!g.begun || g.left || g.gone()) {
		_ = g.cmd.Process.Kill()
	}
}

func (g *Guardian) endedWithin(d time.Duration) bool {
	select {
	case <-g.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// unwilling tells that it is there, and could not begin.
func (g *Guardian) unwilling() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused != nil && g.err == nil
}

func (g *Guardian) gone() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err != nil
}

// tell says a word and waits for the answer.
func (g *Guardian) tell(w word) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limited(func() error { return g.say(w) })
}

// say says a word and hears the answer.
func (g *Guardian) say(w word) error {
	if err := g.conn.Send(w); err != nil {
		return err
	}
	return g.hear()
}

// tellPart says a word that is not answered.
func (g *Guardian) tellPart(w word) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limited(func() error { return g.conn.Send(w) })
}

// failed is an answer: the guardian is there, but could not do it.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

func (g *Guardian) hear() error {
	a, err := g.conn.Receive()
	if err == nil && a.Failed != nil {
		err = failed{a.Failed.Err()}
	}
	return err
}

// askedDeadline is for when the run is to stop.
const askedDeadline = 5 * time.Second

func (g *Guardian) giveUpLate(over <-chan struct{}) {
	late := time.NewTimer(DefaultDeadline)
	defer late.Stop()
	select {
	case <-g.cfg.Asked.Done():
		late.Reset(askedDeadline)
	case <-late.C:
		g.giveUp()
		return
	case <-over:
		return
	}
	select {
	case <-late.C:
		g.giveUp()
	case <-over:
	}
}

// giveUp ends a guardian that does not answer, so that it will not put the host back later,
// in the middle of this run or another: also one that was stopped, or is in a system call
// that does not end, does nothing more before it is killed. That may take as long as the
// call, so it is not waited for: closed pipes end the waiting here.
func (g *Guardian) giveUp() {
	_ = g.cmd.Process.Kill()
	for _, f := range g.ends {
		_ = f.Close()
	}
}

// limited does what needs the guardian under the deadline. One that does not
// answer is ended: what it was told is all on record.
func (g *Guardian) limited(do func() error) error {
	if err := cmp.Or(g.err, g.refused); err != nil {
		return err
	}
	over := make(chan struct{})
	go g.giveUpLate(over)
	err := do()
	close(over)
	var answer failed
	switch {
	case errors.As(err, &answer) && g.cfg.Journal != "":
		return fmt.Errorf("%w: %w", ErrJournal, answer.error)
	case errors.As(err, &answer):
		return answer.error
	case err != nil:
		g.giveUp() // mostly it is gone already
		g.err = fmt.Errorf("%w: %w", ErrGuardianGone, err)
	}
	return g.err
}
