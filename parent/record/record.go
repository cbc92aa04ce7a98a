package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// Record is what the lines of one say.
type Record struct {
	Header Header
	// Host is how the host was found.
	Host sysctl.Snapshot
	// Children is who may write.
	Children []Child
	// Last is when the last line was written, where the file tells.
	Last time.Time

	plan map[int]*Batch // what of it was not sent yet
	sent bool           // something was
	// values is what was sent to a key (true) or only read back from it, in its normal form.
	values           map[sysctl.Key]map[string]bool
	effects          map[sysctl.Key]bool // a leak's: true where it is confirmed
	oneWay, restless map[sysctl.Key]bool
	theirs           map[sysctl.Key]sysctl.State
	loans            map[sysctl.Key]sysctl.State // what keys had that were put back
	returned, byRun  map[sysctl.Key]bool         // loans that are given back; keys of --write-host
	measured, loud   bool
}

// Add takes a line for what it says. The error names the field.
func (r *Record) Add(l Line) error {
	switch {
	case r.Header.Version == 0:
		return r.begin(l.Header)
	case l.Header != nil:
		return errors.New("header: there is one already")
	case l.Host != nil:
		return r.addHost(l.Host)
	case !r.Whole():
		return fmt.Errorf("host: %d of %d values were there when something else came", len(r.Host), r.Header.Keys)
	case l.Plan != nil:
		return r.addPlan(l.Plan)
	case l.Child != nil:
		if l.Child.PID <= 0 {
			return fmt.Errorf("child.pid: there is no process %d", l.Child.PID)
		}
		r.Children = append(r.Children, *l.Child)
	case l.Sent != nil:
		return r.addSent(l.Sent)
	case l.ReadBack != nil:
		return r.addWrites("read_back", l.ReadBack.Writes, false)
	case l.Lent != nil:
		return addValues("lent", l.Lent, r.lend)
	case l.Theirs != nil:
		return addValues("theirs", l.Theirs, func(k sysctl.Key, st *protocol.State) {
			if st == nil {
				return
			}
			r.theirs[k] = st.State()
			if _, out := r.loans[k]; out {
				r.returned[k] = true
				delete(r.loans, k)
			}
		})
	case l.Confirmed != nil:
		return addKeys("confirmed", l.Confirmed, func(k sysctl.Key) { r.leaks(k, true) })
	case l.Unresolved != nil:
		return addKeys("unresolved", l.Unresolved, func(k sysctl.Key) { r.leaks(k, false) })
	case l.OneWay != nil:
		return addKeys("one_way", l.OneWay, func(k sysctl.Key) { r.oneWay[k] = true })
	case l.Restless != nil:
		return addKeys("restless", l.Restless, func(k sysctl.Key) { r.restless[k] = true })
	default:
		r.measured, r.loud = true, l.Noise.Loud
	}
	return nil
}

func (r *Record) begin(h *Header) error {
	switch {
	case h == nil:
		return errors.New("header: it is missing")
	case h.Version != Version:
		return fmt.Errorf("header.version: it is %d, want %d", h.Version, Version)
	case h.BootID == "":
		return errors.New("header.boot_id: it is empty")
	case h.NetNS == 0:
		return errors.New("header.netns: it is empty")
	case h.Keys < 0:
		return fmt.Errorf("header.keys: there are no %d keys", h.Keys)
	case h.SettleMS < 0 || h.SettleMS > MaxSettle.Milliseconds():
		return fmt.Errorf("header.settle_ms: it is %d, want 0 to %d", h.SettleMS, MaxSettle.Milliseconds())
	}
	*r = Record{
		Header: *h, plan: map[int]*Batch{}, values: map[sysctl.Key]map[string]bool{}, effects: map[sysctl.Key]bool{},
		oneWay: map[sysctl.Key]bool{}, restless: map[sysctl.Key]bool{}, theirs: map[sysctl.Key]sysctl.State{},
		loans: map[sysctl.Key]sysctl.State{}, returned: map[sysctl.Key]bool{}, byRun: map[sysctl.Key]bool{},
	}
	return nil
}

func (r *Record) addHost(h *Host) error {
	for i, e := range h.Entries {
		k := sysctl.Key(e.Key)
		err := check(k)
		switch {
		case err != nil:
		case len(r.Host) > 0 && k <= r.Host[len(r.Host)-1].Key:
			err = fmt.Errorf("key %.80q is out of order", string(k))
		case len(r.Host) == r.Header.Keys:
			err = fmt.Errorf("there are more than the header's %d", r.Header.Keys)
		}
		if err != nil {
			return fmt.Errorf("host.entries[%d]: %w", i, err)
		}
		r.Host = append(r.Host, sysctl.Entry{Key: k, Mode: fs.FileMode(e.Mode) & 0o7777, State: e.State.State()})
	}
	return nil
}

// Whole tells that all of the host's values are there.
func (r *Record) Whole() bool { return r.Header.Version != 0 && len(r.Host) == r.Header.Keys }

func check(k sysctl.Key) error {
	if err := k.Check(); err != nil {
		return err
	}
	if !k.Network() {
		return fmt.Errorf("key %.80q is not below net/", string(k))
	}
	return nil
}

func (r *Record) addPlan(b *Batch) error {
	if b.N <= 0 {
		return fmt.Errorf("plan.batch: there is no batch %d", b.N)
	}
	if err := checkWrites("plan", b.Writes); err != nil {
		return err
	}
	r.plan[b.N] = b
	return nil
}

func (r *Record) addSent(s *Sent) error {
	r.sent = true
	if s.Batch != 0 {
		b := r.plan[s.Batch]
		if b == nil {
			return fmt.Errorf("sent.batch: batch %d is not planned, or was sent before", s.Batch)
		}
		delete(r.plan, s.Batch)
		r.mark(b.Writes, true)
	}
	return r.addWrites("sent", s.Writes, true)
}

