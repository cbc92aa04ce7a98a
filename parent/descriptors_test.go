package parent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// callers works on the values of whoever calls, as handlers that look at
// current->nsproxy do.
var callers = handler{
	read:  func(_, caller *space, k sysctl.Key) sysctl.State { return sysctl.State{Value: caller.values[k]} },
	write: func(_, caller *space, k sysctl.Key, v string) error { caller.values[k] = v; return nil },
}

// toOther writes where it should, and where the caller has another key, too.
func toOther(other sysctl.Key) handler {
	return handler{write: func(opener, caller *space, k sysctl.Key, v string) error {
		opener.values[k] = v
		if caller != opener {
			caller.values[other] = v
		}
		return nil
	}}
}

// latching works on the caller's value, which only ever changes once.
var latching = handler{
	read: callers.read,
	write: func(_, caller *space, k sysctl.Key, v string) error {
		if caller.values[k] != "10" {
			return syscall.EBUSY
		}
		caller.values[k] = v
		return nil
	},
}

// afterwards is the opener's, until that is gone: then it is the caller's.
var afterwards = handler{alive: true, write: func(opener, caller *space, k sysctl.Key, v string) error {
	if opener.gone {
		caller.values[k] = v
	}
	opener.values[k] = v
	return nil
}}

func through(t *testing.T, k *fakeKernel, change func(*Options)) (r *report.Report, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: 1, BatchSize: 4, Descriptors: true, Logger: zerolog.Nop()}
		if change != nil {
			change(&o)
		}
		r, err = Run(context.Background(), k, o)
		synctest.Wait()
	})
	return r, err
}

func TestDescriptors(t *testing.T) {
	const key, other = sysctl.Key("net/a/key"), sysctl.Key("net/a/other")
	for _, tc := range []struct {
		name    string
		handler handler
		effects []string // observer, kind and key
		status  report.Status
		stuck   bool
	}{
		{name: "the opener's", handler: handler{}},
		{name: "the caller's", handler: callers, effects: []string{"host changed net/a/key", "host read net/a/key"}, status: report.StatusConfirmed},
		{name: "written to the caller's", handler: handler{write: callers.write}, effects: []string{"host changed net/a/key"}, status: report.StatusConfirmed},
		{name: "read from the caller's", handler: handler{read: callers.read}, effects: []string{"host read net/a/key"}, status: report.StatusConfirmed},
		{name: "another of the caller's", handler: toOther(other), effects: []string{"host changed net/a/other"}, status: report.StatusConfirmed},
		{name: "one-way", handler: latching, effects: []string{"host changed net/a/key"}, status: report.StatusOneWay, stuck: true},
		{name: "after its end", handler: afterwards, effects: []string{"host changed net/a/key"}, status: report.StatusConfirmed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handlers := map[sysctl.Key]handler{key: tc.handler, other: {}}
			for _, k := range []sysctl.Key{"net/a/b", "net/a/c", "net/a/d", "net/a/e", "net/a/f"} {
				handlers[k] = handler{}
			}
			k := newFake(handlers)
			before := maps.Clone(k.host.values)
			r, err := through(t, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Counts.Descriptors != len(handlers) {
				t.Errorf("%d keys were written through descriptors", r.Counts.Descriptors)
			}
			if !tc.stuck && !maps.Equal(before, k.host.values) {
				t.Errorf("the host was %v and is %v", before, k.host.values)
			}
			if (len(r.Run.NotRestored) > 0) != tc.stuck || len(r.Unconfirmed) > 0 {
				t.Errorf("not restored: %+v, unconfirmed: %+v", r.Run.NotRestored, r.Unconfirmed)
			}
			candidates := 0
			for _, v := range r.Keys {
				want := report.VerdictIsolated
				if tc.stuck && v.UntestedReason == report.ReasonUnresolved && candidates < 3 {
					candidates++ // of the same batch: no replay can tell
					continue
				}
				if v.Key == string(key) && len(tc.effects) > 0 {
					want = report.VerdictLeak
				}
				if v.Verdict != want {
					t.Errorf("%s is %s, want %s", v.Key, v.Verdict, want)
				}
			}
			if len(tc.effects) == 0 {
				if len(r.Leaks) > 0 {
					t.Errorf("leaks %+v", r.Leaks)
				}
				return
			}
			if len(r.Leaks) != 1 {
				t.Fatalf("%d leaks: %+v", len(r.Leaks), r.Leaks)
			}
			l := r.Leaks[0]
			var effects []string
			for _, e := range l.Effects {
				effects = append(effects, e.Observer+" "+e.Kind+" "+e.Key)
			}
			if l.Via != report.ViaDescriptor || len(l.Cause) != 1 || l.Cause[0].Key != string(key) || !slices.Equal(effects, tc.effects) || l.Evidence.Status != tc.status {
				t.Errorf("leak by %+v via %s to %v, %+v", l.Cause, l.Via, effects, l.Evidence)
			}
			if ev := l.Evidence; tc.status == report.StatusConfirmed && (ev.Rounds < 3 || ev.Matched != ev.Rounds || ev.Shams < 3) {
				t.Errorf("evidence %+v", ev)
			}
			if tc.stuck == l.Restored {
				t.Errorf("restored: %v", l.Restored)
			}
		})
	}
}

