package parent

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/restore"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

const (
	written, other sysctl.Key = "net/core/written", "net/core/other"
	latch          sysctl.Key = "net/core/latch"
)

var here = record.Place{BootID: "b", NetNS: 1}

// recorded is the record of a run on a fake kernel that has these lines.
func recorded(t *testing.T, k *fakeKernel, lines ...record.Line) *record.Record {
	t.Helper()
	s, err := sysctl.NewSweeper(k.Host())
	if err != nil {
		t.Fatal(err)
	}
	rec := &record.Record{}
	h := &record.Header{Version: record.Version, Place: here, PID: 42, Keys: len(s.Baseline()), SettleMS: DefaultSettle.Milliseconds()}
	for _, l := range slices.Concat([]record.Line{{Header: h}}, record.HostLines(s.Baseline()), lines) {
		if err := rec.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	return rec
}

// putBack puts a fake kernel's host back, as a guardian does.
func putBack(t *testing.T, k *fakeKernel, rec *record.Record) (*restore.Host, error) {
	t.Helper()
	h, err := restore.Open(k, rec, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	if err := h.All(); err != nil {
		t.Fatal(err)
	}
	return h, h.Put(context.Background(), nil)
}

func valuesOf(k sysctl.Key, values ...string) []record.Write {
	w := record.Write{Key: protocol.Bytes(k)}
	for _, v := range values {
		w.Values = append(w.Values, protocol.Bytes(v))
	}
	return []record.Write{w}
}

func sent(k sysctl.Key, values ...string) record.Line {
	return record.Line{Sent: &record.Sent{Writes: valuesOf(k, values...)}}
}

func planLine(n int, k sysctl.Key, values ...string) record.Line {
	return record.Line{Plan: &record.Batch{N: n, Writes: valuesOf(k, values...)}}
}

func theirs(k sysctl.Key, v string) record.Line {
	return record.Line{Theirs: record.ValueOf(k, sysctl.State{Value: v})}
}

func lent(k sysctl.Key, had string) record.Line {
	return record.Line{Lent: record.ValueOf(k, sysctl.State{Value: had})}
}

func confirmed(k sysctl.Key) record.Line {
	return record.Line{Confirmed: record.KeysOf([]sysctl.Key{k})}
}

// leaksTo writes a key of the host along with the namespace's own.
func leaksTo(k *fakeKernel, to sysctl.Key) handler {
	return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
		opener.values[key], k.host.values[to] = v, v
		return nil
	}}
}

