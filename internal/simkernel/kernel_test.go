package simkernel

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// small makes a kernel by hand, with a clock that the test moves.
func small(build func(*builder)) (*Kernel, *manualClock) {
	b, c := newBuilder(), &manualClock{time.Unix(0, 0)}
	build(b)
	return b.finish(1, c), c
}

func number(name sysctl.Key, value string) keyModel {
	s := side{mode: modeBoth, value: value}
	return keyModel{name: name, format: format{max: 1 << 30}, host: s, child: s}
}

func wantErrno(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if got := sysctl.Errno(err); got != want {
		t.Errorf("errno %v, want %v", got, want)
	}
	var pe *fs.PathError
	if err != nil && !errors.As(err, &pe) {
		t.Errorf("%v is no *fs.PathError", err)
	}
}

func wantValue(t *testing.T, tree sysctl.Tree, key sysctl.Key, want string) {
	t.Helper()
	if st := tree.Read(key); st != (sysctl.State{Value: want}) {
		t.Errorf("%s reads %+v, want %q", key, st, want)
	}
}

func TestFormats(t *testing.T) {
	ints := format{min: 0, max: 10}
	for _, c := range []struct {
		name    string
		f       format
		old, in string
		want    string
		errno   syscall.Errno
	}{
		{"in range", ints, "5", "7", "7", 0},
		{"hex", ints, "5", "0xa", "10", 0},
		{"octal", ints, "5", "010", "8", 0},
		{"with a newline", ints, "5", "7\n", "7", 0},
		{"out of range", ints, "5", "11", "5", syscall.EINVAL},
		{"below", ints, "5", "-1", "5", syscall.EINVAL},
		{"no number", ints, "5", "x", "5", syscall.EINVAL},
		{"empty does nothing", ints, "5", "", "5", 0},
		{"clamped", format{max: 1, clamp: true}, "0", "7", "1", 0},
		{"rounded", format{max: 100, step: 4}, "8", "11", "8", 0},
		{"not a multiple", format{max: 100, step: 10, multiple: true}, "10", "11", "10", syscall.EINVAL},
		{"word", format{shape: shapeWord, words: []string{"a", "b"}}, "a", "b", "b", 0},
		{"unknown word", format{shape: shapeWord, words: []string{"a", "b"}}, "a", "c", "a", syscall.ENOENT},
		{"vector", format{shape: shapeVector, max: 100}, "1\t2\t3", "4 5 6", "4\t5\t6", 0},
		{"short vector", format{shape: shapeVector, max: 100}, "1\t2\t3", "9", "9\t2\t3", 0},
		{"long vector", format{shape: shapeVector, max: 100}, "1\t2", "1 2 3", "1\t2", syscall.EINVAL},
		{"descending", format{shape: shapeVector, max: 100, ascending: true}, "1\t2", "3 2", "1\t2", syscall.EINVAL},
		{"half refused", format{shape: shapeVector, max: 100, partial: true}, "1\t2", "7 zz", "7\t2", syscall.EINVAL},
		{"all refused", format{shape: shapeVector, max: 100}, "1\t2", "7 zz", "1\t2", syscall.EINVAL},
		{"text", format{shape: shapeText, maxLen: 3}, "a", "bcd", "bcd", 0},
		{"long text", format{shape: shapeText, maxLen: 3}, "a", "bcde", "a", syscall.EINVAL},
	} {
		if got, errno := c.f.parse(c.old, c.in); got != c.want || errno != c.errno {
			t.Errorf("%s: %q over %q gives %q, %v; want %q, %v", c.name, c.in, c.old, got, errno, c.want, c.errno)
		}
	}
}

