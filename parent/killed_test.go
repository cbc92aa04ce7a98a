package parent

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// leakTo says what a write of a child's key does to one of the host's, at once or later:
// that gets a value, or nothing.
type leakTo struct {
	from, to sysctl.Key
	value    func(opener *space, v string) string
	delay    time.Duration
}

// drawLeak draws one of the kinds of leaks that there are.
func drawLeak(rng *rand.Rand, keys []sysctl.Key) leakTo {
	n := 7000
	pick := func() sysctl.Key { return keys[rng.IntN(len(keys))] }
	l, with := leakTo{from: pick(), to: pick()}, pick()
	moved := func(f func(opener *space, v string) string) func(*space, string) string {
		return func(opener *space, v string) string {
			if v == "10" {
				return ""
			}
			return f(opener, v)
		}
	}
	switch rng.IntN(6) {
	case 0:
		l.to, l.value = l.from, func(_ *space, v string) string { return v }
	case 5: // it cannot be undone through a writer
		l.to, l.value = l.from, moved(func(_ *space, v string) string { return v })
	case 1:
		l.value = func(_ *space, v string) string { return v }
	case 2:
		l.value = moved(func(*space, string) string { return "99" })
	case 3: // it takes two keys, maybe of two batches
		l.value = moved(func(opener *space, _ string) string {
			if with == l.from || opener.values[with] == "10" {
				return ""
			}
			return "98"
		})
	default: // another value each time
		l.value = moved(func(*space, string) string {
			n++
			return strconv.Itoa(n)
		})
	}
	return l
}

// pendingLeak is an effect that is still to come.
type pendingLeak struct {
	at    time.Time
	to    sysctl.Key
	value string
}

// comeTo sets the host's key when it is time, if it is still to.
func (p pendingLeak) comeTo(k *fakeKernel, still func() bool) {
	time.AfterFunc(time.Until(p.at), func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if still() {
			k.host.values[p.to] = p.value
		}
	})
}

// Random leaks, and somebody else who sets a key that none of them reaches: whenever the
// run is killed, no leak is left on the host, and what somebody else had set is there, or it
// is said that it was.
func TestKilledAnywhere(t *testing.T) {
	keys := make([]sysctl.Key, 8)
	for i := range keys {
		keys[i] = sysctl.Key(fmt.Sprintf("net/core/key%d", i))
	}
	died, leaked, foreign, kept, late := 0, 0, 0, 0, 0
	for seed := range uint64(300) {
		d := newKillable(t)
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			hs := map[sysctl.Key]handler{}
			for _, key := range keys {
				hs[key] = handler{}
			}
			k := newFake(hs)
			var leaks []leakTo
			for range rng.IntN(3) {
				leaks = append(leaks, drawLeak(rng, keys[1:]))
			}
			for i := range leaks {
				if seed%2 == 1 && rng.IntN(4) > 0 {
					leaks[i].delay = time.Duration(1+rng.IntN(250)) * time.Millisecond
				}
			}
			var pending []pendingLeak
			taken := false // the host is what it was when the run was killed
			theirs := keys[0]
			sets, dies, writes := 1+rng.IntN(120), 1+rng.IntN(160), 0
			var diedAt time.Time
			var due []pendingLeak
			write := func(opener, _ *space, key sysctl.Key, v string) error {
				opener.values[key] = v
				for _, l := range leaks {
					if opener == k.host || l.from != key {
						continue
					}
					to := l.value(opener, v)
					switch {
					case to == "":
					case l.delay == 0:
						k.host.values[l.to] = to
					default:
						p, was := pendingLeak{time.Now().Add(l.delay), l.to, to}, taken
						pending = append(pending, p)
						p.comeTo(k, func() bool { return was == taken })
					}
				}
				if d.dead.Load() {
					return nil
				}
				if writes++; writes == sets {
					k.host.values[theirs] = "4242"
				}
				if writes >= dies && d.kill(k) {
					diedAt, due = time.Now(), slices.Clone(pending)
				}
				return nil
			}
			for _, key := range keys {
				hs[key] = handler{write: write}
			}
			o := Options{Record: d.record(), Logger: zerolog.Nop(), Seed: seed, BatchSize: []int{1, 3, 64}[rng.IntN(3)], Thorough: rng.IntN(4) == 0}
			_, _ = Run(context.Background(), k, o) // what it finds is not asked for here
			if d.dead.Load() {
				died++
				k.mu.Lock()
				k.host.values, taken = maps.Clone(d.then), true
				for _, p := range due {
					if left := p.at.Sub(diedAt); left > 0 {
						late++
						p.at = time.Now().Add(left)
						p.comeTo(k, func() bool { return true })
					}
				}
				k.mu.Unlock()
				h, err := putBack(t, k, d.left(t))
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				time.Sleep(time.Second) // nothing may be still to come
				k.mu.Lock()
				now := maps.Clone(k.host.values)
				k.mu.Unlock()
				for _, key := range keys {
					if key == theirs && sets <= dies {
						if foreign++; now[key] == "4242" {
							kept++
							continue
						}
						if !listed(h, key, "4242") {
							t.Errorf("seed %d: nothing says that somebody else had set %s", seed, key)
						}
					}
					if got := now[key]; got != "10" {
						t.Errorf("seed %d: %s is %s; was %v", seed, key, got, d.then)
					}
				}
				if slices.ContainsFunc(keys[1:], func(key sysctl.Key) bool { return d.then[key] != "10" }) {
					leaked++
				}
			}
			synctest.Wait()
		})
	}
	t.Logf("killed %d times, %d times with a leak on the host, %d times after somebody else had set a key, who still had it %d times; %d effects came after that", died, leaked, foreign, kept, late)
	if died < 100 || leaked < 20 || foreign < 20 || kept < 20 || late < 20 {
		t.Error("too few to tell")
	}
}