// What is put back and what is left alone when a run is gone.
func TestPutBack(t *testing.T) {
	same := func(*fakeKernel) handler { return handler{} }
	toOther := func(k *fakeKernel) handler { return leaksTo(k, other) }
	constant := func(k *fakeKernel) handler {
		return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
			opener.values[key] = v
			if opener != k.host {
				k.host.values[other] = "99"
			}
			return nil
		}}
	}
	refuses := func(*fakeKernel) handler {
		return handler{write: func(*space, *space, sysctl.Key, string) error { return syscall.EBUSY }}
	}
	late := func(to sysctl.Key) func(*fakeKernel) handler { // by any write, also one that undoes
		return func(k *fakeKernel) handler {
			return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
				if opener.values[key] = v; opener != k.host {
					time.AfterFunc(100*time.Millisecond, func() {
						k.mu.Lock()
						defer k.mu.Unlock()
						k.host.values[to] = "99"
					})
				}
				return nil
			}}
		}
	}
	loud := record.Line{Noise: &record.Noise{Loud: true}}
	for name, tt := range map[string]struct {
		handler                           func(*fakeKernel) handler // of written
		lines                             []record.Line
		now                               map[sysctl.Key]string // on the host, when the run is gone
		want                              map[sysctl.Key]string
		restored, lent, left, notRestored int
		kept                              bool // the record is
	}{
		"nothing has changed": {handler: same, lines: []record.Line{sent(written, "11")}},
		"a value that was sent": {
			handler: same, lines: []record.Line{sent(written, "11")},
			now: map[sysctl.Key]string{written: "11"}, restored: 1,
		},
		"a candidate, of long ago": {
			handler: same, lines: []record.Line{sent(written, "12", "11"), sent(other, "1"), sent(other, "2"), sent(other, "3")},
			now: map[sysctl.Key]string{written: "11"}, restored: 1,
		},
		"what the key made of it": {
			handler: same, lines: []record.Line{sent(written, "11"), {ReadBack: &record.Writes{Writes: valuesOf(written, "11,12")}}, loud},
			now: map[sysctl.Key]string{written: "11,12"}, restored: 1,
		},
		"another key's, confirmed": {
			handler: same, lines: []record.Line{sent(written, "11"), confirmed(other), loud},
			now: map[sysctl.Key]string{other: "77"}, restored: 1,
		},
		"another key's, not confirmed yet": {
			handler: toOther, lines: []record.Line{sent(written, "11")},
			now: map[sysctl.Key]string{other: "11"}, restored: 1,
		},
		"another key's, that undoing does not undo": {
			handler: constant, lines: []record.Line{sent(written, "11"), sent(latch, "1")},
			now: map[sysctl.Key]string{other: "99"}, restored: 1,
		},
		"somebody else's, on a quiet machine": {
			handler: same, lines: []record.Line{sent(written, "11")},
			now: map[sysctl.Key]string{other: "77"}, restored: 1,
		},
		"somebody else's, on a loud one": {
			handler: same, lines: []record.Line{sent(written, "11"), loud},
			now: map[sysctl.Key]string{other: "77", written: "78"}, want: map[sysctl.Key]string{other: "77", written: "78"}, left: 2,
		},
		"one that is sent, on a loud one": {
			handler: toOther, lines: []record.Line{sent(written, "11"), loud},
			now: map[sysctl.Key]string{written: "11", other: "11"}, want: map[sysctl.Key]string{other: "10"}, restored: 1,
		},
		"a key that moves by itself": {
			handler: same, lines: []record.Line{{Restless: record.KeysOf([]sysctl.Key{other})}, sent(other, "11")},
			now: map[sysctl.Key]string{other: "11"}, want: map[sysctl.Key]string{other: "11"}, left: 1,
		},
		"a key that moves by itself, and leaks": {
			handler: same, lines: []record.Line{{Restless: record.KeysOf([]sysctl.Key{other})}, sent(other, "11"), confirmed(other)},
			now: map[sysctl.Key]string{other: "11"}, restored: 1,
		},
		"undoing does it again, late": {
			handler: late(written), lines: []record.Line{sent(written, "11"), confirmed(written)},
			now: map[sysctl.Key]string{written: "99"}, restored: 1,
		},
		"undoing does it to another key, late": {
			handler: late(other), lines: []record.Line{sent(written, "11")},
			now: map[sysctl.Key]string{other: "99"}, restored: 1,
		},
		"undoing writes another key, which does it to a third": {
			handler: func(k *fakeKernel) handler {
				k.handlers[other] = handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					if opener.values[key] = v; opener != k.host {
						k.host.values[latch] = "99"
					}
					return nil
				}}
				return constant(k)
			},
			lines: []record.Line{sent(written, "11"), sent(other, "5"), confirmed(other)},
			now:   map[sysctl.Key]string{other: "99"}, restored: 2,
		},
		"late, and only through a writer it goes back": {
			handler: func(k *fakeKernel) handler {
				time.AfterFunc(100*time.Millisecond, func() {
					k.mu.Lock()
					defer k.mu.Unlock()
					k.host.values[written] = "11"
				})
				return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					if opener == k.host {
						return syscall.EACCES
					}
					opener.values[key], k.host.values[key] = v, v
					return nil
				}}
			},
			lines: []record.Line{sent(written, "11")}, restored: 1,
		},
		"put back, and late it came again": {
			handler: func(k *fakeKernel) handler {
				return handler{write: func(opener, caller *space, key sysctl.Key, v string) error {
					if opener == k.host {
						return syscall.EBUSY
					}
					opener.values[key], k.host.values[key] = v, v
					return late(written)(k).write(opener, caller, key, v)
				}}
			},
			lines: []record.Line{sent(written, "11"), confirmed(written)},
			now:   map[sysctl.Key]string{written: "99"}, want: map[sysctl.Key]string{written: "99"}, notRestored: 1, kept: true,
		},
		"moved by putting back": {
			handler: func(*fakeKernel) handler {
				return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					opener.values[key], opener.values[other] = v, "55"
					return nil
				}}
			},
			lines: []record.Line{sent(written, "11"), loud},
			now:   map[sysctl.Key]string{written: "11"}, restored: 2,
		},
		"what was to be written later": {
			handler: same, lines: []record.Line{planLine(1, written, "11"), sent(other, "5"), loud},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "11"}, left: 1,
		},
		"what was to be written later, and was": {
			handler: toOther, lines: []record.Line{planLine(1, written, "11"), {Sent: &record.Sent{Batch: 1}}, loud},
			now: map[sysctl.Key]string{written: "11", other: "11"}, restored: 1, // by that the other goes, too
		},
		"somebody else's, that we may write, too": {
			handler: same, lines: []record.Line{theirs(written, "11"), sent(written, "11")},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "11"},
		},
		"ours, over somebody else's": {
			handler: same, lines: []record.Line{theirs(written, "4242"), sent(written, "11")},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "4242"}, restored: 1,
		},
		"ours by a confirmed cause, over what was taken for somebody else's": {
			handler: toOther, lines: []record.Line{theirs(other, "4242"), sent(written, "11"), confirmed(other)},
			now: map[sysctl.Key]string{other: "11"}, restored: 1,
		},
		"what the run had put back": {
			handler: same, lines: []record.Line{sent(written, "11"), lent(other, "77")}, lent: 1,
		},
		"what the run had put back, and was about to give back": {
			handler: same, lines: []record.Line{sent(written, "11"), lent(other, "77"), theirs(other, "77"), loud},
			want: map[sysctl.Key]string{other: "77"}, restored: 1,
		},
		"what the run had put back, and given back": {
			handler: same, lines: []record.Line{sent(written, "11"), lent(other, "77"), theirs(other, "77")},
			now: map[sysctl.Key]string{other: "77"}, want: map[sysctl.Key]string{other: "77"},
		},
		"what the run had put back, and leaks": {
			handler: same, lines: []record.Line{sent(written, "11"), lent(other, "77"), confirmed(other), loud},
			now: map[sysctl.Key]string{other: "78"}, restored: 1,
		},
		"what the run wrote on the host": {
			handler: same, lines: []record.Line{{Lent: &record.Values{Values: []record.Value{{Key: protocol.Bytes(other)}}}}, loud},
			now: map[sysctl.Key]string{other: "78"}, restored: 1,
		},
		"somebody else's, beside a key that leaks to the host's of its name": {
			handler: func(k *fakeKernel) handler { return leaksTo(k, written) },
			lines:   []record.Line{sent(written, "11"), sent(latch, "5"), theirs(written, "4242"), loud},
			now:     map[sysctl.Key]string{written: "4242", other: "99"}, want: map[sysctl.Key]string{written: "4242", other: "99"}, left: 1,
		},
		"refused": {
			handler: refuses, lines: []record.Line{sent(written, "11")},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "11"}, notRestored: 1, kept: true,
		},
		"one-way": {
			handler: refuses, lines: []record.Line{sent(written, "11"), {OneWay: record.KeysOf([]sysctl.Key{written})}},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "11"}, notRestored: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
				k.handlers[written] = tt.handler(k)
				rec := recorded(t, k, tt.lines...)
				maps.Copy(k.host.values, tt.now)
				h, err := putBack(t, k, rec)
				if err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // what comes late has come by then
				synctest.Wait()
				for _, key := range []sysctl.Key{written, other, latch} {
					if got, want := k.host.values[key], cmp.Or(tt.want[key], "10"); got != want {
						t.Errorf("%s is %s, want %s", key, got, want)
					}
				}
				done, loans := h.Done()
				if len(done) != tt.restored || len(loans) != tt.lent || len(h.Left) != tt.left || len(h.Off) != tt.notRestored {
					t.Errorf("restored %v, lent %v, left %v, off %v", done, loans, h.Left, h.Off)
				}
				for _, c := range h.Off {
					if why := h.Why(c); !strings.Contains(why, "EBUSY") {
						t.Errorf("does not say why: %s", why)
					}
				}
				if h.Holds() != tt.kept {
					t.Errorf("the record is held: %v", h.Holds())
				}
				synctest.Wait()
			})
		})
	}
}