// A write that leaks by path, too, needs no descriptor, and is written through none.
func TestByPathIsNoDescriptor(t *testing.T) {
	const key = sysctl.Key("net/a/key")
	k := newFake(map[sysctl.Key]handler{"net/a/b": {}})
	k.handlers[key] = handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
		opener.values[key], k.host.values[key] = v, v
		return nil
	}}
	k.host.values[key] = "10"
	r, err := through(t, k, nil)
	if err != nil || len(r.Leaks) != 1 || r.Leaks[0].Via != report.ViaPath {
		t.Fatalf("%v, leaks %+v", err, r.Leaks)
	}
	if slices.ContainsFunc(k.events, func(e string) bool { return strings.HasPrefix(e, string(key)) }) {
		t.Errorf("written through descriptors: %v", k.events)
	}
}

func TestDescriptorsAreLeftAlone(t *testing.T) {
	exclude, err := sysctl.ParseGlob("net/a/key")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		change  func(*fakeKernel, *Options)
		warning string
		keys    int
	}{
		{"not asked for", func(_ *fakeKernel, o *Options) { o.Descriptors = false }, "", 0},
		{"dry run", func(_ *fakeKernel, o *Options) { o.DryRun = true }, "", 0},
		{"excluded", func(_ *fakeKernel, o *Options) { o.Exclude = []sysctl.Glob{exclude} }, "", 1},
		{"no passing", func(k *fakeKernel, _ *Options) { k.noPass = true }, "no descriptors can be passed", 0},
		{"no drain", func(k *fakeKernel, _ *Options) { k.drainErr = errors.New("no idea") }, "no idea", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{"net/a/key": {}, "net/a/b": {}})
			r, err := through(t, k, func(o *Options) { tc.change(k, o) })
			if err != nil || r.Counts.Descriptors != tc.keys || len(r.Leaks) > 0 {
				t.Errorf("%v, %d keys, leaks %+v", err, r.Counts.Descriptors, r.Leaks)
			}
			said := slices.Clone(r.Warnings)
			for _, s := range r.Run.Skipped {
				said = append(said, s.Why)
			}
			warned := slices.ContainsFunc(said, func(w string) bool { return strings.Contains(w, tc.warning) })
			if tc.warning != "" && !warned || tc.warning == "" && len(said) > 0 {
				t.Errorf("said %q", said)
			}
			if (k.noPass || k.drainErr != nil) != (len(r.Run.Skipped) > 0) {
				t.Errorf("skipped %v", r.Run.Skipped)
			}
		})
	}
}

// A run that is stopped anywhere in the phase puts the host back.
func TestStoppedAtDescriptors(t *testing.T) {
	for stop := int64(1); ; stop++ {
		k := newFake(map[sysctl.Key]handler{"net/a/key": callers, "net/a/b": toOther("net/a/c"), "net/a/c": {}, "net/a/d": {}})
		before := maps.Clone(k.host.values)
		enough := errors.New("enough")
		var r *report.Report
		var err error
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			var started atomic.Int64 // children, some of them at the same time
			at := Phase("")
			k.started = func(netns.Role) {
				if at == PhaseDescriptors && started.Add(1) == stop {
					cancel(enough)
				}
			}
			r, err = Run(ctx, k, Options{
				Seed: 1, Descriptors: true, Logger: zerolog.Nop(),
				Progress: func(p Progress) { at = p.Phase },
			})
			synctest.Wait()
		})
		if !maps.Equal(before, k.host.values) || len(r.Run.NotRestored) > 0 {
			t.Errorf("stopped at child %d: the host was %v and is %v (%v)", stop, before, k.host.values, err)
		}
		if err == nil {
			if stop < 5 {
				t.Errorf("only %d children in the phase", stop)
			}
			return
		}
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
	}
}

// Each key is named before anything is done through its descriptor.
func TestDescriptorsAreAnnounced(t *testing.T) {
	k := newFake(map[sysctl.Key]handler{"net/a/key": {}})
	var newest []sysctl.Key
	k.handlers["net/a/key"] = handler{write: func(opener, caller *space, key sysctl.Key, v string) error {
		if opener != caller && !slices.Equal(newest, []sysctl.Key{key}) {
			t.Errorf("written while %v was announced", newest)
		}
		opener.values[key] = v
		return nil
	}}
	if _, err := through(t, k, func(o *Options) { o.Writing = func(keys []sysctl.Key) { newest = keys } }); err != nil || len(k.events) == 0 {
		t.Errorf("%v, %v", err, k.events)
	}
}

// Where no more descriptors can be had, whatever was done is put right.
func TestDescriptorsRunOut(t *testing.T) {
	warned := 0
	for room := 1; ; room++ {
		k := newFake(map[sysctl.Key]handler{"net/a/key": callers, "net/a/b": toOther("net/a/c"), "net/a/c": {}})
		k.room = room
		before := maps.Clone(k.host.values)
		r, err := through(t, k, nil)
		if !maps.Equal(before, k.host.values) || len(r.Run.NotRestored) > 0 {
			t.Errorf("room for %d: the host was %v and is %v (%v)", room, before, k.host.values, err)
		}
		if err != nil && !errors.Is(err, syscall.EMFILE) {
			t.Fatal(err)
		}
		if k.received <= room {
			break
		}
		if err == nil && len(r.Run.Skipped) > 0 {
			warned++
		} else if err == nil {
			t.Errorf("room for %d: nothing is said", room)
		}
	}
	if warned == 0 {
		t.Error("no run came to its end all the same")
	}
}
