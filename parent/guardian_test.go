package parent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

const (
	written, other sysctl.Key = "net/core/written", "net/core/other"
	latch          sysctl.Key = "net/core/latch"
)

// guarded is a guardian of a run on a fake kernel.
func guarded(t *testing.T, k *fakeKernel, path string, words ...word) (*guardianProcess, *bytes.Buffer) {
	t.Helper()
	s, err := sysctl.NewSweeper(k.Host())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	g := &guardianProcess{log: zerolog.New(&log)}
	first := []word{{Begin: &guardBegin{
		Header:  journal.Header{Version: journal.Version, Place: journal.Place{BootID: "b", NetNS: 1}, PID: 42, Keys: len(s.Baseline())},
		Journal: path,
	}}}
	for _, l := range journal.HostLines(s.Baseline()) {
		first = append(first, word{Host: l.Host})
	}
	for _, w := range append(first, words...) {
		if _, err := g.take(w); err != nil {
			t.Fatal(err)
		}
	}
	return g, &log
}

func announcedWrite(k sysctl.Key, v string) word {
	return word{Announce: &Announcement{By: trace.WriterRoot, Writes: []Exact{{Key: protocol.Bytes(k), Value: protocol.Bytes(v)}}}}
}

func item(k sysctl.Key, values ...string) word {
	it := protocol.Item{Key: protocol.Bytes(k), Want: 1}
	for _, v := range values {
		it.Candidates = append(it.Candidates, protocol.Bytes(v))
	}
	return word{Announce: &Announcement{By: trace.WriterRoot, Items: []protocol.Item{it}}}
}

// ahead makes of an announcement one of a pass.
func ahead(w word) word { w.Announce.Ahead = true; return w }

// by makes of an announcement one of that child.
func by(child int, w word) word { w.Announce.Child = child; return w }

func theirs(k sysctl.Key, v string) []journal.Value {
	return []journal.Value{journal.ValueOf(k, sysctl.State{Value: v})}
}

// leaksTo writes a key of the host along with the namespace's own.
func leaksTo(k *fakeKernel, to sysctl.Key) handler {
	return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
		opener.values[key], k.host.values[to] = v, v
		return nil
	}}
}