// What could not be put back at once, and then could, is put back.
func TestPutBackTriesAgain(t *testing.T) {
	for refused := range 3 {
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
			k.handlers[written] = handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
				if opener == k.host {
					return syscall.EACCES
				}
				opener.values[key], k.host.values[key] = v, v
				return nil
			}}
			k.refused = refused
			rec := recorded(t, k, sent(written, "11"))
			k.host.values[written] = "11"
			if h, err := putBack(t, k, rec); err != nil || k.host.values[written] != "10" || h.Holds() {
				t.Errorf("%d children refused: %v, the host is %v", refused, err, k.host.values)
			}
			synctest.Wait()
		})
	}
}

// Others set one key after another, and the run was killed before it had measured that: what
// nothing explains is left to them.
func TestPutBackBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hs := map[sysctl.Key]handler{written: {}}
		var theirs []sysctl.Key
		for i := range 40 {
			theirs = append(theirs, sysctl.Key("net/core/theirs"+strconv.Itoa(i)))
			hs[theirs[i]] = handler{}
		}
		k := newFake(hs)
		rec := recorded(t, k, sent(written, "11"))
		k.host.values[written], k.host.values[theirs[0]] = "11", "4242"
		over := make(chan struct{})
		go func() {
			for i := 1; ; i++ {
				select {
				case <-over:
					return
				case <-time.After(100 * time.Millisecond):
				}
				k.mu.Lock()
				k.host.values[theirs[i%len(theirs)]] = "4242"
				k.mu.Unlock()
			}
		}()
		if _, err := putBack(t, k, rec); err != nil {
			t.Error(err)
		}
		close(over)
		synctest.Wait()
		if k.host.values[written] != "10" || k.host.values[theirs[0]] != "4242" || k.host.values[theirs[3]] != "4242" {
			t.Errorf("the host is %v", k.host.values)
		}
	})
}

