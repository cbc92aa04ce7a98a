package simkernel

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
)

// relatives is a machine with every way in which a value can come to a namespace.
func relatives(modes int) *family {
	f := newFamily(modes)
	f.add(devconfKey, inheritKey{host: "0"})
	fromHost := func(k sysctl.Key) func(host, _, _ values) string {
		return func(host, _, _ values) string { return host[k] }
	}
	f.add("net/core/somaxconn", inheritKey{host: "4096", child: "4096"})
	f.add("net/core/other_default", inheritKey{host: "1", child: "0"})
	f.add("net/core/rmem_max", inheritKey{host: "212992", child: "212992", shared: true, childMode: 0o444})
	f.add("net/core/only_here", inheritKey{host: "7"})
	f.add("net/ipv4/tcp_rmem", inheritKey{host: "4096", child: "4096", birth: fromHost("net/ipv4/tcp_rmem")})
	f.add("net/ipv4/read_only", inheritKey{host: "1", child: "1", childMode: 0o444, birth: fromHost("net/ipv4/read_only")})
	f.add("net/ipv4/counter", inheritKey{host: "1", child: "1", restless: true})
	f.add("net/ipv4/tcp_child_ehash_entries", inheritKey{host: "0", child: "0"})
	f.add("net/ipv4/tcp_ehash_entries", inheritKey{host: "16384", child: "-1", childMode: 0o444, birth: func(_, creator, _ values) string {
		return "-" + creator["net/ipv4/tcp_child_ehash_entries"]
	}})
	f.add("net/x/mode", inheritKey{host: "5", child: "5", birth: func(_, creator, _ values) string { return creator["net/x/mode"] }})
	f.add("net/x/first", inheritKey{host: "1", child: "1"})
	f.add("net/x/second", inheritKey{host: "1", child: "1"})
	f.add("net/x/both", inheritKey{host: "1", child: "1", birth: func(host, _, _ values) string {
		if host["net/x/first"] != "1" && host["net/x/second"] != "1" {
			return "2"
		}
		return "1"
	}})
	for _, version := range []string{"ipv4", "ipv6"} {
		for _, name := range []string{"rp_filter", "log_martians"} {
			key := func(device string) sysctl.Key {
				return sysctl.Key("net/" + version + "/conf/" + device + "/" + name)
			}
			for _, device := range []string{"all", "default"} {
				f.add(key(device), inheritKey{host: "0", child: "0", birth: func(host, creator, _ values) string {
					switch mode := host[devconfKey]; {
					case mode == "3":
						return creator[key(device)]
					case mode == "1", mode == "0" && version == "ipv4":
						return host[key(device)]
					}
					return "0"
				}})
			}
			f.add(key("lo"), inheritKey{host: "0", child: "0", birth: func(_, _, self values) string { return self[key("default")] }})
		}
	}
	return f
}

// seen is what a report says of where a key comes from.
type seen struct {
	Is   map[string]report.Creation
	From map[string]report.Origin
}

