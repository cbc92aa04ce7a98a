package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// Version is the format's. What a newer one means, nobody here can know.
const Version = 2

// Line is one line of the file: exactly one field is set. The first is a header, then come
// all of the host's values, then what is going to be done, or was learnt, in that order.
type Line struct {
	Header *Header `json:"header,omitempty"`
	Host   *Host   `json:"host,omitempty"`
	// Plan is a batch that a pass is going to send.
	Plan *Batch `json:"plan,omitempty"`
	// Child is a process that is going to write.
	Child *Child `json:"child,omitempty"`
	// Sent is what a child, or a descriptor, is about to be given to write.
	Sent *Sent `json:"sent,omitempty"`
	// Lent is keys of the host that the run writes itself: with the state that each has
	// before it is put back, although nothing explains that yet; without one (--write-host)
	// anything may be written to it.
	Lent *Values `json:"lent,omitempty"`
	// Theirs is what others made of keys of the host: the value to put back from then on.
	Theirs *Values `json:"theirs,omitempty"`
	// ReadBack is what keys were seen to make of values sent.
	ReadBack *Writes `json:"read_back,omitempty"`
	// Confirmed, Unresolved and OneWay are keys of the host that a leak changes.
	Confirmed  *Keys `json:"confirmed,omitempty"`
	Unresolved *Keys `json:"unresolved,omitempty"`
	OneWay     *Keys `json:"one_way,omitempty"`
	// Restless is keys of the host that move by themselves.
	Restless *Keys `json:"restless,omitempty"`
	// Noise tells whether others write sysctls, once that was measured.
	Noise *Noise `json:"noise,omitempty"`
}

// Header says whose record it is.
type Header struct {
	Version int `json:"version"`
	// Tool is the version of the tool that wrote it.
	Tool string `json:"tool"`
	Place
	// PID and Started are the run's.
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Keys is how many values of the host follow.
	Keys int `json:"keys"`
	// SettleMS is how long the run waited for what comes late, in ms, at most MaxSettle.
	SettleMS int64 `json:"settle_ms,omitempty"`
	// Devices is the host's.
	Devices []Device `json:"devices,omitempty"`
}

// MaxSettle bounds how long whoever restores waits for what comes late.
const MaxSettle = time.Hour

// Settle is how long to wait for what comes late.
func (h *Header) Settle() time.Duration { return time.Duration(h.SettleMS) * time.Millisecond }

// Device is a network device. One that is made again under its name has another index.
type Device struct {
	Name  protocol.Bytes `json:"name"`
	Index int            `json:"ifindex"`
}

// Host is a part of the host's values, in key order.
type Host struct {
	Entries []protocol.Entry `json:"entries"`
}

// Batch is values that keys may be given together.
type Batch struct {
	N      int     `json:"batch"`
	Writes []Write `json:"writes"`
}

// Write is values of one key.
type Write struct {
	Key    protocol.Bytes   `json:"key"`
	Values []protocol.Bytes `json:"values"`
}

// Child is a process by its pid and when it was started (proc_pid_stat(5), in ticks since
// boot; 0 where that is not known), and the kind of writer.
type Child struct {
	PID     int          `json:"pid"`
	Started uint64       `json:"started"`
	By      trace.Writer `json:"by,omitempty"`
}

// Sent is a batch of the plan by its number, what is not in the plan by its values, or
// nothing but what was sent before.
type Sent struct {
	Batch  int     `json:"batch,omitempty"`
	Writes []Write `json:"writes,omitempty"`
}

// Writes is values of keys.
type Writes struct {
	Writes []Write `json:"writes"`
}

// Keys is keys of the host.
type Keys struct {
	Keys []protocol.Bytes `json:"keys"`
}

// Values is what keys of the host have.
type Values struct {
	Values []Value `json:"values"`
}

// Value is what one key has.
type Value struct {
	Key   protocol.Bytes  `json:"key"`
	State *protocol.State `json:"state,omitempty"`
}

// Noise is what was measured of others.
type Noise struct {
	Loud bool `json:"loud"`
}

// ValueOf names what a key has.
func ValueOf(k sysctl.Key, st sysctl.State) *Values {
	s := protocol.FromState(st)
	return &Values{[]Value{{protocol.Bytes(k), &s}}}
}

// KeysOf names keys.
func KeysOf(keys []sysctl.Key) *Keys {
	k := &Keys{}
	for _, key := range keys {
		k.Keys = append(k.Keys, protocol.Bytes(key))
	}
	return k
}

// Limits, in bytes: a run of every value of 6000 keys needs some 5 MB.
const (
	maxFile = 64 << 20
	// hostBytes is how much of the host's values goes into one line.
	hostBytes = 1 << 20
)

// parse reads one line, strictly. Its error does not quote it: there may be secrets in it.
func parse(b []byte) (l Line, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return l, errors.New("something follows the object")
	}
	empty := []bool{
		l.Header == nil, l.Host == nil, l.Plan == nil, l.Child == nil, l.Sent == nil, l.Lent == nil, l.Theirs == nil,
		l.ReadBack == nil, l.Confirmed == nil, l.Unresolved == nil, l.OneWay == nil, l.Restless == nil, l.Noise == nil,
	}
	if set := len(slices.DeleteFunc(empty, func(e bool) bool { return e })); set != 1 {
		return l, fmt.Errorf("%d fields are set, want exactly 1", set)
	}
	return l, nil
}

// checkVersion reads of a first line only what every version has.
func checkVersion(b []byte) error {
	var first struct {
		Header *struct {
			Version int `json:"version"`
		} `json:"header"`
	}
	switch err := json.Unmarshal(b, &first); {
	case err != nil:
		return err
	case first.Header == nil:
		return errors.New("header: it is missing")
	case first.Header.Version != Version:
		return fmt.Errorf("header.version: it is %d, and this version of the tool only knows %d: use the one that wrote it", first.Header.Version, Version)
	}
	return nil
}

// HostLines cuts a snapshot into lines, one at least.
func HostLines(s sysctl.Snapshot) []Line {
	if len(s) == 0 {
		return []Line{{Host: &Host{}}}
	}
	var lines []Line
	part, size := &Host{}, 0
	for i, e := range s {
		part.Entries = append(part.Entries, protocol.Entry{Key: protocol.Bytes(e.Key), Mode: uint32(e.Mode), State: protocol.FromState(e.State)})
		if size += len(e.Key) + len(e.State.Value); size > hostBytes || i == len(s)-1 {
			lines = append(lines, Line{Host: part})
			part, size = &Host{}, 0
		}
	}
	return lines
}