// A run whose record is old: what nothing explains is somebody's, unless a person says otherwise.
func TestPutBackStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
		rec := recorded(t, k, sent(written, "11"))
		rec.Last = time.Now().Add(-2 * time.Minute)
		k.host.values[written], k.host.values[other] = "11", "77"
		h, err := restore.Open(k, rec, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if err := h.Put(context.Background(), nil); err != nil || !h.Stale() || k.host.values[written] != "10" || k.host.values[other] != "77" {
			t.Errorf("%v, the host is %v", err, k.host.values)
		}
		if err := errors.Join(h.All(), h.Put(context.Background(), nil)); err != nil || h.Stale() || k.host.values[other] != "10" {
			t.Errorf("all: %v, the host is %v", err, k.host.values)
		}
	})
}

// killable is a run that is killed: what is on record of it then is what is left.
type killable struct {
	path string
	text []byte
	dead atomic.Bool
	then map[sysctl.Key]string // the host
}

func newKillable(t *testing.T) *killable {
	return &killable{path: filepath.Join(t.TempDir(), "own", "journal")}
}

func (d *killable) record() *record.Writer {
	return record.NewWriter(record.Config{Path: d.path, Place: here})
}

// kill is for a kernel's handlers. What the run still does then counts for nothing.
func (d *killable) kill(k *fakeKernel) bool {
	if d.dead.Swap(true) {
		return false
	}
	d.text, _ = os.ReadFile(d.path) // nothing may have been sent
	d.then = maps.Clone(k.host.values)
	return true
}