// What a guardian puts back, looks into and leaves alone when its run is gone.
func TestTakeOver(t *testing.T) {
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
	counts := func(k *fakeKernel) handler { // the host's other key has another value each time
		n := 1000
		return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
			if opener.values[key] = v; opener != k.host && v != "10" {
				n++
				k.host.values[other] = strconv.Itoa(n)
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
	for name, tt := range map[string]struct {
		handler                     func(*fakeKernel) handler // of written
		words                       []word
		now                         map[sysctl.Key]string // on the host, when the run is gone
		want                        map[sysctl.Key]string
		restored, left, notRestored float64
		kept                        bool // the journal is
	}{
		"nothing has changed": {handler: same, words: []word{announcedWrite(written, "11")}},
		"an announced value": {
			handler: same, words: []word{announcedWrite(written, "11")},
			now: map[sysctl.Key]string{written: "11"}, restored: 1,
		},
		"a candidate, of long ago": {
			handler: same, words: []word{item(written, "12", "11"), announcedWrite(other, "1"), announcedWrite(other, "2"), announcedWrite(other, "3")},
			now: map[sysctl.Key]string{written: "11"}, restored: 1,
		},
		"what the key made of it": {
			handler: same, words: []word{announcedWrite(written, "11"), {Announce: &Announcement{ReadBack: []Exact{{Key: protocol.Bytes(written), Value: "11,12"}}}}},
			now: map[sysctl.Key]string{written: "11,12"}, restored: 1,
		},
		"another key's, confirmed": {
			handler: same, words: []word{announcedWrite(written, "11"), {Confirm: journal.KeysOf([]sysctl.Key{other})}},
			now: map[sysctl.Key]string{other: "77"}, restored: 1,
		},
		"another key's, not confirmed yet": {
			handler: toOther, words: []word{item(written, "11")},
			now: map[sysctl.Key]string{other: "11"}, restored: 1,
		},
		"another key's, that undoing does not undo": {
			handler: constant, words: []word{item(written, "11"), announcedWrite(latch, "1")},
			now: map[sysctl.Key]string{other: "99"}, restored: 1,
		},
		"somebody else's": {
			handler: same, words: []word{announcedWrite(written, "11")},
			now: map[sysctl.Key]string{other: "77"}, want: map[sysctl.Key]string{other: "77"}, left: 1,
		},
		"somebody else's, to the key written": {
			handler: same, words: []word{announcedWrite(written, "11")},
			now: map[sysctl.Key]string{written: "77"}, want: map[sysctl.Key]string{written: "77"}, left: 1,
		},
		"others are known to write": {
			handler: toOther, words: []word{{Announce: &Announcement{By: trace.WriterRoot, Loud: true, Writes: []Exact{{Key: protocol.Bytes(written), Value: "11"}}}}},
			now: map[sysctl.Key]string{other: "11"}, want: map[sysctl.Key]string{other: "11"}, left: 1, kept: true,
		},
		"a key that moves by itself": {
			handler: same, words: []word{{Announce: &Announcement{By: trace.WriterRoot, Restless: []protocol.Bytes{protocol.Bytes(other)}, Writes: []Exact{{Key: protocol.Bytes(other), Value: "11"}}}}},
			now: map[sysctl.Key]string{other: "11"}, want: map[sysctl.Key]string{other: "11"},
		},
		"its own values, of which another is the last, late": {
			handler: func(k *fakeKernel) handler {
				late := 100 * time.Millisecond
				return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					if opener.values[key] = v; opener != k.host {
						late += time.Millisecond // one after another
						time.AfterFunc(late, func() {
							k.mu.Lock()
							defer k.mu.Unlock()
							k.host.values[key] = v
						})
					}
					return nil
				}}
			},
			words: []word{announcedWrite(written, "11"), announcedWrite(written, "12"), {Announce: &Announcement{By: trace.WriterRoot, Theirs: theirs(written, "11")}}},
			now:   map[sysctl.Key]string{written: "11"}, restored: 1,
		},
		"undoing does it again, late": {
			handler: late(written), words: []word{announcedWrite(written, "11"), {Confirm: journal.KeysOf([]sysctl.Key{written})}},
			now: map[sysctl.Key]string{written: "99"}, restored: 1,
		},
		"undoing does it to another key, late": {
			handler: late(other), words: []word{item(written, "11")},
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
			words: []word{item(written, "11"), {Confirm: journal.KeysOf([]sysctl.Key{other})}},
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
			words: []word{announcedWrite(written, "11")}, restored: 1,
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
			words: []word{announcedWrite(written, "11"), {Confirm: journal.KeysOf([]sysctl.Key{written})}},
			now:   map[sysctl.Key]string{written: "99"}, want: map[sysctl.Key]string{written: "99"}, notRestored: 1, kept: true,
		},
		"of a batch long ago": {
			handler: constant, words: []word{item(written, "11"), announcedWrite(latch, "1"), announcedWrite(latch, "2"), item(latch, "3"), item(latch, "4")},
			now: map[sysctl.Key]string{other: "99"}, restored: 1,
		},
		"moved by putting back": {
			handler: func(*fakeKernel) handler {
				return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					opener.values[key], opener.values[other] = v, "55"
					return nil
				}}
			},
			words: []word{announcedWrite(written, "11")},
			now:   map[sysctl.Key]string{written: "11"}, restored: 2,
		},
		"what was to be written later": {
			handler: same, words: []word{ahead(item(written, "11")), announcedWrite(other, "5")},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "11"}, left: 1,
		},
		"what was to be written later, and was": {
			handler: toOther, words: []word{ahead(item(written, "11")), item(written, "11")},
			now: map[sysctl.Key]string{written: "11", other: "11"}, restored: 1, // by that the other goes, too
		},
		"somebody else's, that we may write, too": {
			handler: same, words: []word{{Announce: &Announcement{By: trace.WriterRoot, Theirs: theirs(written, "11"), Items: []protocol.Item{{Key: protocol.Bytes(written), Avoid: []protocol.Bytes{"11"}}}}}},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "11"}, left: 1,
		},
		"ours, over somebody else's": {
			handler: same, words: []word{{Announce: &Announcement{Theirs: theirs(written, "4242")}}, announcedWrite(written, "11")},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "4242"}, restored: 1,
		},
		"ours by a confirmed cause, over what was taken for somebody else's": {
			handler: toOther, words: []word{
				{Announce: &Announcement{Theirs: theirs(other, "4242")}}, announcedWrite(written, "11"), {Confirm: journal.KeysOf([]sysctl.Key{other})},
			},
			now: map[sysctl.Key]string{other: "11"}, restored: 1,
		},
		"somebody else's, that the run had overwritten": {
			handler: same, words: []word{announcedWrite(written, "11"), {Announce: &Announcement{Overwritten: theirs(other, "77")}}},
			want: map[sysctl.Key]string{other: "77"}, left: 1,
		},
		"somebody else's, that the run had overwritten while it only read": {
			handler: same, words: []word{{Announce: &Announcement{Overwritten: theirs(other, "77")}}},
			want: map[sysctl.Key]string{other: "77"}, left: 1,
		},
		"ours, that the run had put back": {
			handler: toOther, words: []word{item(written, "11"), {Announce: &Announcement{Overwritten: theirs(other, "11")}}}, restored: 1,
		},
		"ours, to the key written, that the run had put back": {
			handler: func(k *fakeKernel) handler { return leaksTo(k, written) },
			words:   []word{item(written, "11"), {Announce: &Announcement{Overwritten: theirs(written, "11")}}}, restored: 1,
		},
		"somebody else's, with a value that was just written, that the run had overwritten": {
			handler: same, words: []word{announcedWrite(written, "11"), {Announce: &Announcement{Overwritten: theirs(written, "11")}}},
			want: map[sysctl.Key]string{written: "11"}, left: 1,
		},
		"overwritten, settled since": {
			handler: same, words: []word{
				announcedWrite(written, "11"), {Announce: &Announcement{Overwritten: theirs(other, "77")}},
				{Announce: &Announcement{Overwritten: []journal.Value{{Key: protocol.Bytes(other)}}}},
			},
		},
		"of two batches of one writer": {
			handler: func(k *fakeKernel) handler {
				return handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					opener.values[key] = v
					if opener != k.host && opener.values[latch] == "5" && v == "11" {
						k.host.values[other] = "99"
					}
					return nil
				}}
			},
			words: []word{by(7, item(latch, "5")), by(8, item(latch, "6")), announcedWrite(latch, "7"), announcedWrite(latch, "8"), by(7, item(written, "11"))},
			now:   map[sysctl.Key]string{other: "99"}, restored: 1,
		},
		"another value each time": {
			handler: counts, words: []word{item(written, "11")},
			now: map[sysctl.Key]string{other: "1000"}, restored: 1,
		},
		"another value each time, of a key that is written later": {
			handler: counts, words: []word{ahead(item(other, "5")), item(written, "11")},
			now: map[sysctl.Key]string{other: "1000"}, restored: 1,
		},
		"somebody else's, to a key that leaks to the host's of its name": {
			handler: func(k *fakeKernel) handler { return leaksTo(k, written) },
			words:   []word{item(written, "11"), item(latch, "5"), {Announce: &Announcement{By: trace.WriterRoot, Theirs: theirs(written, "4242")}}},
			now:     map[sysctl.Key]string{written: "4242", other: "99"}, want: map[sysctl.Key]string{written: "4242", other: "99"}, left: 2,
		},
		"what the key made of it, told with the next pass": {
			handler: same, words: []word{announcedWrite(written, "11"), ahead(word{Announce: &Announcement{
				ReadBack: []Exact{{Key: protocol.Bytes(written), Value: "11,12"}}, Items: []protocol.Item{{Key: protocol.Bytes(other), Candidates: []protocol.Bytes{"3"}}},
			}})},
			now: map[sysctl.Key]string{written: "11,12"}, restored: 1,
		},
		"one-way": {
			handler: refuses, words: []word{announcedWrite(written, "11")},
			now: map[sysctl.Key]string{written: "11"}, want: map[sysctl.Key]string{written: "11"}, notRestored: 1, kept: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(dir, "own", "journal")
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
				k.handlers[written] = tt.handler(k)
				g, log := guarded(t, k, path, tt.words...)
				for key, v := range tt.now {
					k.host.values[key] = v
				}
				if err := g.putBack(context.Background(), k); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // what comes late has come by then
				synctest.Wait()
				for _, key := range []sysctl.Key{written, other, latch} {
					want := tt.want[key]
					if want == "" {
						want = "10"
					}
					if got := k.host.values[key]; got != want {
						t.Errorf("%s is %s, want %s", key, got, want)
					}
				}
				var e map[string]any
				if err := json.Unmarshal(log.Bytes(), &e); err != nil {
					t.Fatalf("not one line: %q", log)
				}
				if e["restored"] != tt.restored || e["left"] != tt.left || e["not_restored"] != tt.notRestored || e["pid"] != 42. {
					t.Errorf("logged %s", log)
				}
				if tt.notRestored > 0 && !strings.Contains(log.String(), "EBUSY") {
					t.Errorf("does not say why: %s", log)
				}
				if _, err := os.Lstat(path); (err == nil) != tt.kept {
					t.Errorf("journal: %v, want it kept: %v", err, tt.kept)
				}
				synctest.Wait()
			})
		})
	}
}