func TestCreations(t *testing.T) {
	const (
		shared, inherited, byDefault, derived = report.CreationShared, report.CreationInherited, report.CreationDefault, report.CreationDerived
		all                                   = report.AnyDevconf
	)
	always := func(c report.Creation) map[string]report.Creation { return map[string]report.Creation{all: c} }
	host, creator := report.Origin{Namespace: report.FromHost}, report.Origin{Namespace: report.FromCreator}
	of := func(o report.Origin, keys ...string) report.Origin { o.Keys = keys; return o }
	from := func(o report.Origin) map[string]report.Origin { return map[string]report.Origin{all: o} }
	want := map[string]seen{
		devconfKey:                         {},
		"net/core/somaxconn":               {always(byDefault), nil},
		"net/core/other_default":           {always(byDefault), nil},
		"net/core/rmem_max":                {always(shared), nil},
		"net/core/only_here":               {},
		"net/ipv4/tcp_rmem":                {always(inherited), from(host)},
		"net/ipv4/read_only":               {always(inherited), nil}, // nobody can write it in a creating namespace
		"net/ipv4/counter":                 {},
		"net/ipv4/tcp_child_ehash_entries": {always(byDefault), nil},
		"net/ipv4/tcp_ehash_entries":       {always(derived), from(of(creator, "net/ipv4/tcp_child_ehash_entries"))},
		"net/x/mode":                       {always(inherited), from(creator)},
		"net/x/first":                      {always(byDefault), nil},
		"net/x/second":                     {always(byDefault), nil},
		"net/x/both":                       {always(derived), from(of(host, "net/x/first", "net/x/second"))},
	}
	for _, name := range []string{"rp_filter", "log_martians"} {
		for _, device := range []string{"all", "default"} {
			want["net/ipv4/conf/"+device+"/"+name] = seen{
				map[string]report.Creation{"0": inherited, "1": inherited, "2": byDefault, "3": inherited},
				map[string]report.Origin{"0": host, "1": host, "3": creator},
			}
			want["net/ipv6/conf/"+device+"/"+name] = seen{
				map[string]report.Creation{"0": byDefault, "1": inherited, "2": byDefault, "3": inherited},
				map[string]report.Origin{"1": host, "3": creator},
			}
		}
		for version, first := range map[string]report.Creation{"ipv4": derived, "ipv6": byDefault} {
			byOther := func(o report.Origin) report.Origin { return of(o, "net/"+version+"/conf/default/"+name) }
			s := seen{
				map[string]report.Creation{"0": first, "1": derived, "2": byDefault, "3": derived},
				map[string]report.Origin{"0": byOther(host), "1": byOther(host), "3": byOther(creator)},
			}
			if first == byDefault {
				delete(s.From, "0")
			}
			want["net/"+version+"/conf/lo/"+name] = s
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := relatives(4)
		before := maps.Clone(f.host)
		r := f.run(t, context.Background(), parent.Options{Seed: 1})
		for _, k := range r.Keys {
			if got := (seen{k.Creation, k.CreationFrom}); !reflect.DeepEqual(got, want[k.Key]) {
				t.Errorf("%s: %+v, want %+v", k.Key, got, want[k.Key])
			}
		}
		if len(r.Keys) != len(want) {
			t.Errorf("%d keys, want %d", len(r.Keys), len(want))
		}
		counts := map[report.Creation]int{shared: 1, inherited: 7, byDefault: 11, derived: 4}
		if !maps.Equal(r.Counts.Creation, counts) {
			t.Errorf("counts %v, want %v", r.Counts.Creation, counts)
		}
		f.asBefore(t, before)
		if f.written["net/ipv4/counter"] > 0 {
			t.Error("a restless key was written")
		}
		if len(r.Leaks)+len(r.Unconfirmed)+len(r.Run.NotRestored) > 0 {
			t.Errorf("leaks %+v, unconfirmed %+v, not restored %+v", r.Leaks, r.Unconfirmed, r.Run.NotRestored)
		}
	})
}

// An older kernel takes fewer values of devconf; where it is not to be written,
// only its own value is known; and without being asked to, nothing is written.
func TestCreationsOfFewerModes(t *testing.T) {
	const key = "net/ipv6/conf/all/rp_filter"
	exclude, err := sysctl.ParseGlob(devconfKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		modes int
		o     parent.Options
		want  map[string]report.Creation
	}{
		{3, parent.Options{}, map[string]report.Creation{"0": "default", "1": "inherited", "2": "default"}},
		{1, parent.Options{}, map[string]report.Creation{"0": "default"}},
		{4, parent.Options{Exclude: []sysctl.Glob{exclude}}, map[string]report.Creation{"0": "default"}},
		{4, parent.Options{DryRun: true}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := relatives(tc.modes)
			before := maps.Clone(f.host)
			r := f.run(t, context.Background(), tc.o)
			for _, k := range r.Keys {
				if k.Key == key && !maps.Equal(k.Creation, tc.want) {
					t.Errorf("%d modes, %+v: %s is %v, want %v", tc.modes, tc.o, key, k.Creation, tc.want)
				}
			}
			f.asBefore(t, before)
		})
	}
}

