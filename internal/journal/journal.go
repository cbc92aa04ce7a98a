package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// Journal is what the lines of one say.
type Journal struct {
	Header Header
	// Host is how the host was found.
	Host sysctl.Snapshot

	// announced has values in their normal form, and whether writing them was under
	// way already, or was to come.
	announced           map[sysctl.Key]map[string]bool
	confirmed, restless map[sysctl.Key]bool
	theirs              map[sysctl.Key][]sysctl.State // newest last
	overwritten         map[sysctl.Key]sysctl.State
}

// Add takes a line for what it says. The error names the field.
func (j *Journal) Add(l Line) error {
	switch {
	case j.Header.Version == 0:
		return j.begin(l.Header)
	case l.Header != nil:
		return errors.New("header: there is one already")
	case l.Host != nil:
		return j.addHost(l.Host)
	case !j.Whole():
		return fmt.Errorf("host: %d of %d values were there when something else came", len(j.Host), j.Header.Keys)
	case l.Ahead != nil:
		return j.addWrites("ahead", l.Ahead, false)
	case l.Announced != nil:
		return j.addWrites("announced", l.Announced, true)
	case l.Theirs != nil:
		return addValues("theirs", l.Theirs, func(k sysctl.Key, st *protocol.State) {
			if st != nil {
				j.theirs[k] = append(j.theirs[k], st.State())
			}
		})
	case l.Overwritten != nil:
		return addValues("overwritten", l.Overwritten, func(k sysctl.Key, st *protocol.State) {
			if delete(j.overwritten, k); st != nil {
				j.overwritten[k] = st.State()
			}
		})
	case l.Confirmed != nil:
		return addKeys(j.confirmed, "confirmed", l.Confirmed)
	default:
		return addKeys(j.restless, "restless", l.Restless)
	}
}

func (j *Journal) begin(h *Header) error {
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
	*j = Journal{
		Header: *h, announced: map[sysctl.Key]map[string]bool{}, confirmed: map[sysctl.Key]bool{}, restless: map[sysctl.Key]bool{},
		theirs: map[sysctl.Key][]sysctl.State{}, overwritten: map[sysctl.Key]sysctl.State{},
	}
	return nil
}

func (j *Journal) addHost(h *Host) error {
	for i, e := range h.Entries {
		k := sysctl.Key(e.Key)
		err := check(k)
		switch {
		case err != nil:
		case len(j.Host) > 0 && k <= j.Host[len(j.Host)-1].Key:
			err = fmt.Errorf("key %.80q is out of order", string(k))
		case len(j.Host) == j.Header.Keys:
			err = fmt.Errorf("there are more than the header's %d", j.Header.Keys)
		}
		if err != nil {
			return fmt.Errorf("host.entries[%d]: %w", i, err)
		}
		j.Host = append(j.Host, sysctl.Entry{Key: k, Mode: fs.FileMode(e.Mode) & 0o7777, State: e.State.State()})
	}
	return nil
}

// Whole tells that all of the host's values are there.
func (j *Journal) Whole() bool { return j.Header.Version != 0 && len(j.Host) == j.Header.Keys }

func check(k sysctl.Key) error {
	if err := k.Check(); err != nil {
		return err
	}
	if !k.Network() {
		return fmt.Errorf("key %.80q is not below net/", string(k))
	}
	return nil
}