// What could not be put back at once, and then could, is put back: also only after somebody
// else's key was looked into.
func TestTakeOverTriesAgain(t *testing.T) {
	for refused := range 3 {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(dir, "own", "journal")
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
			k.handlers[written] = handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
				if opener == k.host {
					return syscall.EACCES
				}
				opener.values[key], k.host.values[key] = v, v
				return nil
			}}
			k.refused = refused
			g, log := guarded(t, k, path, announcedWrite(written, "11"))
			k.host.values[written], k.host.values[other] = "11", "77"
			err := g.putBack(context.Background(), k)
			if err != nil || k.host.values[written] != "10" || k.host.values[other] != "77" || strings.Contains(log.String(), notPutBack) {
				t.Errorf("%d children refused: %v, the host is %v: %s", refused, err, k.host.values, log)
			}
			if _, err := os.Lstat(path); err == nil {
				t.Errorf("%d children refused: the journal is still there", refused)
			}
			synctest.Wait()
		})
	}
}

// A run that was killed while it only read has its host put back, too.
func TestTakeOverAfterReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
		g, _ := guarded(t, k, "", word{Announce: &Announcement{By: trace.WriterRoot, Writes: []Exact{{Key: protocol.Bytes(written), Via: trace.ViaRead}}}})
		if g.nothing() {
			t.Error("nothing was done, it says, although keys were read")
		}
		g, _ = guarded(t, k, "", word{Announce: &Announcement{Overwritten: theirs(other, "77")}})
		if g.nothing() {
			t.Error("nothing was done, it says, although a key was overwritten")
		}
		g, _ = guarded(t, k, "", word{Announce: &Announcement{}})
		if !g.nothing() {
			t.Error("something was done, it says")
		}
	})
}

