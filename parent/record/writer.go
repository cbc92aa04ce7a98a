package record

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// Config says where a run keeps its record.
type Config struct {
	// Path is the file's. Without one it is File (Unlinked), and without that it is kept
	// in memory only.
	Path string
	File *os.File
	// Tool is the tool's version.
	Tool    string
	Place   Place
	Devices []Device
	// Alive, if not nil, is asked before anything is sent. With its error nothing is.
	Alive func() error
}

// Writer is the run's end of its record. What a run is about to do it appends first; what
// could not be appended must not be done.
type Writer struct {
	cfg      Config
	rec      Record
	first    []Line // of the file, which is made for the first line that follows
	file     *file
	planned  map[planned]int // the batch of the last plan that has it
	batches  int
	children map[int]bool
	at       time.Time // of the last line
	err      error     // why something could not be appended
	ending   bool      // the run is: errors do not keep it from putting the host back
	ended    bool
}

// planned is a value of a key, in its normal form.
type planned struct {
	key   sysctl.Key
	value string
}

// ErrKeep is that the record could not be appended to, or removed.
var ErrKeep = errors.New("keep the journal")

// NewWriter makes a record that has nothing yet.
func NewWriter(cfg Config) *Writer {
	w := &Writer{cfg: cfg, planned: map[planned]int{}, children: map[int]bool{}}
	if !w.Filed() {
		w.cfg.Place = Place{BootID: "none", NetNS: 1} // nobody will ask
	}
	return w
}

// Begin says how the host was found. Nothing has been written by then, and no file is made.
func (w *Writer) Begin(host sysctl.Snapshot, settle time.Duration) error {
	host = slices.DeleteFunc(slices.Clone(host), func(e sysctl.Entry) bool { return !e.Key.Network() })
	w.first = append([]Line{{Header: &Header{
		Version: Version, Tool: w.cfg.Tool, Place: w.cfg.Place, PID: os.Getpid(), Started: time.Now().UTC(), Keys: len(host),
		SettleMS: min(settle, MaxSettle).Milliseconds(), Devices: w.cfg.Devices,
	}}}, HostLines(host)...)
	for _, l := range w.first {
		if err := w.rec.Add(l); err != nil {
			return w.fail(err)
		}
	}
	return nil
}

// Record is what it says by now.
func (w *Writer) Record() *Record { return &w.rec }

// Filed tells that who comes after the run can read it.
func (w *Writer) Filed() bool { return w.cfg.Path != "" || w.cfg.File != nil }

// Open makes the file, if it is not there yet.
func (w *Writer) Open() error {
	return w.append()
}

// Plan says what a pass is going to send, in which batches.
func (w *Writer) Plan(batches [][]protocol.Item) error {
	var ls []Line
	clear(w.planned)
	for _, items := range batches {
		w.batches++
		b := &Batch{N: w.batches}
		for _, x := range valuesOf(items) {
			k := sysctl.Key(x.Key)
			x.Values = slices.DeleteFunc(x.Values, func(v protocol.Bytes) bool { return w.rec.SentTo(k, string(v)) })
			for _, v := range x.Values {
				w.planned[planned{k, normal(string(v))}] = b.N
			}
			if len(x.Values) > 0 {
				b.Writes = append(b.Writes, x)
			}
		}
		if len(b.Writes) > 0 {
			ls = append(ls, Line{Plan: b})
		}
	}
	return w.append(ls...)
}

// valuesOf is what may be written to keys of which a child chooses the values.
func valuesOf(items []protocol.Item) (ws []Write) {
	for _, it := range items {
		ws = append(ws, Write{it.Key, slices.Concat(it.Candidates, it.Avoid)})
	}
	return ws
}

// Request says what a child is about to be sent.
func (w *Writer) Request(pid int, by trace.Writer, req protocol.Request) error {
	var ws []Write
	if req.Perturb != nil {
		ws = valuesOf(req.Perturb.Items)
	}
	if req.Replay != nil {
		for _, a := range req.Replay.Writes {
			if !a.Read {
				ws = append(ws, Write{a.Key, []protocol.Bytes{a.Value}})
			}
		}
	}
	var child []Line
	if !w.children[pid] {
		w.children[pid] = true
		child = []Line{{Child: &Child{PID: pid, Started: StartOf(pid), By: by}}}
	}
	return w.send(ws, child...)
}

// Through says what the run itself is about to write through descriptors of a child's.
func (w *Writer) Through(ws []trace.Write) error {
	var all []Write
	for _, x := range ws {
		all = append(all, Write{protocol.Bytes(x.Key), []protocol.Bytes{protocol.Bytes(x.Value)}})
	}
	return w.send(all)
}

// again is how long what was sent before may be sent again without a line: who reads the
// file later goes by its time, too.
const again = time.Second