func TestNamespaces(t *testing.T) {
	k, _ := small(func(b *builder) {
		own, global, inherited := number("net/own", "1"), number("net/global", "1"), number("net/inherited", "1")
		own.host.value = "5"
		global.global = true
		inherited.inherit = true
		gone, secret, trigger := number("net/hostonly", "1"), number("net/hidden", "1"), number("net/trigger", "1")
		gone.child.mode = modeNone
		secret.hidden = true
		trigger.host.mode, trigger.child.mode = modeWrite, modeWrite
		for _, m := range []keyModel{own, global, inherited, gone, secret, trigger} {
			b.add(m)
		}
	})
	host := k.Host()
	a, b := view{k, k.enter(netns.RoleWriter)}, view{k, k.enter(netns.RoleSibling)}
	wantValue(t, a, "net/own", "1")
	wantErrno(t, a.Write("net/own", "2"), 0)
	wantErrno(t, a.Write("net/global", "2"), 0)
	wantValue(t, a, "net/own", "2")
	wantValue(t, b, "net/own", "1")
	wantValue(t, host, "net/own", "5")
	wantValue(t, b, "net/global", "2")
	wantValue(t, host, "net/global", "2")
	wantErrno(t, host.Write("net/inherited", "9"), 0)
	wantValue(t, b, "net/inherited", "1")
	wantValue(t, view{k, k.enter(netns.RoleLater)}, "net/inherited", "9")
	if st := a.Read("net/hostonly"); st != sysctl.Absent {
		t.Errorf("a child reads %+v where there is no key", st)
	}
	wantErrno(t, a.Write("net/hostonly", "1"), syscall.ENOENT)
	if st := host.Read("net/hidden"); st.Errno != syscall.EACCES {
		t.Errorf("the host reads what is hidden: %+v", st)
	}
	if st := a.Read("net/trigger"); st.Errno != syscall.EACCES {
		t.Errorf("a write-only key reads %+v", st)
	}
	if keys, err := a.List(); err != nil || len(keys) != 5 || keys[0] != "net/global" {
		t.Errorf("a child lists %v, %v", keys, err)
	}
}

func TestLatch(t *testing.T) {
	k, _ := small(func(b *builder) {
		m := number("net/latch", "0")
		m.global, m.latch = true, true
		key := b.add(m)
		b.keys[key].plant = b.plant(LatchSame, key)
	})
	host, child := k.Host(), view{k, k.enter(netns.RoleWriter)}
	wantErrno(t, child.Write("net/latch", "1"), 0)
	wantErrno(t, child.Write("net/latch", "0"), syscall.EBUSY)
	wantErrno(t, host.Write("net/latch", "0"), syscall.EBUSY)
	wantValue(t, host, "net/latch", "1")
}

func TestDelay(t *testing.T) {
	k, clock := small(func(b *builder) {
		cause, effect := b.add(number("net/cause", "0")), b.add(number("net/effect", "0"))
		b.rule(rule{
			plant: b.plant(Delayed, cause), when: accepted, delay: 20 * time.Millisecond,
			actions: []action{{to: toHost | toOthers, key: effect, value: written}},
		}, cause)
	})
	early, w := view{k, k.enter(netns.RoleSibling)}, view{k, k.enter(netns.RoleWriter)}
	wantErrno(t, w.Write("net/cause", "7"), 0)
	late := view{k, k.enter(netns.RoleSibling)}
	k.leave(w.ns)
	clock.sleep(19 * time.Millisecond)
	wantValue(t, k.Host(), "net/effect", "0")
	clock.sleep(2 * time.Millisecond)
	for _, tree := range []sysctl.Tree{k.Host(), early} {
		wantValue(t, tree, "net/effect", "7")
	}
	wantValue(t, late, "net/effect", "0")
	if seen := k.Log().visible[0]; len(seen) != 0 {
		t.Errorf("an effect of no planned write is asked for: %v", seen)
	}
}

// What is asked for is what planned writes did and an observer could see.
func TestVisible(t *testing.T) {
	k, _ := small(func(b *builder) {
		cause, effect := b.add(number("net/cause", "0")), b.add(number("net/effect", "0"))
		b.rule(rule{
			plant: b.plant(CrossFollow, cause), when: accepted,
			actions: []action{{to: toHost | toOthers | toLater, key: effect, value: written}},
		}, cause)
	})
	k.enter(netns.RoleSibling)
	w := view{k, k.enter(netns.RoleWriter)}
	w.ns.planned = true
	wantErrno(t, w.Write("net/cause", "7"), 0)
	if l := k.Log(); l.seen(0) {
		t.Error("seen before anybody looked")
	}
	wantValue(t, k.Host(), "net/effect", "7")
	if _, err := k.Host().List(); err != nil {
		t.Fatal(err)
	}
	k.enter(netns.RoleLater)
	want := map[Effect]bool{
		{report.ObserverHost, "net/effect"}: true, {report.ObserverSibling, "net/effect"}: true, {report.ObserverLater, "net/effect"}: true,
	}
	l := k.Log()
	if got := l.visible[0]; len(got) != len(want) || !containsAll(want, sortedEffects(got)) {
		t.Errorf("visible %v, want %v", got, want)
	}
	if !l.stood[0] {
		t.Error("what later namespaces start with was not noticed")
	}
}

