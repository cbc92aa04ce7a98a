package simkernel

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// What comes long after its write looks like a key that moves by itself, and is none:
// its cause is found, and the host put back also after what undoing does as late.
func TestLongAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		to     targets
		cross  bool // another key
		always bool // to the same value, whatever is written
		delay  time.Duration
		writer trace.Writer
	}{
		"the host's of the same name": {to: toHost, delay: 3 * time.Second},
		"the host's, same value":      {to: toHost, always: true, delay: 3 * time.Second},
		"another of the host's":       {to: toHost, cross: true, always: true, delay: 3 * time.Second},
		"a sibling's":                 {to: toOthers, always: true, delay: 2 * time.Second},
		"after six seconds":           {to: toHost, delay: 6 * time.Second},
		"by an ordinary user":         {to: toHost, delay: 3 * time.Second, writer: trace.WriterUserNS},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				synctest.Test(t, func(t *testing.T) {
					var cause, victim sysctl.Key
					k, _ := generate(seed, func(g *generator) {
						from := g.add(even(g.integer()))
						at, value := from, written
						if tt.cross {
							at = g.add(g.integer())
						}
						if tt.always {
							value = constant(g.other(at))
						}
						cause, victim = g.keys[from].name, g.keys[at].name
						g.rule(rule{
							plant: g.plant(Delayed, from), name: "sets it much later", when: accepted, delay: tt.delay,
							actions: []action{{to: tt.to, key: at, value: value}},
						}, from)
						for range 3 {
							plantSameHost(g, SameKeyHost)
						}
					})
					o := parent.Options{Seed: seed, BatchSize: []int{1, 2, 4}[seed%3], Logger: zerolog.Nop()}
					o.Progress = func(parent.Progress) { time.Sleep(tt.delay / 8) } // a pass takes seconds, as on a real machine
					if tt.writer != "" {
						o.Writers = []trace.Writer{tt.writer}
					}
					before := k.Snapshot()
					r, err := parent.Run(context.Background(), k, o)
					if err != nil {
						t.Fatal(err)
					}
					observer := report.ObserverHost
					if tt.to == toOthers {
						observer = report.ObserverSibling
					}
					if !leaksBy(r, cause, Effect{observer, victim}) {
						t.Errorf("seed %d: %s to the %s's %s is not among %d leaks; unconfirmed %+v", seed, cause, observer, victim, len(r.Leaks), r.Unconfirmed)
					}
					for _, v := range r.Keys {
						if k := sysctl.Key(v.Key); (k == cause || k == victim) && v.Restless {
							t.Errorf("seed %d: %s is said to move by itself", seed, k)
						}
					}
					time.Sleep(2 * tt.delay)
					if was, is := before.Map()[victim], k.Snapshot().Map()[victim]; is != was {
						t.Errorf("seed %d: the host's %s is %+v, was %+v", seed, victim, is.State, was.State)
					}
				})
			}
		})
	}
}

// A run that is stopped while it watches for long ends at once.
func TestStoppedLongAfter(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			k, _ := generate(seed, func(g *generator) {
				at := g.add(even(g.integer()))
				g.rule(rule{
					plant: g.plant(Delayed, at), name: "sets it much later", when: accepted, delay: 3 * time.Second,
					actions: []action{{to: toHost, key: at, value: written}},
				}, at)
			})
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			var asked time.Time
			o := parent.Options{Seed: seed, BatchSize: 1, Logger: zerolog.Nop(), Progress: func(p parent.Progress) {
				if asked.IsZero() {
					time.Sleep(400 * time.Millisecond)
				}
				if strings.HasPrefix(p.Doing, "watching") && asked.IsZero() {
					wait := time.Duration(1+5*seed) * time.Second
					asked = time.Now().Add(wait)
					time.AfterFunc(wait, func() { cancel(errEnough) })
				}
			}}
			_, err := parent.Run(ctx, k, o)
			if took := time.Since(asked); !errors.Is(err, errEnough) || took > 5*time.Second {
				t.Errorf("seed %d: ended %v after it was asked to, with %v", seed, took, err)
			}
		})
	}
}