func (r *Record) addWrites(field string, ws []Write, sent bool) error {
	if err := checkWrites(field, ws); err != nil {
		return err
	}
	r.mark(ws, sent)
	return nil
}

func checkWrites(field string, ws []Write) error {
	for i, w := range ws {
		if err := check(sysctl.Key(w.Key)); err != nil {
			return fmt.Errorf("%s.writes[%d]: %w", field, i, err)
		}
	}
	return nil
}

func (r *Record) mark(ws []Write, sent bool) {
	for _, w := range ws {
		k := sysctl.Key(w.Key)
		if r.values[k] == nil {
			r.values[k] = map[string]bool{}
		}
		for _, v := range w.Values {
			n := normal(string(v))
			r.values[k][n] = r.values[k][n] || sent
		}
	}
}

func (r *Record) lend(k sysctl.Key, st *protocol.State) {
	switch {
	case st == nil:
		r.byRun[k] = true
	default:
		r.loans[k] = st.State()
		delete(r.returned, k)
	}
}

// leaks takes note of a leak's effect: what was taken for others' doing before is not.
func (r *Record) leaks(k sysctl.Key, confirmed bool) {
	r.effects[k] = r.effects[k] || confirmed
	delete(r.theirs, k)
	delete(r.loans, k)
	delete(r.returned, k)
}

func addValues(field string, vs *Values, add func(sysctl.Key, *protocol.State)) error {
	for i, v := range vs.Values {
		if err := check(sysctl.Key(v.Key)); err != nil {
			return fmt.Errorf("%s.values[%d]: %w", field, i, err)
		}
		add(sysctl.Key(v.Key), v.State)
	}
	return nil
}

func addKeys(field string, keys *Keys, add func(sysctl.Key)) error {
	for i, k := range keys.Keys {
		if err := check(sysctl.Key(k)); err != nil {
			return fmt.Errorf("%s.keys[%d]: %w", field, i, err)
		}
		add(sysctl.Key(k))
	}
	return nil
}

// Sent tells that anything was written by the run: otherwise there is nothing to put back.
func (r *Record) Sent() bool { return r.sent || len(r.byRun) > 0 }

// UnderWay tells that a value was sent to a key, or read back from it.
func (r *Record) UnderWay(k sysctl.Key, value string) bool {
	_, known := r.values[k][normal(value)]
	return known
}

// SentTo tells that a value was sent to a key.
func (r *Record) SentTo(k sysctl.Key, value string) bool { return r.values[k][normal(value)] }

// Asked tells that the run was to write a key.
func (r *Record) Asked(k sysctl.Key) bool {
	if len(r.values[k]) > 0 {
		return true
	}
	for _, b := range r.plan {
		if slices.ContainsFunc(b.Writes, func(w Write) bool { return sysctl.Key(w.Key) == k }) {
			return true
		}
	}
	return false
}

// By is the kind of the last writer.
func (r *Record) By() trace.Writer {
	for _, c := range slices.Backward(r.Children) {
		if c.By != "" {
			return c.By
		}
	}
	return trace.WriterRoot
}

// Noise is what the run has measured of others.
func (r *Record) Noise() (loud, measured bool) { return r.loud, r.measured }

// Expected is the value that a key is to have: the last that others gave it, or the one
// it was found with.
func (r *Record) Expected(k sysctl.Key) sysctl.State {
	if st, ok := r.theirs[k]; ok {
		return st
	}
	if e, ok := r.at(k); ok {
		return e.State
	}
	return sysctl.Absent
}

func (r *Record) at(k sysctl.Key) (sysctl.Entry, bool) {
	i, ok := slices.BinarySearchFunc(r.Host, k, func(e sysctl.Entry, k sysctl.Key) int { return strings.Compare(string(e.Key), string(k)) })
	if !ok {
		return sysctl.Entry{}, false
	}
	return r.Host[i], true
}

// Decode reads a whole record. A last line without its end was being written when all was
// killed: what it says was not done.
func Decode(b []byte) (*Record, error) {
	r := &Record{}
	for n := 1; ; n++ {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			break
		}
		b = rest
		if err := r.decode(n, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch {
	case r.Header.Version == 0:
		return nil, errors.New("line 1: header: it is missing")
	case !r.Whole():
		return nil, fmt.Errorf("host: there are %d of %d values", len(r.Host), r.Header.Keys)
	}
	return r, nil
}

func (r *Record) decode(n int, line []byte) error {
	if n == 1 {
		if err := checkVersion(line); err != nil {
			return err
		}
	}
	l, err := parse(line)
	if err != nil {
		return err
	}
	return r.Add(l)
}

// trusted tells that nobody but this user can have written the file.
func trusted(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o022 != 0 || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a file that only this user can write: remove it", f.Name())
	}
	return isPrivate(filepath.Dir(f.Name()))
}

// Malformed is the error of a file that is no journal, or not one of this version.
type Malformed struct{ error }

// Unwrap gives what is wrong with it.
func (m Malformed) Unwrap() error { return m.error }

// Read reads a record's file, which must be this user's own. The error wraps fs.ErrNotExist
// where there is none.
func Read(path string) (*Record, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) // no waiting for the other end of a pipe
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := trusted(f); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return ReadFrom(f)
}

// ReadFrom reads an open file, from its start.
func ReadFrom(f *os.File) (*Record, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read journal: %w", err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("read journal %s: it is longer than %d MiB", f.Name(), maxFile>>20)
	}
	r, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", f.Name(), Malformed{err})
	}
	if st, err := f.Stat(); err == nil {
		r.Last = st.ModTime()
	}
	return r, nil
}
