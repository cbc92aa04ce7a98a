package parent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// GuardianEntry is the name under which cmd registers GuardianMain's caller for
// re-execution.
const GuardianEntry = "netns-verify-guardian"

// guardianProcess is the guardian itself: it lives in the host's namespaces, keeps
// the journal, and puts the host back when its pipe ends without a goodbye.
type guardianProcess struct {
	conn  *protocol.Conn[word, ack]
	lock  *os.File
	log   zerolog.Logger
	begin *guardBegin
	known journal.Journal
	file  *journal.File            // nil: it is kept in memory only
	items map[string]protocol.Item // by key, as they were last announced
	// recent is the last announcements, newest last: what is under way, what was before
	// it, and undoing. earlier is the batches before those.
	recent, earlier []Announcement
	kept            map[Exact]bool // the exact writes that have come into earlier
	children        children
	unended         error // of a child of the run's that was killed
	done            bool  // goodbye was said
	err             error // has not been said yet
}

// recentAnnouncements is how many there are that do not undo; earlierItems bounds how
// many keys' writes of earlier batches are kept.
const (
	recentAnnouncements = 2
	earlierItems        = 20_000
)

// GuardianMain is the re-executed guardian. It returns when there is nothing more
// to do, with an error where the host is not as it was found.
func GuardianMain(log zerolog.Logger) error {
	// It ends with the run, not with what ends the run. Of the log's reader, who may
	// be gone, it must not die either.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	for fd := guardianFD; fd < guardianFD+3; fd++ {
		unix.CloseOnExec(fd) // its own children are to hold none of them
	}
	g := &guardianProcess{
		conn: protocol.NewConn[word, ack](os.NewFile(guardianFD, "words"), os.NewFile(guardianFD+1, "acks")),
		lock: os.NewFile(guardianFD+2, "lock"), log: log,
	}
	err := g.listen()
	switch {
	case g.done:
		return nil
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		g.log.Error().Err(err).Msg("the guardian does not understand its run")
	}
	return g.takeOver()
}

// listen answers until there is nobody to answer, or goodbye has been said.
func (g *guardianProcess) listen() error {
	for !g.done {
		w, err := g.conn.Receive()
		if err != nil {
			return err
		}
		answered, err := g.take(w)
		if g.err = errors.Join(g.err, err); !answered {
			continue // what went wrong is said with the next answer
		}
		err, g.err = g.err, nil
		a := ack{Failed: protocol.FromError(err)}
		if err == nil {
			a.Done = &protocol.Done{}
		}
		if err := g.conn.Send(a); err != nil && !g.done {
			return fmt.Errorf("%w: %w", io.EOF, err)
		}
	}
	return nil
}

// take does what one word asks for, and tells whether that is answered.
func (g *guardianProcess) take(w word) (answered bool, err error) {
	switch {
	case w.Begin != nil:
		g.begin, g.items = w.Begin, map[string]protocol.Item{}
		if err := g.known.Add(journal.Line{Header: &w.Begin.Header}); err != nil {
			return true, err
		}
		return true, nil
	case w.Host != nil:
		if err := g.known.Add(journal.Line{Host: w.Host}); err != nil {
			return true, err
		}
		if !g.known.Whole() {
			return false, nil
		}
		return true, nil
	case w.Child != nil:
		g.children.add(*w.Child)
		return false, nil
	case w.Announce != nil:
		return !w.Announce.Known, g.announced(w.Announce)
	case w.Confirm != nil:
		return true, g.keep(journal.Line{Confirmed: w.Confirm})
	default:
		g.done = true
		return true, g.goodbye(w.End.Keep)
	}
}

func (g *guardianProcess) create() (err error) {
	if g.begin.Journal != "" {
		first := append([]journal.Line{{Header: &g.known.Header}}, journal.HostLines(g.known.Host)...)
		g.file, err = journal.Create(g.begin.Journal, first)
	}
	return err
}