// left is the record that was left.
func (d *killable) left(t *testing.T) *record.Record {
	t.Helper()
	rec, err := record.Decode(d.text)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// listed tells that it is said of a key that it had this value and was put back.
func listed(h *restore.Host, k sysctl.Key, value string) bool {
	done, loans := h.Done()
	return slices.ContainsFunc(slices.Concat(done, loans), func(c record.Change) bool { return c.Key == k && c.After.Value == value })
}

// One value of a key changes another key of the host, and the run dies at that, in
// whichever pass it comes.
func TestDiesAtAnyValue(t *testing.T) {
	died := 0
	for _, thorough := range []bool{false, true} {
		for _, fatal := range []string{"11", "20", "110", "70000", "9", "5", "2", "1", "0", "-1"} {
			d := newKillable(t)
			synctest.Test(t, func(t *testing.T) {
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
				k.handlers[written] = handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					opener.values[key] = v
					if v == fatal && opener != k.host {
						k.host.values[other] = "99999"
						d.kill(k)
					}
					return nil
				}}
				_, _ = Run(context.Background(), k, Options{Record: d.record(), Logger: zerolog.Nop(), Thorough: thorough}) // what it finds is not asked for here
				if d.dead.Load() {
					died++
					k.host.values = d.then
					if _, err := putBack(t, k, d.left(t)); err != nil || k.host.values[other] != "10" {
						t.Errorf("thorough %v, value %s: %v, the host is %v", thorough, fatal, err, k.host.values)
					}
				}
				synctest.Wait()
			})
		}
	}
	if died < 8 {
		t.Errorf("it died only %d times", died)
	}
}

// Somebody else sets a key once, in the middle of a batch. Whenever the run dies after
// that, the key has that value in the end, or it is said that it had it: also while the run
// has put it back, to see whether its own writes bring it again.
func TestForeignIsTold(t *testing.T) {
	kept, told := 0, 0
	for _, value := range []string{"4242", "110"} {
		for dies := range 40 {
			d := newKillable(t)
			synctest.Test(t, func(t *testing.T) {
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
				set, writes := false, 0
				plain := func(opener, _ *space, key sysctl.Key, v string) error {
					if opener.values[key] = v; opener == k.host || set {
						if writes++; set && writes > dies {
							d.kill(k)
						}
					}
					return nil
				}
				k.handlers[other] = handler{write: plain}
				k.handlers[latch] = handler{write: plain}
				k.handlers[written] = handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					if opener != k.host && !set {
						set, k.host.values[other] = true, value
					}
					return plain(opener, nil, key, v)
				}}
				_, _ = Run(context.Background(), k, Options{Record: d.record(), Logger: zerolog.Nop()}) // what it finds is not asked for here
				if d.dead.Load() {
					k.host.values = maps.Clone(d.then)
					h, err := putBack(t, k, d.left(t))
					switch now := k.host.values[other]; {
					case err == nil && now == value:
						kept++
					case err == nil && now == "10" && listed(h, other, value):
						told++
					default:
						t.Errorf("%s, after %d writes: %v, the host was %v, is %v", value, dies, err, d.then, k.host.values)
					}
				}
				synctest.Wait()
			})
		}
	}
	if kept == 0 || told == 0 {
		t.Errorf("kept %d times, told of %d times", kept, told)
	}
}

// What the guardian of a run is, as far as that knows: it fails once, or from then on.
type deafGuard struct {
	after int
	once  bool
}