// A key that turns out to take only one value is a failure to restore, unless
// nothing outlives the machine; what else is found stays true.
func TestCreationsOfOneWayKeys(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := relatives(4)
			f.add("net/x/once", inheritKey{host: "0", child: "0", once: true, birth: func(host, _, _ values) string { return host["net/x/once"] }})
			r := f.run(t, context.Background(), parent.Options{AllowOneWay: allowed})
			lost := r.Run.NotRestored
			if len(lost) != 1 || lost[0].Key != "net/x/once" || lost[0].OneWay != allowed {
				t.Fatalf("not restored: %+v", lost)
			}
			want := map[string]report.Creation{"net/x/once": "inherited", "net/core/somaxconn": "default", "net/ipv4/tcp_rmem": "inherited"}
			for _, k := range r.Keys {
				if w, ok := want[k.Key]; ok && k.Creation["*"] != w {
					t.Errorf("%s: %v, want %s", k.Key, k.Creation, w)
				}
			}
		})
	}
}

// What the last writes in namespaces do late is waited for before the host's keys are
// written: after that it would be taken for somebody else's doing.
func TestCreationsAfterLateLeak(t *testing.T) {
	const cause, victim = "net/x/cause", "net/x/victim"
	for late := 20 * time.Millisecond; late < parent.DefaultSettle; late += 20 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			f := relatives(1)
			f.add(cause, inheritKey{host: "5", child: "5", leaksTo: victim, late: late})
			f.add(victim, inheritKey{host: "7", child: "7"})
			before := maps.Clone(f.host)
			r := f.run(t, context.Background(), parent.Options{})
			if !leaksBy(r, cause, Effect{report.ObserverHost, victim}) {
				t.Errorf("after %v: %s is not among the leaks: %+v", late, cause, r.Leaks)
			}
			time.Sleep(time.Second)
			f.asBefore(t, before)
		})
	}
}

// Whenever it is stopped, the host is put back.
func TestStoppedCreations(t *testing.T) {
	stopped, last := 0, 0
	for n := 1; ; n++ {
		done := false
		synctest.Test(t, func(t *testing.T) {
			f := relatives(4)
			before := maps.Clone(f.host)
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			f.started = func(i int) {
				if i == n {
					cancel(errEnough)
				}
			}
			r, err := parent.Run(ctx, f, parent.Options{WriteHost: true, Logger: zerolog.Nop()})
			synctest.Wait()
			if done = f.starts < n; done {
				last = f.starts
				return
			}
			if err != nil && !errors.Is(err, errEnough) {
				t.Errorf("start %d: %v", n, err)
			}
			if err != nil && r.Run.Phase == string(parent.PhaseHost) {
				stopped++
			}
			f.asBefore(t, before)
			if f.live != 0 {
				t.Errorf("start %d: %d namespaces are left", n, f.live)
			}
			if inPhase := r.Run.Phase == string(parent.PhaseHost); len(r.Run.NotRestored)+len(r.Leaks) > 0 || inPhase && len(r.Unconfirmed) > 0 {
				t.Errorf("start %d: not restored %+v, unconfirmed %+v, leaks %+v", n, r.Run.NotRestored, r.Unconfirmed, r.Leaks)
			}
		})
		if done {
			break
		}
	}
	t.Logf("stopped in that phase %d of %d times", stopped, last)
	if stopped < 20 {
		t.Error("too few to tell")
	}
}

func (f *family) run(t *testing.T, ctx context.Context, o parent.Options) *report.Report {
	t.Helper()
	o.WriteHost, o.Logger = true, zerolog.Nop()
	r, err := parent.Run(ctx, f, o)
	synctest.Wait()
	if err != nil {
		t.Errorf("run: %v", err)
	}
	r.Conclude(report.Ending{Err: err})
	if f.live != 0 {
		t.Errorf("%d namespaces are left", f.live)
	}
	return r
}

func (f *family) asBefore(t *testing.T, before values) {
	t.Helper()
	delete(f.host, hostMark)
	if !maps.Equal(f.host, before) {
		t.Errorf("the host has %v, had %v", f.host, before)
	}
}
