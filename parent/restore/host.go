package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Host is a host that is put back from a record.
type Host struct {
	m       netns.Machine
	rec     *record.Record
	now     record.Now
	sweeper *sysctl.Sweeper
	pace    *client.Pace
	unended atomic.Bool // a child was killed and did not end
	// measured: it is known whether others write sysctls.
	measured bool

	// ours is what is put back, whatever it comes to have, as it was at first.
	ours map[sysctl.Key]record.Change

	// Off is what is to be put back, or could not be; Left is what is left alone.
	Off, Left []record.Change
}

// childDeadline is the longest wait for an answer of a writer.
const childDeadline = 30 * time.Second

// staleAfter is how long after a record's last line what nothing explains is taken for
// somebody's who came later.
const staleAfter = time.Minute

// Open compares a machine's host with a record. Close ends it.
func Open(m netns.Machine, rec *record.Record, devices []record.Device) (*Host, error) {
	h := &Host{
		m: m, rec: rec, pace: client.NewPace(childDeadline), ours: map[sysctl.Key]record.Change{},
		sweeper: sysctl.NewSweeperFrom(m.Host(), rec.Host),
	}
	var loud bool
	loud, h.measured = rec.Noise()
	h.now = record.Now{Quiet: h.measured && !loud, Devices: devices, Stale: !rec.Last.IsZero() && time.Since(rec.Last) > staleAfter}
	for _, e := range rec.Host {
		h.sweeper.Expect(e.Key, rec.Expected(e.Key))
	}
	if err := h.compare(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close ends the looking at the host.
func (h *Host) Close() { _ = h.sweeper.Close() }

// All has it put back what nothing explains, too, however long the run is over.
func (h *Host) All() error {
	h.now.Stale = false
	return h.compare()
}

// Stale tells that there is something that All would put back.
func (h *Host) Stale() bool { return h.leaves(record.WhyStale) }

func (h *Host) leaves(why string) bool {
	return slices.ContainsFunc(h.Left, func(c record.Change) bool { return c.Why == why })
}

// compare compares the host with how it is to be.
func (h *Host) compare() error {
	changes, err := h.sweeper.Sweep()
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	back, left := h.rec.Judge(changes, h.now)
	h.Off, h.Left = back, nil
	for _, c := range left {
		if _, ours := h.ours[c.Key]; ours && c.After != sysctl.Absent {
			h.Off = append(h.Off, c)
		} else {
			h.Left = append(h.Left, c)
		}
	}
	if !h.measured && h.leaves(record.WhyLoud) {
		if err := h.measure(); err != nil {
			return err
		}
		return h.compare()
	}
	slices.SortStableFunc(h.Off, func(a, b record.Change) int { return cmp.Compare(trace.Breadth(b.Key), trace.Breadth(a.Key)) })
	return nil
}

// Others may write sysctls. In calmLooks looks, calmWindow apart, more than calmKeys keys
// that move just once are somebody at work.
const (
	calmLooks  = 4
	calmWindow = 100 * time.Millisecond
	calmKeys   = 1
)

// measure finds out whether nobody else writes sysctls, where the run had not, and which
// keys move by themselves.
func (h *Host) measure() error {
	s, err := sysctl.NewSweeper(h.m.Host())
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	defer func() { _ = s.Close() }()
	moves := map[sysctl.Key]int{}
	for range calmLooks {
		time.Sleep(calmWindow)
		changes, err := s.Sweep()
		if err != nil {
			return fmt.Errorf("host: %w", err)
		}
		for _, c := range changes {
			moves[c.Key]++
			s.Expect(c.Key, c.After)
		}
	}
	once := 0
	h.measured, h.now.Restless = true, map[sysctl.Key]bool{}
	for k, n := range moves {
		if h.now.Restless[k] = n > 1; n == 1 {
			once++
		}
	}
	h.now.Quiet = once <= calmKeys
	return nil
}

// Put ends the run's children, and puts the host back: at once, through a writer first, as the leak may have come, and
// then on the host; and once more what comes late. That is put back on the host, as through
// a writer it would only be done once more; what the host does not take, a writer may. A
// cancelled ctx ends the waiting, with an error; hurry, if not nil, without one.
func (h *Host) Put(ctx context.Context, hurry <-chan struct{}) error {
	if EndChildren(h.rec.Children) != nil {
		h.unended.Store(true)
	}
	if err := h.compare(); err != nil {
		return err
	}
	var failed error
	for range tries {
		failed = h.round(ctx, true)
		if err := h.Look(ctx, hurry); err != nil {
			return err
		}
		if err := h.round(ctx, false); err != nil || len(h.Off) == 0 {
			return err // without a writer the host could be written
		}
	}
	return failed
}

// tries is how often what does not go back is tried: a child that cannot be started now may
// be later.
const tries = 3

// Look waits for what writes, also those that undo, may still do, and compares once more. It
// writes nothing.
func (h *Host) Look(ctx context.Context, hurry <-chan struct{}) error {
	dctx, cancel := context.WithTimeout(ctx, h.pace.AtLeast(client.StepDrain, netns.DrainDeadline))
	_ = h.m.Drain(dctx) // what cannot be told, the settle time makes likely
	cancel()
	t := time.NewTimer(h.rec.Header.Settle())
	defer t.Stop()
	select {
	case <-t.C:
	case <-hurry:
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return h.compare()
}

// rounds bounds how often the host's keys are put back one after another: one may move others.
const rounds = 6

// round puts back what is off until nothing is, or nothing helps. Its error is that there
// could be no writer, or no look.
func (h *Host) round(ctx context.Context, throughWriter bool) (failed error) {
	for range rounds {
		if len(h.Off) == 0 {
			return nil
		}
		was := h.Off
		h.take(was)
		if throughWriter {
			failed = h.throughWriter(context.WithoutCancel(ctx))
			if err := h.compare(); err != nil {
				return err
			}
		}
		if err := h.onHost(); err != nil {
			return err
		}
		if slices.Equal(was, h.Off) {
			break
		}
	}
	return failed
}

// take takes changes for ours.
func (h *Host) take(changes []record.Change) {
	for _, c := range changes {
		if _, known := h.ours[c.Key]; !known {
			h.ours[c.Key] = c
		}
	}
}

// throughWriter has keys given their values in a fresh namespace, but none that the run was
// not to write.
func (h *Host) throughWriter(ctx context.Context) error {
	var undo []trace.Write
	for _, c := range h.Off {
		if h.rec.Asked(c.Key) {
			undo = append(undo, trace.Write{Key: c.Key, Value: c.Before.Value})
		}
	}
	if len(undo) == 0 {
		return nil
	}
	w, err := client.Start(ctx, h.m, client.RoleOf(h.rec.By()), client.Config{Pace: h.pace, Unended: &h.unended})
	if err == nil {
		defer w.Abandon()
		_, err = w.Replay(undo)
	}
	if err == nil {
		err = w.Quit()
	}
	if err != nil {
		return fmt.Errorf("put the host back through a writer: %w", err)
	}
	return nil
}

// onHost writes what is off, and looks. What was not off before, and is now, has followed.
func (h *Host) onHost() error {
	off := slices.Concat(h.Off, h.Left)
	h.take(h.Off)
	for _, c := range h.Off {
		_ = h.m.Host().Write(c.Key, c.Before.Value) // what is then read counts
	}
	if err := h.compare(); err != nil {
		return err
	}
	follows := false
	for _, c := range h.Left {
		if c.Why != record.WhyLoud && c.Why != record.WhyStale || hasKey(off, c.Key) {
			continue
		}
		follows, h.ours[c.Key] = true, c
	}
	if follows {
		return h.compare()
	}
	return nil
}

func hasKey(changes []record.Change, k sysctl.Key) bool {
	return slices.ContainsFunc(changes, func(c record.Change) bool { return c.Key == k })
}

// Done is what was put back, with what the run itself had put back and nothing explained.
func (h *Host) Done() (done, loans []record.Change) {
	for _, e := range h.rec.Host {
		if c, ours := h.ours[e.Key]; ours && !hasKey(h.Off, e.Key) && !hasKey(h.Left, e.Key) {
			done = append(done, c)
		}
	}
	for _, c := range h.rec.Loans() {
		if !hasKey(h.Off, c.Key) && !hasKey(h.Left, c.Key) && !hasKey(done, c.Key) {
			loans = append(loans, c)
		}
	}
	return done, loans
}

// Holds tells that the record must stay: a key refuses its value that is not known to be
// one-way, or more may still come.
func (h *Host) Holds() bool {
	return h.unended.Load() || slices.ContainsFunc(h.Off, func(c record.Change) bool { return !c.OneWay })
}

// Unended is why more may still come: a child was killed and did not end.
func (h *Host) Unended() error {
	if h.unended.Load() {
		return ErrUnended
	}
	return nil
}

// Why tries once more to put a key back that is off, and says why it is.
func (h *Host) Why(c record.Change) string {
	err := h.m.Host().Write(c.Key, c.Before.Value)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "only root may write it"
	case err != nil && c.OneWay:
		return "one-way: the kernel does not take the old value back before a reboot: " + unix.ErrnoName(sysctl.Errno(err))
	case err != nil:
		return "the kernel does not take the old value back: " + unix.ErrnoName(sysctl.Errno(err))
	}
	return "the kernel does not take the old value back, or something changes it again"
}

// Show is a key's state for people, who are not shown secrets unless they ask for them.
func Show(rec *record.Record, k sysctl.Key, st sysctl.State, secrets bool) string {
	switch {
	case st == sysctl.Absent:
		return report.Shown{}.String()
	case !st.OK():
		return report.Shown{Errno: unix.ErrnoName(st.Errno)}.String()
	case !secrets && (rec.Secret(k) || rec.Hides(st.Value)):
		return "<secret>"
	}
	return report.Show(st.Value).String()
}
