package parent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// idleSweeps is how often everybody is swept before anything is written: what
// changes then changes by itself.
const idleSweeps = 2

// survey snapshots the host before the first clone, starts the children that
// stay, and finds restless keys. It returns the first writer.
func (r *run) survey(ctx context.Context) (*client.Client, error) {
	r.enter(PhaseSurvey, "")
	var err error
	r.watched = r.m.Host()
	began := time.Now()
	if r.host, err = sysctl.NewSweeper(r.watched); err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	r.pace.Note(client.StepSurvey, time.Since(began))
	r.secrets.Learn(r.host.Baseline())
	if len(r.o.Covered) > 0 {
		r.skip(PhaseSurvey, fmt.Sprintf("something is mounted on %s: what the host has there can be neither observed nor put back, so no key there was written", named(r.o.Covered)))
	}
	if err := r.beginRecord(); err != nil {
		return nil, err
	}
	if r.o.Thorough && !r.o.DryRun {
		if err := r.reads(ctx); err != nil {
			return nil, err
		}
	}
	r.furnished = r.o.Devices.wanted()
	started, err := r.startSurveyed(ctx, everything, true, client.RoleOf(r.writer), netns.RoleSibling, netns.RoleControl)
	if err != nil {
		return nil, err
	}
	if err := r.o.Record.Open(); err != nil {
		abandonAll(started)
		return nil, err
	}
	r.reportDevices(started[1].client, started[0].client)
	w := started[0].client
	r.writerBase = started[0].base
	r.sibling, r.siblingBase = started[1].client, started[1].base.Map()
	r.controlBase = started[2].base.Map()
	if err := started[2].client.Quit(); err != nil { // its first state is all that is needed
		w.Abandon()
		return nil, err
	}
	if r.writer == trace.WriterRoot { // others may not see all
		r.writerBase = withKeysOf(r.writerBase, started[1].base, started[2].base)
	}
	r.secrets.Learn(r.writerBase)
	for k, e := range r.controlBase {
		if s, ok := r.siblingBase[k]; !ok || s.State != e.State {
			r.varies[k] = true // two fresh namespaces differ here
		}
	}
	for range idleSweeps {
		if err := stopped(ctx); err != nil {
			w.Abandon()
			return nil, err
		}
		effects, err := r.sweepAll(r.sibling, everything)
		if err != nil {
			w.Abandon()
			return nil, err
		}
		for _, e := range effects {
			r.restless[e.Place] = true
			r.log.Debug().Str("observer", e.Observer).Str("key", e.Key.Text()).Msg("restless key")
			if e.Observer == trace.Host {
				r.host.Expect(e.Key, e.After)
			}
		}
	}
	return w, nil
}

// surveyWriter starts a further writer. What it finds restless is known by now.
func (r *run) surveyWriter(ctx context.Context) (*client.Client, error) {
	r.enter(PhaseSurvey, "")
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	r.furnished = r.o.Devices.wanted()
	s, err := r.startSurveyed(ctx, everything, true, client.RoleOf(r.writer))
	if err != nil {
		return nil, err
	}
	r.reportDevices(nil, s[0].client)
	r.writerBase = s[0].base
	r.secrets.Learn(r.writerBase)
	return s[0].client, nil
}

// withKeysOf adds the keys that only other fresh namespaces showed: one that
// comes and goes is a key of a child all the same.
func withKeysOf(s sysctl.Snapshot, others ...sysctl.Snapshot) sysctl.Snapshot {
	known := s.Map()
	for _, o := range others {
		for _, e := range o {
			if _, ok := known[e.Key]; !ok {
				known[e.Key] = e
				s = append(s, e)
			}
		}
	}
	slices.SortFunc(s, func(a, b sysctl.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return s
}

// surveyed is a child that has told all its keys.
type surveyed struct {
	client *client.Client
	base   sysctl.Snapshot
	err    error
}

// startSurveyed starts children of these roles at once, with or without devices. On error
// none is left.
func (r *run) startSurveyed(ctx context.Context, sc scope, devices bool, roles ...netns.Role) ([]surveyed, error) {
	out := make([]surveyed, len(roles))
	done := make(chan struct{})
	for i, role := range roles {
		go func() {
			defer func() { done <- struct{}{} }()
			s := &out[i]
			if s.client, s.err = r.start(ctx, role, devices); s.err == nil {
				s.base, s.err = surveyChild(s.client, sc)
			}
		}()
	}
	for range roles {
		<-done
	}
	for i := range out {
		if out[i].err != nil {
			for _, s := range out {
				if s.client != nil {
					s.client.Abandon()
				}
			}
			return nil, out[i].err
		}
	}
	return out, nil
}

// sweepAll sweeps the host and a sibling, at the same time. Restless places are
// in it.
func (r *run) sweepAll(with *client.Client, sc scope) ([]trace.Effect, error) {
	type result struct {
		changes []sysctl.Change
		err     error
	}
	sibling := make(chan result, 1)
	go func() {
		changes, err := sweepChild(with, sc)
		sibling <- result{changes, err}
	}()
	changes, err := r.sweepHost(sc)
	s := <-sibling
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	if s.err != nil {
		return nil, s.err
	}
	return append(trace.EffectsOf(trace.Host, changes), trace.EffectsOf(trace.Sibling, s.changes)...), nil
}

// steady leaves restless places out.
func (r *run) steady(effects []trace.Effect) []trace.Effect {
	var out []trace.Effect
	for _, e := range effects {
		if !r.restless[e.Place] {
			out = append(out, e)
		}
	}
	return out
}
