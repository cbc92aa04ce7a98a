package parent

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/keyfile"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// Guard is who puts the host back where the run itself cannot any more (Guardian).
// It is told of everything before it is done.
type Guard interface {
	// Begin says how the host was found. Nothing has been written by then.
	Begin(Found) error
	// Child names a process that is going to write.
	Child(pid int)
	// Announce returns when it is on record what is going to be written; or will be,
	// whatever becomes of the run, where all of it is known.
	Announce(Announcement) error
	// Confirm says that a confirmed cause changes these keys of the host.
	Confirm(keys []sysctl.Key)
	// End says that nothing is written any more; keep, that something of the host
	// may still be put back. The error tells that the guard was not there to the end.
	End(keep bool) error
}

// Found is the host as it was found, and what undoing needs to know of the run.
type Found struct {
	Host             sysctl.Snapshot `json:"-"`
	Devices          Devices         `json:"devices"`
	Include, Exclude []sysctl.Glob   `json:",omitempty"`
	Lines            keyfile.Lines   `json:",omitempty"`
	Settle, Deadline time.Duration
}

// Announcement is writes that are about to be made, together.
type Announcement struct {
	// By is whose child makes them; empty for the host's own keys (WriteHost). Child is
	// its pid.
	By      trace.Writer `json:"by,omitempty"`
	Child   int          `json:"child,omitempty"`
	Devices bool         `json:"devices,omitempty"` // the child has some
	// Items are keys of which the child chooses the values, Writes are exact.
	Items  []protocol.Item `json:"items,omitempty"`
	Writes []Exact         `json:"writes,omitempty"`

	// Again is the keys of items that are just as they were last announced.
	Again []protocol.Bytes `json:"again,omitempty"`

	// Ahead tells that they are not under way yet, Known that none of the values is
	// new. Then nothing need be put on record before they are made.
	Ahead bool `json:"ahead,omitempty"`
	// Undo tells that they give keys their values back.
	Undo  bool `json:"undo,omitempty"`
	Known bool `json:"known,omitempty"`

	// What has been learnt since the last one: what keys made of values, and which
	// keys of the host move by themselves.
	ReadBack []Exact          `json:"read_back,omitempty"`
	Restless []protocol.Bytes `json:"restless,omitempty"`
	// Theirs and Overwritten are journal.Line's.
	Theirs      []journal.Value `json:"theirs,omitempty"`
	Overwritten []journal.Value `json:"overwritten,omitempty"`
	// Quiet and Loud tell whether others write sysctls, once that was measured.
	Quiet bool `json:"quiet,omitempty"`
	Loud  bool `json:"loud,omitempty"`
}

// Exact is one value for one key.
type Exact struct {
	Key   protocol.Bytes `json:"key"`
	Value protocol.Bytes `json:"value"`
	Via   trace.Via      `json:"via,omitempty"`
}

// values is what a journal has of an announcement's writes.
func (a *Announcement) values() []journal.Write {
	var ws []journal.Write
	for _, it := range a.Items {
		ws = append(ws, journal.Write{Key: it.Key, Values: slices.Concat(it.Candidates, it.Avoid)})
	}
	return append(ws, inJournal(a.Writes)...)
}

// readBack is what it has of what keys made of earlier ones.
func (a *Announcement) readBack() []journal.Write { return inJournal(a.ReadBack) }

func inJournal(xs []Exact) (ws []journal.Write) {
	for _, x := range xs {
		if x.Via != trace.ViaRead {
			ws = append(ws, journal.Write{Key: x.Key, Values: []protocol.Bytes{x.Value}})
		}
	}
	return ws
}

// guarding is what the guard has been told.
type guarding struct {
	told     map[Exact]bool           // values for keys, whatever way: true where they were under way
	items    map[string]protocol.Item // by key, as they were last announced
	restless map[trace.Place]bool
	readBack []Exact
	verified bool  // the host was compared with how it was found
	failed   error // why an announcement was not made
	// theirs and overwritten are journal.Line's.
	theirs, overwritten map[sysctl.Key]sysctl.State
}