// Somebody else sets another key while a change is looked into.
func TestLookIntoForeign(t *testing.T) {
	quiet := announcedWrite(written, "11")
	quiet.Announce.Quiet = true // measured by the run
	for _, at := range []time.Duration{0, 50, 150, 250, 290, 310, 400, 500, 600, 700, 850} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
			g, log := guarded(t, k, filepath.Join(dir, "own", "journal"), quiet)
			k.host.values[other] = "77"
			time.AfterFunc(at*time.Millisecond, func() {
				k.mu.Lock()
				defer k.mu.Unlock()
				k.host.values[latch] = "4096"
			})
			if err := g.putBack(context.Background(), k); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if k.host.values[latch] != "4096" || k.host.values[other] != "77" {
				t.Errorf("at %d ms: the host is %v: %s", at, k.host.values, log)
			}
			synctest.Wait()
		})
	}
}

// With a journal alone, what no confirmed cause explains is found out about, too.
func TestLookIntoJournal(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
		k.handlers[written] = leaksTo(k, other)
		g, _ := guarded(t, k, filepath.Join(dir, "own", "journal"), item(written, "11", "12"), announcedWrite(latch, "1"))
		k.host.values[other], k.host.values[latch] = "11", "77"
		p, err := NewPutBack(k, &g.known, Options{Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if sure, err := p.LookInto(context.Background(), false); !sure || err != nil {
			t.Errorf("sure %v, %v", sure, err)
		}
		if k.host.values[other] != "10" || k.host.values[latch] != "77" || len(p.Restored) != 1 || len(p.Open) != 1 {
			t.Errorf("the host is %v; restored %v, open %v", k.host.values, p.Restored, p.Open)
		}
		synctest.Wait()
	})
}

