package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
)

// asked is what users ask for: the default first.
var asked = [][]string{
	{"run"},
	{"run", "--devices", "none"},
	{"run", "--userns"},
}

// runTimes is whole processes. Each round makes one run of every kind, so that what is
// compared was measured side by side.
type runTimes struct {
	ours, base []sample // as asked
	python     sample
	phases     []phaseTime
	report     report.Report // of the last default run
}

// phaseTime is what one phase of the default run takes.
type phaseTime struct {
	name string
	took sample
}

// measureRuns makes one round more than asked for: the first warms the caches up. The
// order of every other round is reversed.
func measureRuns(ctx context.Context, o options) (runTimes, error) {
	t := runTimes{ours: make([]sample, len(asked)), base: make([]sample, len(asked))}
	var all []func(counts bool) error
	for i, args := range asked {
		args := append(slices.Clone(args), "--json", "--log-format", "json", "--log-level", "info")
		all = append(all, func(counts bool) error {
			p, err := timed(ctx, o.binary, args...)
			if err == nil && i == 0 {
				t.report = report.Report{}
				if err = json.Unmarshal(p.out, &t.report); err != nil {
					err = fmt.Errorf("read the report of %s: %w", o.binary, err)
				}
			}
			if err != nil || !counts {
				return err
			}
			t.ours[i].add(p.took)
			if i == 0 {
				return t.addPhases(p)
			}
			return nil
		})
		if o.base != "" {
			all = append(all, func(counts bool) error {
				p, err := timed(ctx, o.base, args...)
				if err == nil && counts {
					t.base[i].add(p.took)
				}
				return err
			})
		}
	}
	if o.python != "" {
		s, err := findScript(o.python)
		if err != nil {
			return t, err
		}
		all = append(all, func(counts bool) error {
			p, err := s.run(ctx)
			if err == nil && counts {
				t.python.add(p.took)
			}
			return err
		})
	}
	for i := range o.n + 1 {
		for _, one := range all {
			if err := one(i > 0); err != nil {
				return t, err
			}
		}
		slices.Reverse(all)
	}
	return t, nil
}

// addPhases takes the phases of a run from its log (docs/logging.md), and what comes before
// the first and after the last.
func (t *runTimes) addPhases(p process) error {
	events, err := events(p.log)
	if err != nil {
		return err
	}
	phase, since := "until the first phase", p.began
	next := func(name string, at time.Time) {
		i := slices.IndexFunc(t.phases, func(t phaseTime) bool { return t.name == phase })
		if i < 0 {
			i = len(t.phases)
			t.phases = append(t.phases, phaseTime{name: phase})
		}
		t.phases[i].took.add(at.Sub(since))
		phase, since = name, at
	}
	for _, e := range events {
		switch e.Message {
		case "phase":
			next(e.Phase, e.Time)
		case "run ended":
			next("after the last event", e.Time)
		}
	}
	next("", p.began.Add(p.took))
	return nil
}