// announced keeps what was announced. The file has each value once, and is made for the first.
func (g *guardianProcess) announced(a *Announcement) error {
	if g.file == nil {
		if err := g.create(); err != nil {
			return err
		}
	}
	for _, it := range a.Items {
		g.items[string(it.Key)] = it
	}
	for _, k := range a.Again {
		a.Items = append(a.Items, g.items[string(k)])
	}
	if !a.Ahead && len(a.Items)+len(a.Writes) > 0 {
		g.recent = append(g.recent, *a)
	}
	g.forget()
	var learnt []journal.Line
	if len(a.Restless) > 0 {
		learnt = append(learnt, journal.Line{Restless: &journal.Keys{Keys: a.Restless}})
	}
	if len(a.Theirs) > 0 {
		learnt = append(learnt, journal.Line{Theirs: &journal.Values{Values: a.Theirs}})
	}
	if len(a.Overwritten) > 0 {
		learnt = append(learnt, journal.Line{Overwritten: &journal.Values{Values: a.Overwritten}})
	}
	for _, l := range learnt {
		if err := g.keep(l); err != nil {
			return err
		}
	}
	past := &journal.Announced{Writes: g.known.News(a.readBack(), true)}
	news := &journal.Announced{Writes: g.known.News(a.values(), !a.Ahead)}
	if g.file == nil {
		return nil
	}
	if len(past.Writes) > 0 {
		if err := g.file.Append(journal.Line{Announced: past}); err != nil {
			return err
		}
	}
	switch {
	case len(news.Writes) == 0:
		return nil
	case a.Ahead:
		return g.file.Append(journal.Line{Ahead: news})
	}
	return g.file.Append(journal.Line{Announced: news})
}

// forget moves what is not recent any more to what is earlier, and drops the oldest of that.
func (g *guardianProcess) forget() {
	first, n := len(g.recent), 0
	for first > 0 && n < recentAnnouncements {
		if first--; !g.recent[first].Undo {
			n++
		}
	}
	if n < recentAnnouncements {
		return
	}
	for _, a := range g.recent[:first] {
		if g.firstHand(a) { // the others are replays of such, or undo
			g.earlier = append(g.earlier, a)
		}
	}
	g.recent = slices.Clone(g.recent[first:])
	items := 0
	for i, a := range slices.Backward(g.earlier) {
		if items += len(a.Items) + len(a.Writes); items > earlierItems {
			g.earlier = slices.Clone(g.earlier[i+1:])
			break
		}
	}
}

// firstHand takes note of an announcement's writes otherwise than by path, and tells
// whether it is no repetition: it has items, or one of these is new.
func (g *guardianProcess) firstHand(a Announcement) bool {
	news := len(a.Items) > 0
	for _, x := range a.Writes {
		if x.Via == trace.ViaPath || g.kept[x] {
			continue
		}
		if news = true; g.kept == nil {
			g.kept = map[Exact]bool{}
		}
		g.kept[x] = true
	}
	return news
}

// keep takes a line in and puts it into the file.
func (g *guardianProcess) keep(l journal.Line) error {
	if err := g.known.Add(l); err != nil || g.file == nil {
		return err
	}
	return g.file.Append(l)
}

// goodbye is the end of a run that needs no guardian any more.
func (g *guardianProcess) goodbye(keep bool) error {
	if g.file == nil {
		return nil
	}
	err := g.file.Close()
	if !keep {
		err = errors.Join(err, journal.Remove(g.begin.Journal))
	}
	return err
}

// children is the run's, as they were told of.
type children struct{ fds []int } // pidfds

// add opens a child by its pid. One that cannot be opened is gone; so is one whose pid is
// another program's by now, because the run was killed just when it had told of it.
func (c *children) add(pid int) {
	c.prune()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	if isOther(pid) {
		_ = unix.Close(fd)
		return
	}
	c.fds = append(c.fds, fd)
}

// isOther tells that a process is known to run another program than this one.
func isOther(pid int) bool {
	its, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	own, oerr := os.Stat("/proc/self/exe")
	return err == nil && oerr == nil && !os.SameFile(its, own)
}

// prune closes those that have ended.
func (c *children) prune() {
	var live []int
	for _, fd := range c.fds {
		if ended(fd, 0) {
			_ = unix.Close(fd)
		} else {
			live = append(live, fd)
		}
	}
	c.fds = live
}

// end ends them and waits until they are gone, with their namespaces left to the kernel.
func (c *children) end() error {
	for _, fd := range c.fds {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // the parent's death has done it, too
	}
	var err error
	for _, fd := range c.fds {
		if !ended(fd, netns.DrainDeadline.Milliseconds()) {
			err = errUnended
		}
		_ = unix.Close(fd)
	}
	c.fds = nil
	return err
}

// ended waits for so many milliseconds (pidfd_open(2): readable when it has).
func ended(fd int, ms int64) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(ms))
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