// What the run had put back of a key that it was just writing to: a journal alone does not
// tell whose that was, unless the run had seen somebody else set it.
func TestLookIntoOverwritten(t *testing.T) {
	for _, seen := range []bool{false, true} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}})
			words := []word{item(written, "11")}
			want, unsure := "10", 1
			if seen {
				words = append(words, word{Announce: &Announcement{By: trace.WriterRoot, Theirs: theirs(written, "11")}})
				want, unsure = "11", 0
			}
			g, _ := guarded(t, k, filepath.Join(dir, "own", "journal"), append(words, word{Announce: &Announcement{Overwritten: theirs(written, "11")}})...)
			p, err := NewPutBack(k, &g.known, Options{Logger: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if _, err := p.LookInto(context.Background(), false); err != nil {
				t.Error(err)
			}
			if got := k.host.values[written]; got != want || len(p.Unsure) != unsure {
				t.Errorf("seen %v: the host has %s, want %s; unsure %v, left %v", seen, got, want, p.Unsure, p.Left)
			}
			synctest.Wait()
		})
	}
}

// Replays through descriptors are no news: a guardian would have each of them made again.
func TestGuardianForgetsReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hs := map[sysctl.Key]handler{}
		for i := range 12 {
			key, to := sysctl.Key(fmt.Sprintf("net/core/key%02d", i)), sysctl.Key(fmt.Sprintf("net/core/key%02d", 8+i))
			hs[key] = handler{write: func(opener, caller *space, key sysctl.Key, v string) error {
				opener.values[key] = v
				if opener != caller && i < 4 && v != "10" {
					caller.values[to] = "99"
				}
				return nil
			}}
		}
		k := newFake(hs)
		d := &dyingGuard{t: t, path: filepath.Join(t.TempDir(), "own", "journal")}
		r, err := Run(context.Background(), k, Options{Guard: d, Logger: zerolog.Nop(), Descriptors: true})
		if err != nil || len(r.Leaks) != 4 {
			t.Fatalf("%v, %d leaks", err, len(r.Leaks))
		}
		if n := len(d.g.earlier); n > r.Run.Replays/2 {
			t.Errorf("it remembers %d announcements of a run with %d replays", n, r.Run.Replays)
		}
		synctest.Wait()
	})
}

// dyingGuard is a guardian that hears of everything until the run is dead.
type dyingGuard struct {
	t    *testing.T
	path string
	g    *guardianProcess
	log  bytes.Buffer
	dead atomic.Bool
}

