package simkernel

import (
	"context"
	"io/fs"
	"net"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// peer is a child as a test holds it.
type peer struct {
	t    *testing.T
	proc *netns.Process
	conn *protocol.ParentConn
}

func start(t *testing.T, k *Kernel, role netns.Role) *peer {
	t.Helper()
	proc, err := k.Start(context.Background(), role)
	if err != nil {
		t.Fatalf("start %s: %v", role, err)
	}
	p := &peer{t, proc, protocol.NewConn[protocol.Reply, protocol.Request](proc.Replies, proc.Requests)}
	r, err := p.conn.Receive()
	if err != nil || r.Hello == nil || r.Hello.Build != proc.Build {
		t.Fatalf("hello of %s: %+v, %v", role, r, err)
	}
	if len(k.devices) > 0 {
		p.ask(protocol.Request{Devices: likenesses(k)})
	}
	return p
}

// likenesses is the request for all devices.
func likenesses(k *Kernel) *protocol.Devices {
	m := &protocol.Devices{}
	for i, name := range k.devices {
		m.Like = append(m.Like, protocol.Like{Name: protocol.Bytes(name), Index: 2 + i})
	}
	return m
}

// hostDevices is what a run is told of them.
func hostDevices(k *Kernel) (d parent.Devices) {
	for i, name := range k.devices {
		d.Kinds = []string{"dummy"}
		d.Like = append(d.Like, net.Interface{Index: 2 + i, Name: name})
	}
	return d
}

func (p *peer) ask(req protocol.Request) []protocol.Reply {
	p.t.Helper()
	if err := p.conn.Send(req); err != nil {
		p.t.Fatal(err)
	}
	var all []protocol.Reply
	for {
		r, err := p.conn.Receive()
		if err != nil || r.Failed != nil {
			p.t.Fatalf("receive: %v, failed: %v", err, r.Failed)
		}
		if r.Done != nil {
			return all
		}
		all = append(all, r)
	}
}

func (p *peer) survey() sysctl.Snapshot {
	var s sysctl.Snapshot
	for _, r := range p.ask(protocol.Request{Survey: &protocol.Survey{}}) {
		for _, e := range r.Entries.Entries {
			s = append(s, sysctl.Entry{Key: sysctl.Key(e.Key), Mode: fs.FileMode(e.Mode), State: e.State.State()})
		}
	}
	return s
}

func (p *peer) quit() {
	p.ask(protocol.Request{Quit: &protocol.Quit{}})
	if err := p.proc.Wait(); err != nil {
		p.t.Errorf("wait: %v", err)
	}
	p.proc.Kill()
}

// candidates is what the run would try.
func candidates(e sysctl.Entry, all sysctl.Snapshot, host sysctl.Tree, d perturb.Direction) []string {
	values := map[sysctl.Key]string{}
	for _, e := range all {
		values[e.Key] = e.State.Value
	}
	s := perturb.Subject{Key: e.Key, Mode: e.Mode, State: e.State, Prefer: d, Observed: []sysctl.State{host.Read(e.Key)}}
	return perturb.Candidates(s, perturb.Facts{Values: values})
}

// drive makes a plain run without attribution: it writes every key up and then
// down, sweeps, and puts everything back that can be put back.
func drive(t *testing.T, k *Kernel, batch int) {
	host, err := sysctl.NewSweeper(k.Host())
	if err != nil {
		t.Fatal(err)
	}
	var originals sysctl.Snapshot
	for _, d := range []perturb.Direction{perturb.Up, perturb.Down} {
		sibling, w := start(t, k, netns.RoleSibling), start(t, k, netns.RoleWriter)
		sibling.survey()
		base := w.survey()
		if originals == nil {
			originals = base
		}
		var items []protocol.Item
		for _, e := range base {
			if !e.Writable() {
				continue
			}
			it := protocol.Item{Key: protocol.Bytes(e.Key), Want: 1}
			for _, c := range candidates(e, base, k.Host(), d) {
				it.Candidates = append(it.Candidates, protocol.Bytes(c))
			}
			items = append(items, it)
		}
		if d == perturb.Down {
			slices.Reverse(items)
		}
		for part := range slices.Chunk(items, batch) {
			w.ask(protocol.Request{Perturb: &protocol.Perturb{Items: part}})
			if _, err := host.Sweep(); err != nil {
				t.Fatal(err)
			}
			sibling.ask(protocol.Request{Sweep: &protocol.Sweep{}})
		}
		k.clock.sleep(replaySettle)
		later := start(t, k, netns.RoleLater)
		later.survey()
		later.quit()
		w.quit()
		sibling.quit()
	}
	restore(t, k, originals, host)
}

func restore(t *testing.T, k *Kernel, originals sysctl.Snapshot, host *sysctl.Sweeper) {
	w := start(t, k, netns.RoleWriter)
	var m protocol.Replay
	for _, e := range originals {
		if e.Writable() && e.State.OK() {
			m.Writes = append(m.Writes, protocol.Assign{Key: protocol.Bytes(e.Key), Value: protocol.Bytes(e.State.Value)})
		}
	}
	w.ask(protocol.Request{Replay: &m})
	w.quit()
	k.clock.sleep(replaySettle)
	for range 3 {
		changes, err := host.Sweep()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if !isRestless(k, c.Key) {
				_ = k.Host().Write(c.Key, c.Before.Value) // a latch stays
			}
		}
	}
	if err := k.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func isRestless(k *Kernel, key sysctl.Key) bool { return k.keys[k.index[key]].restless != nil }

// perfect is the report that says all that the kernel saw, and nothing else.
func perfect(t *testing.T, truth Truth, l *Log, before, after sysctl.Snapshot) *report.Report {
	r := &report.Report{}
	leaking := map[sysctl.Key]bool{}
	for i, p := range truth.Plants {
		if len(l.visible[i]) == 0 {
			continue
		}
		leak := report.Leak{Evidence: report.Evidence{Status: report.StatusConfirmed}}
		for _, e := range sortedEffects(l.visible[i]) {
			leak.Effects = append(leak.Effects, report.Effect{Observer: e.Observer, Key: string(e.Key)})
		}
		if p.OneWay {
			leak.Evidence.Status = report.StatusOneWay
		}
		leak.Cause = reproducer(t, truth, l, i)
		for _, k := range p.Cause {
			leaking[k] = true
		}
		r.Leaks = append(r.Leaks, leak)
	}
	is := after.Map()
	for _, e := range before {
		if is[e.Key].State != e.State && !slices.ContainsFunc(truth.Keys, func(k KeyTruth) bool { return k.Key == e.Key && k.Restless }) {
			r.Run.NotRestored = append(r.Run.NotRestored, report.NotRestored{Key: string(e.Key)})
		}
	}
	for _, k := range truth.Keys {
		v := report.Key{Key: string(k.Key), Verdict: k.Expect}
		switch {
		case leaking[k.Key]:
			v.Verdict = report.VerdictLeak
		case k.Expect != "" && k.Expect != report.VerdictUntested:
		case l.proven(k.Key) && k.Expect == "":
			v.Verdict = report.VerdictIsolated
		default:
			v.Verdict, v.UntestedReason = report.VerdictUntested, report.ReasonRefused
		}
		r.Keys = append(r.Keys, v)
	}
	return r
}

// reproducer finds the writes of a plant's cause among those that were made.
func reproducer(t *testing.T, truth Truth, l *Log, plant int) []report.Cause {
	p := truth.Plants[plant]
	effects := sortedEffects(l.visible[plant])
	choices := make([][]assignment, len(p.Cause))
	for i, k := range p.Cause {
		for _, w := range l.Writes {
			if a := (assignment{k, w.Value}); w.Planned && w.Key == k && !slices.Contains(choices[i], a) {
				choices[i] = append(choices[i], a)
			}
		}
	}
	for _, first := range choices[0] {
		rest := []assignment{{}}
		if len(choices) > 1 {
			rest = choices[1]
		}
		for _, second := range rest {
			ws := []assignment{first}
			if len(choices) > 1 {
				ws = append(ws, second)
			}
			if p.Kind == LatchTwo && !truth.proves(ws, effects) {
				slices.Reverse(ws) // the one that latches comes last
			}
			if p.Kind != Restless && !truth.proves(ws, effects) { // which shows nothing in what moves by itself
				continue
			}
			var out []report.Cause
			for _, w := range ws {
				out = append(out, report.Cause{Key: string(w.key), Attempt: report.Attempt{Value: &w.value}})
			}
			return out
		}
	}
	t.Errorf("seed %d: no reproducer of plant %d %v for %v among %v", truth.Seed, plant, p, effects, choices)
	return nil
}
