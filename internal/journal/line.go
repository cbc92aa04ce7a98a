package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// Version is the format's. What a newer one means, nobody here can know.
const Version = 1

// Line is one line of a journal: exactly one field is set. The first is a header,
// then come all of the host's values, then what was announced or found out, as it was.
type Line struct {
	Header *Header `json:"header,omitempty"`
	Host   *Host   `json:"host,omitempty"`
	// Ahead is of writes that come later, Announced of those that are under way.
	Ahead     *Announced `json:"ahead,omitempty"`
	Announced *Announced `json:"announced,omitempty"`
	Confirmed *Keys      `json:"confirmed,omitempty"`
	Restless  *Keys      `json:"restless,omitempty"`
	// Theirs is what others made of keys of the host, as far as the run knows.
	Theirs *Values `json:"theirs,omitempty"`
	// Overwritten is what keys of the host had before they were put back to see
	// whether it comes again. If not, it was somebody else's, who gets it back.
	Overwritten *Values `json:"overwritten,omitempty"`
}

// Header says whose journal it is.
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
}

// MaxSettle bounds how long whoever restores waits for what comes late.
const MaxSettle = time.Hour

// Settle is how long to wait for what comes late; 0 where that is not known.
func (h *Header) Settle() time.Duration { return time.Duration(h.SettleMS) * time.Millisecond }

// Host is a part of the host's values, in key order.
type Host struct {
	Entries []protocol.Entry `json:"entries"`
}

// Announced is values that may have been written to keys, and what those keys were
// seen to make of them.
type Announced struct {
	Writes []Write `json:"writes"`
}

// Write is values that one key may have been given.
type Write struct {
	Key    protocol.Bytes   `json:"key"`
	Values []protocol.Bytes `json:"values"`
}

// Keys is keys of the host: those that a confirmed cause changes, or those that
// move by themselves.
type Keys struct {
	Keys []protocol.Bytes `json:"keys"`
}

// Values is what keys of the host had.
type Values struct {
	Values []Value `json:"values"`
}

// Value is what one key had. Without a state it is settled what becomes of it.
type Value struct {
	Key   protocol.Bytes  `json:"key"`
	State *protocol.State `json:"state,omitempty"`
}

// ValueOf names what a key had.
func ValueOf(k sysctl.Key, st sysctl.State) Value {
	s := protocol.FromState(st)
	return Value{protocol.Bytes(k), &s}
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
	set := 0
	for _, is := range []bool{
		l.Header != nil, l.Host != nil, l.Ahead != nil, l.Announced != nil, l.Confirmed != nil, l.Restless != nil,
		l.Theirs != nil, l.Overwritten != nil,
	} {
		if is {
			set++
		}
	}
	if set != 1 {
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
	case first.Header.Version > Version:
		return fmt.Errorf("header.version: it is %d, and this version of the tool knows none after %d: use the one that wrote it", first.Header.Version, Version)
	case first.Header.Version < 1:
		return fmt.Errorf("header.version: there is no version %d", first.Header.Version)
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