func (w *Writer) send(ws []Write, first ...Line) error {
	if err := w.alive(); err != nil {
		return err
	}
	s := &Sent{}
	for _, x := range ws {
		k, news := sysctl.Key(x.Key), Write{Key: x.Key}
		for _, v := range x.Values {
			n := w.planned[planned{k, normal(string(v))}]
			switch {
			case w.rec.SentTo(k, string(v)):
			case n != 0 && (s.Batch == 0 || s.Batch == n):
				s.Batch = n
			default:
				news.Values = append(news.Values, v)
			}
		}
		if len(news.Values) > 0 {
			s.Writes = append(s.Writes, news)
		}
	}
	if w.rec.sent && s.Batch == 0 && len(s.Writes)+len(first) == 0 && time.Since(w.at) < again {
		return w.Err()
	}
	return w.append(append(first, Line{Sent: s})...)
}

// ReadBack says what keys made of values written to them.
func (w *Writer) ReadBack(ws []trace.Write) error {
	l := &Writes{}
	for _, x := range ws {
		if x.Perturbed() && x.After.OK() && !w.rec.UnderWay(x.Key, x.After.Value) {
			l.Writes = append(l.Writes, Write{protocol.Bytes(x.Key), []protocol.Bytes{protocol.Bytes(x.After.Value)}})
		}
	}
	if len(l.Writes) == 0 {
		return nil
	}
	return w.append(Line{ReadBack: l})
}

// Lend says that a key of the host is about to be put back that has this, although nothing
// explains it yet.
func (w *Writer) Lend(k sysctl.Key, had sysctl.State) error {
	if w.rec.loans[k] == had || !k.Network() {
		return nil
	}
	if _, leaks := w.rec.effects[k]; leaks {
		return nil
	}
	if err := w.alive(); err != nil {
		return err
	}
	return w.append(Line{Lent: ValueOf(k, had)})
}

// OnHost says that the run is about to write keys of the host.
func (w *Writer) OnHost(keys []sysctl.Key) error {
	if err := w.alive(); err != nil {
		return err
	}
	l := &Values{}
	for _, k := range keys {
		if !w.rec.byRun[k] {
			l.Values = append(l.Values, Value{Key: protocol.Bytes(k)})
		}
	}
	if len(l.Values) == 0 {
		return w.Err()
	}
	return w.append(Line{Lent: l})
}

// Theirs says that others gave a key of the host this value, before it is given back.
func (w *Writer) Theirs(k sysctl.Key, st sysctl.State) error {
	if w.rec.Expected(k) == st || !k.Network() {
		return nil
	}
	return w.append(Line{Theirs: ValueOf(k, st)})
}

// Restless says which keys of the host move by themselves.
func (w *Writer) Restless(keys []sysctl.Key) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k sysctl.Key) bool { return w.rec.restless[k] || !k.Network() })
	if len(keys) == 0 {
		return nil
	}
	return w.append(Line{Restless: KeysOf(keys)})
}

// Noise says whether others write sysctls.
func (w *Writer) Noise(loud bool) error {
	return w.append(Line{Noise: &Noise{loud}})
}

// Learn appends what was found out of leaks.
func (w *Writer) Learn(l Line) error {
	return w.append(l)
}

func (w *Writer) alive() error {
	if w.cfg.Alive == nil || w.err != nil {
		return w.Err()
	}
	return w.failed(w.cfg.Alive())
}

// append adds lines, all of them or nothing.
func (w *Writer) append(ls ...Line) error {
	if err := w.Err(); err != nil {
		return err
	}
	err := w.create()
	if err == nil && w.file != nil && len(ls) > 0 {
		err = w.file.append(ls...)
	}
	if err == nil || w.ending {
		w.at = time.Now()
		for _, l := range ls {
			err = errors.Join(err, w.rec.Add(l))
		}
	}
	return w.fail(err)
}

func (w *Writer) create() (err error) {
	switch {
	case w.file != nil:
	case w.cfg.Path != "":
		w.file, err = create(w.cfg.Path, w.first)
	case w.cfg.File != nil:
		f := &file{File: w.cfg.File, path: w.cfg.File.Name()}
		if err = f.append(w.first...); err == nil {
			w.file = f
		}
	}
	return err
}

// fail makes an error of the file's the Writer's.
func (w *Writer) fail(err error) error {
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrKeep, err)
	}
	return w.failed(err)
}

func (w *Writer) failed(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.Err()
}

// Err is why nothing may be sent any more; nil where the run is ending anyway.
func (w *Writer) Err() error {
	if w.ending {
		return nil
	}
	return w.err
}

// Ending says that the run only puts the host back from now on: that does not fail because
// it cannot be kept.
func (w *Writer) Ending() { w.ending = true }

// End is the last of a run whose host is put back, or, if the record is kept, cannot be.
func (w *Writer) End(keep bool) error {
	w.ended = true
	if w.file == nil {
		return nil
	}
	var err error
	switch {
	case w.cfg.Path == "":
		err = w.file.Truncate(0)
	case keep:
		err = w.file.Close()
	default:
		err = errors.Join(w.file.Close(), Remove(w.cfg.Path))
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrKeep, err)
	}
	return err
}

// Ended tells that nobody else need put the host back.
func (w *Writer) Ended() bool { return w.ended }
