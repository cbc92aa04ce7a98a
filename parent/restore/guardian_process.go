package restore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/record"
)

// GuardianMain is the re-executed guardian. It returns when there is nothing more to do,
// with an error where the host is not as it was found. The path is the record's, empty for
// one that has no name.
func GuardianMain(log zerolog.Logger, path string, cfg netns.LinuxConfig) error {
	// It ends with the run, not with what ends the run. Of the log's reader, who may
	// be gone, it must not die either.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	for fd := guardianFD; fd < guardianFD+3; fd++ {
		unix.CloseOnExec(fd) // its own children are to hold none of them
	}
	_, _ = io.Copy(io.Discard, os.NewFile(guardianFD, "the run")) // until that is gone
	rec, err := left(path)
	if rec == nil && err == nil {
		return nil // nothing was written
	}
	lock.Hold(os.NewFile(guardianFD+1, "lock"))
	g := &guardian{log: log, path: path, rec: rec}
	if err != nil {
		return g.failed(err)
	}
	if !rec.Sent() {
		return g.remove()
	}
	m, err := netns.NewLinux(cfg)
	if err != nil {
		return g.failed(err)
	}
	defer m.Close()
	return g.putBack(context.Background(), m)
}

// left is what a run has left; nil where that is nothing.
func left(path string) (*record.Record, error) {
	if path == "" {
		f := os.NewFile(guardianFD+2, "unlinked journal")
		if st, err := f.Stat(); err == nil && st.Size() == 0 {
			return nil, nil
		}
		return record.ReadFrom(f)
	}
	rec, err := record.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return rec, err
}

// guardian is a guardian whose run is gone.
type guardian struct {
	log  zerolog.Logger
	path string
	rec  *record.Record
}

const notPutBack = "the run was killed: the host is not wholly put back"

// failed says why the host could not be put back.
func (g *guardian) failed(err error) error {
	g.log.Error().Str("journal", g.path).Err(err).Msg(notPutBack)
	return err
}

func (g *guardian) remove() error {
	if g.path == "" {
		return nil
	}
	return record.Remove(g.path)
}

// mostNamed bounds how many keys that are left alone one line of a log names.
const mostNamed = 20

// putBack puts the host back, removes the record if nothing holds it, and says what became
// of the host, once: by then nobody needs to read that.
func (g *guardian) putBack(ctx context.Context, m netns.Machine) error {
	devices, err := record.Devices()
	if err != nil {
		return g.failed(err)
	}
	h, err := Open(m, g.rec, devices)
	if err != nil {
		return g.failed(err)
	}
	defer h.Close()
	if err = h.All(); err == nil {
		err = h.Put(ctx, nil)
	}
	if err = errors.Join(h.Unended(), err); err == nil && !h.Holds() {
		err = g.remove()
	}
	level, what := zerolog.WarnLevel, "the run was killed: the host is put back"
	if err != nil || len(h.Off) > 0 {
		level, what = zerolog.ErrorLevel, notPutBack
	}
	e := g.log.WithLevel(level).Int("pid", g.rec.Header.PID)
	if (err != nil || h.Holds()) && g.path != "" {
		e.Str("journal", g.path)
	}
	e.Func(h.Log).Err(err).Msg(what)
	return err
}

// Log adds what became of the host to an event.
func (h *Host) Log(e *zerolog.Event) {
	done, loans := h.Done()
	e.Int("restored", len(done)).Int("lent", len(loans)).Int("left", len(h.Left)).Int("not_restored", len(h.Off))
	list := func(name string, some []record.Change, says func(record.Change) string) {
		var all []string
		for _, c := range some {
			all = append(all, c.Key.Text()+says(c))
		}
		if len(all) > 0 {
			e.Strs(name, all)
		}
	}
	values := func(c record.Change) string {
		return ": " + Show(h.rec, c.Key, c.After, false) + ", was " + Show(h.rec, c.Key, c.Before, false)
	}
	list("restored_keys", done, values)
	list("lent_keys", loans, values)
	list("left_keys", h.Left[:min(len(h.Left), mostNamed)], func(record.Change) string { return "" })
	list("why", h.Off, func(c record.Change) string { return ": " + h.Why(c) })
}