// A leak that comes only from a user namespace, and the run is killed, its guardian too:
// what the run had undone by then, `restore`, which writes as root, does not bring back.
func TestRestoreLeavesUndone(t *testing.T) {
	died, undone := 0, 0
	for dies := range 60 {
		d := newKillable(t)
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
			writes, user := 0, true
			h := handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
				opener.values[key] = v
				if user && opener != k.host && key == written && v != "10" {
					k.host.values[written] = v
				}
				if writes++; writes > dies {
					d.kill(k)
				}
				return nil
			}}
			k.handlers[written], k.handlers[other], k.handlers[latch] = h, h, h
			_, _ = Run(context.Background(), k, Options{Record: d.record(), Logger: zerolog.Nop(), Writers: []trace.Writer{trace.WriterUserNS}})
			if d.dead.Load() {
				died++
				if d.then[written] == "10" {
					undone++
				}
				k.host.values, user = maps.Clone(d.then), false
				if _, err := putBack(t, k, d.left(t)); err != nil {
					t.Error(err)
				}
				if got := k.host.values[written]; got != "10" {
					t.Errorf("killed after %d writes, when it was %s: it is %s after restore", dies, d.then[written], got)
				}
			}
			synctest.Wait()
		})
	}
	if died < 40 || undone < 10 {
		t.Errorf("killed %d times, %d of them after it was undone: too few to tell", died, undone)
	}
}

// A leak only through descriptors: the guardian makes those writes again, too.
func TestKilledAtDescriptors(t *testing.T) {
	died, leaked := 0, 0
	for dies := range 90 {
		d := newKillable(t)
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
			writes := 0
			h := handler{write: func(opener, caller *space, key sysctl.Key, v string) error {
				opener.values[key] = v
				if opener != caller && key == written {
					if dies%2 == 0 {
						caller.values[written] = v
					} else {
						caller.values[other] = "99"
					}
				}
				if writes++; writes > dies {
					d.kill(k)
				}
				return nil
			}}
			k.handlers[written], k.handlers[other], k.handlers[latch] = h, h, h
			_, _ = Run(context.Background(), k, Options{Record: d.record(), Logger: zerolog.Nop(), Descriptors: true})
			if d.dead.Load() {
				died++
				if d.then[written] != "10" || d.then[other] != "10" {
					leaked++
				}
				k.host.values = maps.Clone(d.then)
				if _, err := putBack(t, k, d.left(t)); err != nil {
					t.Error(err)
				}
				if now := k.host.values; now[written] != "10" || now[other] != "10" {
					t.Errorf("killed after %d writes, when the host had %v: it has %v", dies, d.then, now)
				}
			}
			synctest.Wait()
		})
	}
	if died < 40 || leaked < 10 {
		t.Errorf("killed %d times, %d of them with the leak on the host: too few to tell", died, leaked)
	}
}