// beginGuard comes before anything is written.
func (r *run) beginGuard() error {
	if r.o.Guard == nil || r.o.DryRun {
		r.o.Guard = nil
		return nil
	}
	r.guarding = guarding{
		told: map[Exact]bool{}, items: map[string]protocol.Item{}, restless: map[trace.Place]bool{},
		theirs: map[sysctl.Key]sysctl.State{}, overwritten: map[sysctl.Key]sysctl.State{},
	}
	host := slices.DeleteFunc(slices.Clone(r.host.Baseline()), func(e sysctl.Entry) bool { return !e.Key.Network() })
	return r.o.Guard.Begin(Found{
		Host: host, Devices: r.o.Devices, Include: r.o.Include, Exclude: r.o.Exclude, Lines: r.o.Lines, Settle: r.o.Settle, Deadline: r.o.Deadline,
	})
}

// announce tells the guard what is about to be written. Where the run is being
// ended anyway, undoing does not fail because nobody guards it.
func (r *run) announce(a Announcement) error {
	if r.o.Guard == nil {
		return nil
	}
	if err := r.guarding.failed; err != nil && !r.aborted {
		return err
	}
	a.ReadBack = r.readBack
	a.Quiet, a.Loud = r.noise.measured && !r.noise.loud, r.noise.loud
	for p := range r.restless {
		if p.Observer == trace.Host && !r.guarding.restless[p] && !r.leaks.ByReading(p) {
			r.guarding.restless[p] = true
			a.Restless = append(a.Restless, protocol.Bytes(p.Key))
		}
	}
	r.readBack = nil
	a.Theirs, a.Overwritten = r.newTheirs(), r.newOverwritten()
	a.Known = len(a.Items)+len(a.Writes) > 0 && !r.tells(a)
	if !r.newItems(a.Items) {
		for _, it := range a.Items {
			a.Again = append(a.Again, it.Key)
		}
		a.Items = nil
	}
	if err := r.o.Guard.Announce(a); err != nil && !r.aborted {
		r.guarding.failed = fmt.Errorf("announce writes: %w", err)
		return r.guarding.failed
	}
	return nil
}

// newTheirs is what others are seen to have made of keys of the host since it was last
// asked for.
func (r *run) newTheirs() (news []journal.Value) {
	for _, f := range r.foreign {
		k := f.Key
		if f.Observer == trace.Host && k.Network() && f.After.OK() && !r.stuck[k] && !r.restless[f.Place] &&
			r.host.Expected(k) == f.After && r.guarding.theirs[k] != f.After {
			r.guarding.theirs[k] = f.After
			news = append(news, journal.ValueOf(k, f.After))
		}
	}
	return news
}

// newOverwritten is what was forced, or settled, since it was last asked for.
func (r *run) newOverwritten() (news []journal.Value) {
	for _, k := range sortedKeys(r.forced) {
		st := r.forced[k][len(r.forced[k])-1].After
		if st.OK() && r.overwritten[k] != st {
			r.overwritten[k] = st
			news = append(news, journal.ValueOf(k, st))
		}
	}
	for _, k := range sortedKeys(r.overwritten) {
		if len(r.forced[k]) == 0 {
			delete(r.overwritten, k)
			news = append(news, journal.Value{Key: protocol.Bytes(k)})
		}
	}
	return news
}

// announceOverwriting has it on record what a key of the host has that is about to be
// put back, where that may be somebody else's.
func (r *run) announceOverwriting(e trace.Effect) error {
	if r.o.Guard == nil || !e.After.OK() || r.overwritten[e.Key] == e.After || r.leaks.ConfirmedAt(e.Place) {
		return nil
	}
	return r.announce(Announcement{})
}

// announcementOf is the start of one of a child of the writer that is at work.
func (r *run) announcementOf(c *client.Client) Announcement {
	return Announcement{By: r.writer, Child: c.PID(), Devices: len(c.Made()) > 0}
}

func (r *run) announceItems(c *client.Client, items []protocol.Item) error {
	a := r.announcementOf(c)
	a.Items = items
	return r.announce(a)
}

// announceWrites is announce for exact writes.
func (r *run) announceWrites(c *client.Client, ws []trace.Write) error {
	return r.announceExact(c, ws, false)
}

func (r *run) announceExact(c *client.Client, ws []trace.Write, undo bool) error {
	a := r.announcementOf(c)
	a.Undo = undo
	for _, w := range ws {
		a.Writes = append(a.Writes, Exact{protocol.Bytes(w.Key), protocol.Bytes(w.Value), w.Via})
	}
	return r.announce(a)
}