func (j *Journal) addWrites(field string, a *Announced, underWay bool) error {
	for i, w := range a.Writes {
		if err := check(sysctl.Key(w.Key)); err != nil {
			return fmt.Errorf("%s.writes[%d]: %w", field, i, err)
		}
		j.announce(w, underWay)
	}
	return nil
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

// announce tells whether the write has a value that was not known yet, or not to be
// under way.
func (j *Journal) announce(w Write, underWay bool) (news bool) {
	values := j.announced[sysctl.Key(w.Key)]
	if values == nil {
		values = map[string]bool{}
		j.announced[sysctl.Key(w.Key)] = values
	}
	for _, v := range w.Values {
		n := normal(string(v))
		if was, known := values[n]; !known || underWay && !was {
			values[n], news = underWay, true
		}
	}
	return news
}

// News is those of some writes that have values which are not announced yet; now they are.
func (j *Journal) News(ws []Write, underWay bool) []Write {
	var news []Write
	for _, w := range ws {
		if j.announce(w, underWay) {
			news = append(news, w)
		}
	}
	return news
}

// Announced is the values of writes that were under way, or of those that were to
// come, in their normal form, by key.
func (j *Journal) Announced(underWay bool) []Write {
	var ws []Write
	for _, k := range slices.Sorted(maps.Keys(j.announced)) {
		w := Write{Key: protocol.Bytes(k)}
		for _, v := range slices.Sorted(maps.Keys(j.announced[k])) {
			if j.announced[k][v] == underWay {
				w.Values = append(w.Values, protocol.Bytes(v))
			}
		}
		if len(w.Values) > 0 {
			ws = append(ws, w)
		}
	}
	return ws
}

// Theirs is what others have made of a key, as far as the run knew.
func (j *Journal) Theirs() map[sysctl.Key]sysctl.State {
	m := map[sysctl.Key]sysctl.State{}
	for k, all := range j.theirs {
		m[k] = all[len(all)-1]
	}
	return m
}

// Overwritten is what keys had before they were put back for a trial, where it is not
// settled whose that was, by key.
func (j *Journal) Overwritten() []sysctl.Change {
	var cs []sysctl.Change
	for _, k := range slices.Sorted(maps.Keys(j.overwritten)) {
		if e, known := j.at(k); known {
			cs = append(cs, sysctl.Change{Key: k, Before: e.State, After: j.overwritten[k]})
		}
	}
	return cs
}

// Confirmed tells that a confirmed cause changes the key.
func (j *Journal) Confirmed(k sysctl.Key) bool { return j.confirmed[k] }

// UnderWay tells that writing this value to a key was under way.
func (j *Journal) UnderWay(k sysctl.Key, st sysctl.State) bool {
	return st.OK() && j.announced[k][normal(st.Value)]
}

// Has tells that values were announced for a key.
func (j *Journal) Has(k sysctl.Key) bool { return len(j.announced[k]) > 0 }

// Written tells that anything was ever announced.
func (j *Journal) Written() bool { return len(j.announced) > 0 }

func addKeys(to map[sysctl.Key]bool, field string, keys *Keys) error {
	for i, b := range keys.Keys {
		k := sysctl.Key(b)
		if err := k.Check(); err != nil {
			return fmt.Errorf("%s.keys[%d]: %w", field, i, err)
		}
		to[k] = true
	}
	return nil
}

// Decode reads a whole journal. A last line without its end was being written when
// all was killed: what it announces was not sent.
func Decode(b []byte) (*Journal, error) {
	j := &Journal{}
	for n := 1; ; n++ {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			break
		}
		b = rest
		if err := j.decode(n, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch {
	case j.Header.Version == 0:
		return nil, errors.New("line 1: header: it is missing")
	case !j.Whole():
		return nil, fmt.Errorf("host: there are %d of %d values", len(j.Host), j.Header.Keys)
	}
	return j, nil
}

func (j *Journal) decode(n int, line []byte) error {
	if n == 1 {
		if err := checkVersion(line); err != nil {
			return err
		}
	}
	l, err := parse(line)
	if err != nil {
		return err
	}
	return j.Add(l)
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

// Read reads a journal's file, which must be this user's own. The error wraps fs.ErrNotExist where there is none.
func Read(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) // no waiting for the other end of a pipe
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := trusted(f); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read journal: %w", err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("read journal %s: it is longer than %d MiB", path, maxFile>>20)
	}
	j, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", path, Malformed{err})
	}
	return j, nil
}