// Reading a key in a namespace changes one of the host's: when that is confirmed, it goes
// back like any other.
func TestKilledAtReads(t *testing.T) {
	leaked := 0
	for dies := range 60 {
		d := newKillable(t)
		synctest.Test(t, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{written: {}, other: {}, latch: {}})
			writes, n := 0, 7000
			h := handler{write: func(opener, _ *space, key sysctl.Key, v string) error {
				opener.values[key] = v
				if writes++; writes > dies {
					d.kill(k)
				}
				return nil
			}}
			k.handlers[written], k.handlers[other], k.handlers[latch] = h, h, handler{write: h.write, read: func(opener, _ *space, key sysctl.Key) sysctl.State {
				if opener != k.host {
					n++
					k.host.values[other] = strconv.Itoa(n)
				}
				return sysctl.State{Value: opener.values[key]}
			}}
			_, _ = Run(context.Background(), k, Options{Record: d.record(), Logger: zerolog.Nop(), Thorough: true})
			if d.dead.Load() {
				if d.then[other] != "10" {
					leaked++
				}
				k.host.values = maps.Clone(d.then)
				if _, err := putBack(t, k, d.left(t)); err != nil {
					t.Error(err)
				}
			}
			if now := k.host.values; now[other] != "10" {
				t.Errorf("killed after %d writes, when the host had %v: it has %v", dies, d.then, now)
			}
			synctest.Wait()
		})
	}
	if leaked < 10 {
		t.Errorf("killed %d times with the leak on the host: too few to tell", leaked)
	}
}

// Who is in a hurry does not get others' values overwritten: whether there are others is
// found out first.
func TestHurryBesideOthers(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			hs := map[sysctl.Key]handler{written: {}, other: {}}
			var theirs []sysctl.Key
			for i := range 30 {
				theirs = append(theirs, sysctl.Key(fmt.Sprintf("net/core/theirs%02d", i)))
				hs[theirs[i]] = handler{}
			}
			k := newFake(hs)
			k.handlers[written] = leaksTo(k, other)
			set, over := map[sysctl.Key]string{}, make(chan struct{})
			go func() { // ten writes a second
				for i := 0; ; i++ {
					select {
					case <-over:
						return
					case <-time.After(100 * time.Millisecond):
					}
					k.mu.Lock()
					key := theirs[i%len(theirs)]
					set[key] = strconv.Itoa(7000 + i)
					k.host.values[key] = set[key]
					k.mu.Unlock()
				}
			}()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			hurry := make(chan struct{})
			_, _ = Run(ctx, k, Options{Logger: zerolog.Nop(), Seed: seed, Hurry: hurry, Progress: func(p Progress) {
				switch {
				case p.Phase != PhaseForward || ctx.Err() != nil:
				case p.Doing == "":
					time.Sleep(time.Second) // for some of theirs to come
				default:
					cancel()
					close(hurry)
				}
			}})
			close(over)
			synctest.Wait()
			if ctx.Err() == nil || len(set) == 0 {
				t.Fatalf("stopped: %v; they have set %d", ctx.Err(), len(set))
			}
			for key, v := range set {
				if now := k.host.values[key]; now != v {
					t.Errorf("seed %d: %s is %s, somebody else had set it to %s", seed, key, now, v)
				}
			}
		})
	}
}