func (g *deafGuard) alive() error {
	if g.after--; g.after == -1 || g.after < 0 && !g.once {
		return errors.New("nobody is there")
	}
	return nil
}

// A run without its guardian stops before it writes any more, also where that is there
// again, and puts the host back.
func TestUnguarded(t *testing.T) {
	for _, once := range []bool{false, true} {
		for after := range 12 {
			path := filepath.Join(t.TempDir(), "own", "journal")
			synctest.Test(t, func(t *testing.T) {
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
				k.handlers[written] = leaksTo(k, other)
				g := deafGuard{after, once}
				w := record.NewWriter(record.Config{Path: path, Place: here, Alive: g.alive})
				_, err := Run(context.Background(), k, Options{Record: w, Logger: zerolog.Nop()})
				if err == nil || !strings.Contains(err.Error(), "nobody is there") {
					t.Errorf("after %d announcements (once: %v): %v", after, once, err)
				}
				if _, ferr := os.Lstat(path); !errors.Is(ferr, fs.ErrNotExist) || !w.Ended() || k.host.values[other] != "10" || k.host.values[written] != "10" {
					t.Errorf("after %d announcements (once: %v): host %v, ended %v, journal: %v", after, once, k.host.values, w.Ended(), ferr)
				}
				synctest.Wait()
			})
		}
	}
}

// While a child of the run may still write, the record stays.
func TestUnendedChild(t *testing.T) {
	removed := func(path string) bool {
		_, err := os.Lstat(path)
		return errors.Is(err, fs.ErrNotExist)
	}
	for n := range 12 {
		d := newKillable(t)
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
			k.outlives = n
			r, err := Run(context.Background(), k, Options{Record: d.record(), Logger: zerolog.Nop()})
			if unended := n > 0 && n <= len(k.children); removed(d.path) == unended || errors.Is(err, restore.ErrUnended) != unended {
				t.Errorf("child %d of %d does not end: %v, the journal is removed: %v; %v", n, len(k.children), err, removed(d.path), r.Warnings)
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
		})
	}
	slow := 0
	for n := range 12 { // one that ends only when it is killed; which one that is varies
		d := newKillable(t)
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
			k.stays = n
			r, err := Run(context.Background(), k, Options{Record: d.record(), Logger: zerolog.Nop()})
			if !removed(d.path) || errors.Is(err, restore.ErrUnended) {
				t.Errorf("child %d ends when it is killed: %v, the journal is removed: %v; %v", n, err, removed(d.path), r.Warnings)
			}
			if errors.Is(err, client.ErrDeadline) {
				slow++
			}
			synctest.Wait()
		})
	}
	if slow == 0 {
		t.Error("no child had to be killed")
	}
	synctest.Test(t, func(t *testing.T) {
		k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
		rec := recorded(t, k, sent(written, "11"))
		k.host.values[written], k.outlives = "11", 1
		if h, _ := putBack(t, k, rec); !errors.Is(h.Unended(), restore.ErrUnended) || !h.Holds() || k.host.values[written] != "10" {
			t.Errorf("the guardian's: %v, the host is %v", h.Unended(), k.host.values)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
	})
}

// A run that only reads, and one that only puts back, is on record before it does.
func TestReadsAreSent(t *testing.T) {
	w := record.NewWriter(record.Config{})
	err := w.Begin(sysctl.Snapshot{{Key: other, Mode: 0o644, State: sysctl.State{Value: "10"}}}, DefaultSettle)
	if err != nil || w.Record().Sent() {
		t.Fatal(err, w.Record().Sent())
	}
	err = w.Request(1<<23, trace.WriterRoot, protocol.Request{Replay: &protocol.Replay{Writes: []protocol.Assign{{Key: protocol.Bytes(other), Read: true}}}})
	if err != nil || !w.Record().Sent() {
		t.Error(err, w.Record().Sent())
	}
}
