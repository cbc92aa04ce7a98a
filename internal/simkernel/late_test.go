package simkernel

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
)

// runOn is a plain run.
func runOn(t *testing.T, k *Kernel, seed uint64, batch int) *report.Report {
	t.Helper()
	r, err := parent.Run(context.Background(), k, parent.Options{Seed: seed, BatchSize: batch, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// leaksBy tells whether a confirmed leak has exactly this cause and effect.
func leaksBy(r *report.Report, cause sysctl.Key, effect Effect) bool {
	return slices.ContainsFunc(r.Leaks, func(l report.Leak) bool {
		return l.Evidence.Status == report.StatusConfirmed && slices.Equal(causeOf(&l), []sysctl.Key{cause}) && slices.Contains(effectsOf(&l), effect)
	})
}

// A late effect on the sibling is found although other leaks are attributed
// meanwhile, for which the sibling is replaced.
func TestLateOnReplacedSibling(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			var cause, victim sysctl.Key
			k, _ := generate(seed, func(g *generator) {
				from, to := g.add(even(g.integer())), g.add(g.integer())
				cause, victim = g.keys[from].name, g.keys[to].name
				g.rule(rule{
					plant: g.plant(Delayed, from), name: "sets another key later", when: accepted, delay: 45 * time.Millisecond,
					actions: []action{{to: toOthers, key: to, value: constant(g.other(to))}},
				}, from)
				for range 3 {
					plantSameHost(g, SameKeyHost)
				}
			})
			if r := runOn(t, k, seed, 1); !leaksBy(r, cause, Effect{report.ObserverSibling, victim}) {
				t.Errorf("seed %d: %s to the sibling's %s is not among %+v", seed, cause, victim, r.Leaks)
			}
		})
	}
}

// lateLeak is a kernel with one leak, that comes late, among keys that are isolated.
func lateLeak(seed uint64, to targets, delay time.Duration) (k *Kernel, cause, victim sysctl.Key) {
	k, _ = generate(seed, func(g *generator) {
		from, at := g.add(even(g.integer())), g.add(g.integer())
		cause, victim = g.keys[from].name, g.keys[at].name
		g.rule(rule{
			plant: g.plant(Delayed, from), name: "sets another key later", when: accepted, delay: delay,
			actions: []action{{to: to, key: at, value: constant(g.other(at))}},
		}, from)
		for range 5 {
			g.add(g.integer())
		}
	})
	return k, cause, victim
}

// What the last writes of a run do is waited for, also where nothing else has leaked.
func TestLateAtTheEnd(t *testing.T) {
	for seed := range uint64(20) {
		for observer, to := range map[string]targets{report.ObserverHost: toHost, report.ObserverSibling: toOthers} {
			synctest.Test(t, func(t *testing.T) {
				k, cause, victim := lateLeak(seed, to, time.Duration(100+10*seed)*time.Millisecond)
				before := k.Snapshot()
				r := runOn(t, k, seed, 4)
				if !leaksBy(r, cause, Effect{observer, victim}) {
					t.Errorf("seed %d: %s to the %s's %s is not among %+v", seed, cause, observer, victim, r.Leaks)
				}
				if was, is := before.Map()[victim], k.Snapshot().Map()[victim]; is != was {
					t.Errorf("seed %d: the host's %s is %+v, was %+v", seed, victim, is.State, was.State)
				}
			})
		}
	}
}

// A run that is stopped when its second pass has begun calls nothing of the first one
// isolated that siblings may be about to notice, whether or not it is to hurry.
func TestLateWhenStopped(t *testing.T) {
	for seed := range uint64(20) {
		for _, hurry := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				k, cause, _ := lateLeak(seed, toOthers, 150*time.Millisecond)
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				hurried := make(chan struct{})
				o := parent.Options{Seed: seed, BatchSize: 4, Logger: zerolog.Nop(), Hurry: hurried}
				o.Progress = func(p parent.Progress) {
					if p.Phase == parent.PhaseReverse && ctx.Err() == nil {
						cancel(errEnough)
						if hurry {
							close(hurried)
						}
					}
				}
				r, err := parent.Run(ctx, k, o)
				if !errors.Is(err, errEnough) {
					t.Fatal(err)
				}
				for _, e := range r.Keys {
					if sysctl.Key(e.Key) == cause && e.Verdict == report.VerdictIsolated {
						t.Errorf("seed %d, hurry %v: %s is said to be isolated", seed, hurry, cause)
					}
				}
			})
		}
	}
}