func (d *dyingGuard) say(w word) {
	if d.dead.Load() {
		return
	}
	text, err := json.Marshal(w)
	var heard word
	if err == nil {
		err = json.Unmarshal(text, &heard)
	}
	if err == nil {
		_, err = d.g.take(heard)
	}
	if err != nil {
		d.t.Error(err)
	}
}

func (d *dyingGuard) Begin(f Found) error {
	d.g = &guardianProcess{log: zerolog.New(&d.log)}
	d.say(word{Begin: &guardBegin{
		Header: journal.Header{Version: journal.Version, Place: journal.Place{BootID: "b", NetNS: 1}, PID: 42, Keys: len(f.Host)}, Found: f, Journal: d.path,
	}})
	for _, l := range journal.HostLines(f.Host) {
		d.say(word{Host: l.Host})
	}
	return nil
}
func (d *dyingGuard) Child(int)                     {}
func (d *dyingGuard) Announce(a Announcement) error { d.say(word{Announce: &a}); return nil }
func (d *dyingGuard) Confirm(keys []sysctl.Key)     { d.say(word{Confirm: journal.KeysOf(keys)}) }
func (d *dyingGuard) End(bool) error                { return nil }

// One value of a key changes another key of the host, and the run dies at that, in
// whichever pass it comes.
func TestDiesAtAnyValue(t *testing.T) {
	died := 0
	for _, thorough := range []bool{false, true} {
		for _, fatal := range []string{"11", "20", "110", "70000", "9", "5", "2", "1", "0", "-1"} {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
				d := &dyingGuard{t: t, path: filepath.Join(dir, "own", "journal")}
				var then map[sysctl.Key]string
				k.handlers[written] = handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
					opener.values[key] = v
					if v == fatal && opener != k.host {
						k.host.values[other] = "99999"
						if !d.dead.Swap(true) {
							then = maps.Clone(k.host.values)
						}
					}
					return nil
				}}
				_, _ = Run(context.Background(), k, Options{Guard: d, Logger: zerolog.Nop(), Thorough: thorough}) // what it finds is not asked for here
				if d.dead.Load() {
					died++
					k.host.values = then
					if err := d.g.putBack(context.Background(), k); err != nil || k.host.values[other] != "10" {
						t.Errorf("thorough %v, value %s: %v, the host is %v: %s", thorough, fatal, err, k.host.values, &d.log)
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
// that, the key has that value in the end: also while the run has put it back, to see
// whether its own writes bring it again, and when it is going to write this very value.
func TestForeignSurvives(t *testing.T) {
	for _, value := range []string{"4242", "110"} {
		for dies := range 40 {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
				d := &dyingGuard{t: t, path: filepath.Join(dir, "own", "journal")}
				var then map[sysctl.Key]string
				set, writes := false, 0
				count := func() {
					if writes++; set && writes > dies && !d.dead.Swap(true) {
						then = maps.Clone(k.host.values)
					}
				}
				plain := func(opener, _ *space, key sysctl.Key, v string) error {
					if opener.values[key] = v; opener == k.host || set {
						count()
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
				_, _ = Run(context.Background(), k, Options{Guard: d, Logger: zerolog.Nop()}) // what it finds is not asked for here
				if d.dead.Load() {
					k.host.values = then
					if err := d.g.putBack(context.Background(), k); err != nil || k.host.values[other] != value {
						t.Errorf("%s, after %d writes: %v, the host was %v, is %v: %s", value, dies, err, then, k.host.values, &d.log)
					}
				}
				synctest.Wait()
			})
		}
	}
}

// The journal has each value once, before it is acknowledged, and goes with the goodbye.
func TestGuardianKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own", "journal")
	k := newFake(map[sysctl.Key]handler{written: {}})
	g, _ := guarded(t, k, path, announcedWrite(written, "11"))
	size := func() int64 {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	for _, w := range []word{announcedWrite(written, "11"), item(written, "11")} {
		if _, err := g.take(w); err != nil {
			t.Fatal(err)
		}
	}
	if size() != before {
		t.Error("a value that it had was added")
	}
	if _, err := g.take(word{Announce: &Announcement{Items: []protocol.Item{{Key: protocol.Bytes(written), Avoid: []protocol.Bytes{"12"}}}}}); err != nil || size() == before {
		t.Errorf("the observers' values, which may be written, were not added: %v", err)
	}
	if answered, err := g.take(word{End: &guardEnd{}}); !answered || err != nil || !g.done {
		t.Errorf("goodbye: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}
}

// deafGuard fails when it has heard so many announcements: once, or from then on.
type deafGuard struct {
	after int
	once  bool
	ended *bool
}

func (g *deafGuard) Begin(Found) error    { return nil }
func (g *deafGuard) Child(int)            {}
func (g *deafGuard) Confirm([]sysctl.Key) {}
func (g *deafGuard) Announce(Announcement) error {
	if g.after--; g.after == -1 || g.after < 0 && !g.once {
		return errors.New("nobody is there")
	}
	return nil
}
func (g *deafGuard) End(keep bool) error { *g.ended = !keep; return nil }

// A run that its guardian does not hear stops before it writes any more, also where it is
// heard again, and puts the host back.
func TestUnguarded(t *testing.T) {
	for _, once := range []bool{false, true} {
		for after := range 12 {
			synctest.Test(t, func(t *testing.T) {
				k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
				k.handlers[written] = leaksTo(k, other)
				ended := false
				_, err := Run(context.Background(), k, Options{Guard: &deafGuard{after, once, &ended}, Logger: zerolog.Nop()})
				if err == nil || !strings.Contains(err.Error(), "nobody is there") {
					t.Errorf("after %d announcements (once: %v): %v", after, once, err)
				}
				if k.host.values[other] != "10" || k.host.values[written] != "10" || !ended {
					t.Errorf("after %d announcements (once: %v): host %v, ended %v", after, once, k.host.values, ended)
				}
				synctest.Wait()
			})
		}
	}
}

// While a child of the run may still write, the journal stays.
func TestUnendedChild(t *testing.T) {
	for n := range 12 {
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
			k.outlives = n
			removed := false
			r, err := Run(context.Background(), k, Options{Guard: &deafGuard{1000, false, &removed}, Logger: zerolog.Nop()})
			if unended := n > 0 && n <= len(k.children); removed == unended || errors.Is(err, errUnended) != unended {
				t.Errorf("child %d of %d does not end: %v, the journal is removed: %v; %v", n, len(k.children), err, removed, r.Warnings)
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
		})
	}
	slow := 0
	for n := range 12 { // one that ends only when it is killed; which one that is varies
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}})
			k.stays = n
			removed := false
			r, err := Run(context.Background(), k, Options{Guard: &deafGuard{1000, false, &removed}, Logger: zerolog.Nop()})
			if !removed || errors.Is(err, errUnended) {
				t.Errorf("child %d ends when it is killed: %v, the journal is removed: %v; %v", n, err, removed, r.Warnings)
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
	for _, ofGuardian := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "own", "journal")
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
			g, log := guarded(t, k, path, announcedWrite(written, "11"))
			k.host.values[written] = "11"
			if g.unended = errUnended; ofGuardian {
				g.unended, k.outlives = nil, 1
			}
			if err := g.putBack(context.Background(), k); !errors.Is(err, errUnended) || k.host.values[written] != "10" {
				t.Errorf("the guardian's: %v: %v, the host is %v", ofGuardian, err, k.host.values)
			}
			if _, err := os.Lstat(path); err != nil || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), errUnended.Error()) {
				t.Errorf("the guardian's: %v: journal: %v, log: %s", ofGuardian, err, log)
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
		})
	}
}