// announceHost is announce for writes of the host's own keys.
func (r *run) announceHost(keys []hostKey) error {
	var a Announcement
	for _, h := range keys {
		for _, v := range h.candidates {
			a.Writes = append(a.Writes, Exact{Key: protocol.Bytes(h.key), Value: protocol.Bytes(v)})
		}
	}
	return r.announce(a)
}

// announceRequest sees to it that nothing is asked of a child that was not announced.
func (r *run) announceRequest(c *client.Client, req protocol.Request) error {
	a := r.announcementOf(c)
	if req.Perturb != nil {
		a.Items = req.Perturb.Items
	}
	if req.Replay != nil {
		for _, w := range req.Replay.Writes {
			if !w.Read {
				a.Writes = append(a.Writes, Exact{Key: w.Key, Value: w.Value})
			}
		}
	}
	for _, w := range a.values() {
		if slices.ContainsFunc(w.Values, func(v protocol.Bytes) bool { return !r.told[Exact{Key: w.Key, Value: v}] }) {
			return r.announce(a)
		}
	}
	return nil
}

// tells takes note of an announcement's values, and whether one of them is new, or was not
// under way before.
func (r *run) tells(a Announcement) (news bool) {
	for _, w := range a.values() {
		for _, v := range w.Values {
			x := Exact{Key: w.Key, Value: v}
			if underWay, told := r.told[x]; !told || !underWay && !a.Ahead {
				news, r.told[x] = true, !a.Ahead
			}
		}
	}
	return news
}

// newItems takes note of items, and tells whether one is not as it was last announced:
// with other candidates, or in another order, a child would choose another value.
func (r *run) newItems(items []protocol.Item) (news bool) {
	for _, it := range items {
		news = news || !reflect.DeepEqual(r.guarding.items[string(it.Key)], it)
		r.guarding.items[string(it.Key)] = it
	}
	return news
}

// announceAhead has a pass's values put on record all at once, while the pass begins.
func (r *run) announceAhead(phase Phase, batches [][]int) error {
	if r.o.Guard == nil {
		return nil
	}
	a := Announcement{By: r.writer, Ahead: true}
	for _, index := range slices.Concat(batches...) {
		a.Items = append(a.Items, r.item(index, phase))
	}
	return r.announce(a)
}

// learn keeps what keys made of the values written to them, for the guard.
func (r *run) learn(ws []trace.Write) {
	if r.o.Guard == nil {
		return
	}
	for _, w := range ws {
		x := Exact{Key: protocol.Bytes(w.Key), Value: protocol.Bytes(w.After.Value)}
		if w.Perturbed() && w.After.OK() && !r.told[x] {
			r.told[x] = true
			r.readBack = append(r.readBack, x)
		}
	}
}

// confirmed tells the guard which keys of the host a leak changes.
func (r *run) confirmed(l *finding.Leak) {
	if r.o.Guard == nil || l.Status != finding.Confirmed {
		return
	}
	var keys []sysctl.Key
	for _, e := range l.Effects {
		if e.Observer == trace.Host && e.Key.Network() {
			keys = append(keys, e.Key)
		}
	}
	if len(keys) > 0 {
		r.o.Guard.Confirm(keys)
	}
}

// errUnended is a child that was killed and may be in the middle of a write.
var errUnended = errors.New("a child was killed and did not end, and a write of it may still come: when it has ended, netns-verify restore puts the host back, if there is a journal")

// endGuard is the last that the guard hears.
func (r *run) endGuard() error {
	if r.o.Guard == nil {
		return nil
	}
	left := slices.ContainsFunc(r.lost, func(n report.NotRestored) bool {
		return n.What == report.WhatSysctl && sysctl.Key(n.Key).Network() && !n.OneWay
	})
	keep := left || !r.verified
	if keep {
		r.warn("the host is not as it was found: the journal is kept, for netns-verify restore to try again")
	}
	if r.unended.Load() {
		r.warn("%v", errUnended)
		return errors.Join(errUnended, r.o.Guard.End(true))
	}
	err := r.o.Guard.End(keep)
	if errors.Is(err, ErrJournal) {
		r.warn("%v", err)
	}
	return err
}