// A run that is stopped puts the host back also where putting back leaks late.
func TestLateSameKeyWhenStopped(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			k, key := lateSameKey(seed)
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			before := k.Snapshot()
			_, err := parent.Run(ctx, k, parent.Options{Seed: seed, BatchSize: 4, Logger: zerolog.Nop(), Progress: func(p parent.Progress) {
				if p.Phase == parent.PhaseForward && (p.Doing != "" || seed%2 == 0) || p.Phase == parent.PhaseReverse {
					cancel(errEnough)
				}
			}})
			if !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if was, is := before.Map()[key], k.Snapshot().Map()[key]; is != was {
				t.Errorf("seed %d: the host's %s is %+v, was %+v", seed, key, is.State, was.State)
			}
		})
	}
}

// A leak to a key of the host that soon moves on by itself is found, and no other
// write is taken for a part of its cause.
func TestRestlessMovesOn(t *testing.T) {
	found := 0
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			var cause sysctl.Key
			k, _ := generate(seed, func(g *generator) {
				m := even(g.integer())
				m.restless = &restless{onHost: true, count: true, every: 5 * time.Millisecond}
				key := g.add(m)
				cause = g.keys[key].name
				g.setsHost(g.plant(Restless, key), key, accepted, written, 0)
			})
			r := runOn(t, k, seed, 16)
			if leaksBy(r, cause, Effect{report.ObserverHost, cause}) {
				found++
			}
			for _, l := range r.Leaks {
				if !slices.Equal(causeOf(&l), []sysctl.Key{cause}) {
					t.Errorf("seed %d: %v is not the cause %s", seed, causeOf(&l), cause)
				}
			}
		})
	}
	if found < 28 { // now and then it moves between the write and the look
		t.Errorf("found only %d of 40", found)
	}
}

// A key of the host that comes and goes by itself is no effect of writes after
// which a child's has the value that it comes with: on this kernel it seemed one,
// while shams were judged by what those writes had done among others.
func TestBlinkingIsNoLeak(t *testing.T) {
	if o := run(t, 4529, zerolog.Nop()); len(o.violations) > 0 {
		t.Error(o.violations)
	}
}

// Two keys that set the same one of the host, each as long after as it takes, do not hide
// each other.
func TestTwoLate(t *testing.T) {
	pairs := [][2]int{{0, 290}, {30, 150}, {150, 250}, {30, 280}, {0, 100}, {10, 290}, {20, 200}} // ms
	for seed := range uint64(28) {
		delays := pairs[seed%uint64(len(pairs))]
		synctest.Test(t, func(t *testing.T) {
			var causes []sysctl.Key
			var victim sysctl.Key
			k, _ := generate(seed, func(g *generator) {
				from, at := []int{g.add(even(g.integer())), g.add(even(g.integer()))}, g.add(g.integer())
				victim = g.keys[at].name
				value := constant(g.other(at))
				for i, f := range from {
					causes = append(causes, g.keys[f].name)
					g.rule(rule{
						plant: g.plant(Delayed, f), name: "sets one that another sets, too", when: accepted, delay: time.Duration(delays[i]) * time.Millisecond,
						actions: []action{{to: toHost, key: at, value: value}},
					}, f)
				}
				for range 5 {
					g.add(g.integer())
				}
			})
			before := k.Snapshot()
			r := runOn(t, k, seed, []int{1, 4, 64}[seed%3])
			for _, cause := range causes {
				if !leaksBy(r, cause, Effect{report.ObserverHost, victim}) {
					t.Errorf("seed %d, %v ms: %s is not among %+v", seed, delays, cause, r.Leaks)
				}
			}
			if was, is := before.Map()[victim], k.Snapshot().Map()[victim]; is != was {
				t.Errorf("seed %d, %v ms: the host's %s is %+v, was %+v", seed, delays, victim, is.State, was.State)
			}
		})
	}
}

// A key that sets the host's of the same name to always the same, late: undoing it
// through a writer does so again.
func TestLateSameKey(t *testing.T) {
	for seed := range uint64(27) {
		synctest.Test(t, func(t *testing.T) {
			k, key := lateSameKey(seed)
			before := k.Snapshot()
			r := runOn(t, k, seed, []int{1, 4, 64}[seed%3])
			if !leaksBy(r, key, Effect{report.ObserverHost, key}) {
				t.Errorf("seed %d: %s is not among %+v", seed, key, r.Leaks)
			}
			if was, is := before.Map()[key], k.Snapshot().Map()[key]; is != was {
				t.Errorf("seed %d: the host's %s is %+v, was %+v", seed, key, is.State, was.State)
			}
		})
	}
}

// lateSameKey is a kernel with one leak: each write of a key, also that which undoes, sets
// the host's of that name later.
func lateSameKey(seed uint64) (k *Kernel, key sysctl.Key) {
	k, _ = generate(seed, func(g *generator) {
		at := g.add(even(g.integer()))
		key = g.keys[at].name
		g.rule(rule{
			plant: g.plant(Delayed, at), name: "sets the host's later", when: accepted, delay: time.Duration(5+11*seed) * time.Millisecond,
			actions: []action{{to: toHost, key: at, value: constant(g.other(at))}},
		}, at)
		for range 12 * (seed % 2) {
			g.add(g.integer())
		}
	})
	return k, key
}