func TestRestless(t *testing.T) {
	k, clock := small(func(b *builder) {
		read, tick, still := number("net/read", "5"), number("net/tick", "5"), number("net/still", "5")
		read.restless = &restless{onHost: true, count: true}
		tick.restless = &restless{inChildren: true, every: 10 * time.Millisecond}
		for _, m := range []keyModel{read, tick, still} {
			b.add(m)
		}
	})
	host, child := k.Host(), view{k, k.enter(netns.RoleSibling)}
	if first := host.Read("net/read"); host.Read("net/read") == first {
		t.Error("the same value twice")
	}
	wantValue(t, child, "net/read", "5")
	wantValue(t, host, "net/tick", "5")
	changes := 0
	for range 1000 {
		before := child.Read("net/tick")
		clock.sleep(time.Millisecond)
		if child.Read("net/tick") != before {
			changes++
		}
	}
	if changes < 50 || changes > 200 {
		t.Errorf("%d changes in a second, want about 100", changes)
	}
	wantValue(t, child, "net/still", "5")
}

// Everything that is not one-way can be put back: through a writer where the
// value is followed, by the host itself elsewhere.
func TestUndo(t *testing.T) {
	for seed := range uint64(600) {
		_, truth := Generate(seed)
		k := truth.again()
		before := k.Snapshot()
		w := view{k, k.furnished(netns.RoleWriter)}
		originals, err := sysctl.Survey(w, w.Keep())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range originals {
			for _, v := range []string{"1", "0", "7", e.State.Value + "1"} {
				_ = w.Write(e.Key, v) // some are refused
			}
		}
		k.clock.sleep(replaySettle)
		undo := view{k, k.furnished(netns.RoleWriter)}
		for _, e := range originals {
			_ = undo.Write(e.Key, e.State.Value)
		}
		k.clock.sleep(replaySettle)
		for range 3 {
			for _, e := range before {
				if now := k.Host().Read(e.Key); now.OK() && now != e.State && !isRestless(k, e.Key) {
					_ = k.Host().Write(e.Key, e.State.Value) // a latch stays
				}
			}
		}
		c := &checker{t: truth, log: k.Log(), r: &report.Report{}}
		after := k.Snapshot().Map()
		for _, e := range before {
			e2 := Effect{report.ObserverHost, e.Key}
			if after[e.Key].State != e.State && !isRestless(k, e.Key) && !c.oneWayAt(e2) {
				t.Errorf("seed %d: %s was %q and stays %q: %v", seed, e.Key, e.State.Value, after[e.Key].State.Value, truth.Plants)
			}
		}
		later := k.furnished(netns.RoleLater)
		for i := range k.keys {
			e := Effect{report.ObserverLater, k.keys[i].name}
			if k.keys[i].restless == nil && k.state(later, i) != k.pristine[i] && !c.oneWayAt(e) && !k.keys[i].inherit {
				t.Errorf("seed %d: later %s stays changed: %v", seed, e.Key, truth.Plants)
			}
		}
	}
}

func TestProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := Generate(1)
		p := start(t, k, netns.RoleWriter)
		if k.Live() != 1 {
			t.Error("the child is not alive")
		}
		p.proc.Kill()
		p.proc.Kill()
		for range 2 {
			if err := p.proc.Wait(); !errors.Is(err, errKilled) {
				t.Errorf("wait after kill: %v", err)
			}
		}
		if _, err := p.conn.Receive(); err == nil {
			t.Error("a killed child still answers")
		}
		if err := p.conn.Send(protocol.Request{Quit: &protocol.Quit{}}); err == nil {
			t.Error("a killed child still listens")
		}
		p = start(t, k, netns.RoleSibling)
		if err := p.proc.Requests.Close(); err != nil {
			t.Error(err)
		}
		if err := p.proc.Wait(); err == nil {
			t.Error("no error though the parent went away")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := k.Start(ctx, netns.RoleLater); !errors.Is(err, context.Canceled) {
			t.Errorf("start after cancel: %v", err)
		}
		if k.Live() != 0 {
			t.Errorf("%d children are still alive", k.Live())
		}
	})
}