// What writes through descriptors do late is waited for, and put back.
func TestLateThroughDescriptors(t *testing.T) {
	found := 0
	const n = 30
	for seed := range uint64(n) {
		synctest.Test(t, func(t *testing.T) {
			var cause, victim sysctl.Key
			k, _ := generate(seed, func(g *generator) {
				from, at := g.add(even(g.integer())), g.add(g.integer())
				cause, victim = g.keys[from].name, g.keys[at].name
				g.rule(rule{
					plant: g.plant(Delayed, from), name: "late, by another's hand", delay: time.Duration(20+260*(seed%6)/5) * time.Millisecond,
					when:    func(e *event) bool { return e.ns.handled && accepted(e) },
					actions: []action{{to: toHost, key: at, value: constant(g.other(at))}},
				}, from)
			})
			before := k.Snapshot()
			r, err := parent.Run(context.Background(), k, parent.Options{Seed: seed, Descriptors: true, Logger: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			if leaksBy(r, cause, Effect{report.ObserverHost, victim}) {
				found++
			} else if name, _ := cause.Device(); name == "" || name == "lo" { // of all devices a few are passed on
				t.Errorf("seed %d: %s is not among %+v", seed, cause, r.Leaks)
			}
			if was, is := before.Map()[victim], k.Snapshot().Map()[victim]; is != was {
				t.Errorf("seed %d: the host's %s is %+v, was %+v", seed, victim, is.State, was.State)
			}
		})
	}
	if found < n*3/4 {
		t.Errorf("found %d of %d", found, n)
	}
}

// A late leak through a descriptor is found behind one to the same place that shows at once.
func TestLateBehindAnother(t *testing.T) {
	found := 0
	const n = 20
	for seed := range uint64(n) {
		synctest.Test(t, func(t *testing.T) {
			var causes []sysctl.Key
			var victim sysctl.Key
			k, _ := generate(seed, func(g *generator) {
				at := g.add(g.integer())
				victim = g.keys[at].name
				value := constant(g.other(at))
				for i := range 2 {
					from := g.add(even(g.integer()))
					causes = append(causes, g.keys[from].name)
					g.rule(rule{
						plant: g.plant(Delayed, from), name: "by another's hand", delay: time.Duration(i) * 250 * time.Millisecond,
						when:    func(e *event) bool { return e.ns.handled && accepted(e) },
						actions: []action{{to: toHost, key: at, value: value}},
					}, from)
				}
			})
			r, err := parent.Run(context.Background(), k, parent.Options{Seed: seed, Descriptors: true, Logger: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			for _, cause := range causes {
				if leaksBy(r, cause, Effect{report.ObserverHost, victim}) {
					found++
				} else if name, _ := cause.Device(); name == "" || name == "lo" { // of all devices a few are passed on
					t.Errorf("seed %d: %s is not among %+v", seed, cause, r.Leaks)
				}
			}
		})
	}
	if found < 2*n*3/4 {
		t.Errorf("found %d of %d", found, 2*n)
	}
}

// A key of the host that appears while keys that disrupt are written, one after another,
// is seen only after the last of them, and still the right one of them is named.
func TestAppearsInRow(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const cause, victim sysctl.Key = "net/ipv4/conf/all/forwarding", "net/core/appears"
			k, _ := generate(seed, func(g *generator) {
				called := func(i int, k sysctl.Key) int {
					g.keys[i].name, g.taken[k] = k, true
					return i
				}
				from, at := called(g.add(even(g.integer())), cause), called(g.add(g.integer()), victim)
				g.keys[at].host.absent, g.keys[at].child.absent = true, true
				for _, other := range []sysctl.Key{
					"net/ipv4/conf/default/forwarding", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding", "net/ipv6/conf/all/disable_ipv6",
				} {
					called(g.add(g.integer()), other)
				}
				was := g.keys[from].child.value
				g.rule(rule{
					plant: g.plant(Appear, from), name: "appears", when: accepted,
					actions: []action{{to: toHost, key: at, exists: func(e *event) bool { return e.new != was }}},
				}, from)
			})
			before := k.Snapshot()
			r := runOn(t, k, seed, 64)
			if !leaksBy(r, cause, Effect{report.ObserverHost, victim}) {
				t.Errorf("seed %d: it is not among %+v", seed, r.Leaks)
			}
			if was, is := before.Map()[victim], k.Snapshot().Map()[victim]; is != was {
				t.Errorf("seed %d: the host's is %+v, was %+v", seed, is.State, was.State)
			}
		})
	}
}
