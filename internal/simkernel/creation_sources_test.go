package simkernel

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
)

// TestSources has sources that are missed where a key's own value is moved once, and a little.
func TestSources(t *testing.T) {
	const (
		neighLo, neighDefault = "net/ipv4/neigh/lo/gc_stale_time", "net/ipv4/neigh/default/gc_stale_time"
		confLo, confDefault   = "net/ipv4/conf/lo/arp_ignore", "net/ipv4/conf/default/arp_ignore"
		allowed, control      = "net/x/allowed", "net/x/control"
		limit, small, units   = "net/x/limit", "net/x/small", "net/x/units"
		clamped               = "net/x/clamped"
		once, fromOnce        = "net/x/once", "net/x/from_once"
		disruptive            = "net/ipv6/conf/lo/disable_ipv6"
		hides                 = "net/x/hides"
		hidden, fallback      = "net/x/hidden", "net/x/fallback"
		plain, only           = "net/x/plain", "net/x/only"
	)
	machine := func() *family {
		f := newFamily(1)
		from := func(k sysctl.Key, of func(int) int) func(host, _, _ values) string {
			return func(host, _, _ values) string { return strconv.Itoa(of(num(host[k]))) }
		}
		same := func(n int) int { return n }
		f.add(neighDefault, inheritKey{host: "60"})
		f.add(neighLo, inheritKey{host: "60", child: "60", birth: from(neighDefault, same)})
		f.add(confDefault, inheritKey{host: "0", child: "0", birth: from(confDefault, same)})
		f.add(confLo, inheritKey{host: "0", child: "0", birth: from(confDefault, same)})
		f.add(allowed, inheritKey{host: "3", child: "3", shared: true, childMode: 0o444})
		f.add(control, inheritKey{host: "1", child: "1", birth: from(control, same), resets: allowed})
		f.add(limit, inheritKey{host: "5", child: "0", birth: from(limit, func(n int) int { return n / 100000 })})
		f.add(small, inheritKey{host: "5000", child: "1", birth: from(small, func(n int) int { return 1 + 10/(n+10)*6 })})
		f.add(units, inheritKey{host: "5", child: "0", birth: from(only, func(n int) int { return n / 4096 })})
		f.add(clamped, inheritKey{host: "5", child: "100", birth: from(clamped, func(n int) int { return min(max(n, 100), 5000) })})
		f.add(only, inheritKey{host: "7"})
		f.add(once, inheritKey{host: "1", child: "1", onceEach: true})
		f.add(fromOnce, inheritKey{host: "1", child: "1", birth: func(_, creator, _ values) string { return strconv.Itoa(1 + num(creator[once])/50000) }})
		f.add(disruptive, inheritKey{host: "0", child: "0"})
		f.add(hides, inheritKey{host: "0", most: 2})
		for name, source := range map[sysctl.Key]sysctl.Key{hidden: "", fallback: only} { // as of tunnels, by fb_tunnels_only_for_init_net
			f.add(name, inheritKey{host: "5", child: "5", birth: func(host, _, _ values) string {
				if host[hides] != "0" {
					return ""
				}
				return strconv.Itoa(5 + num(host[source])/4096)
			}})
		}
		f.add(plain, inheritKey{host: "8", child: "8"})
		return f
	}
	glob := func(k string) []sysctl.Glob {
		g, err := sysctl.ParseGlob(k)
		if err != nil {
			t.Fatal(err)
		}
		return []sysctl.Glob{g}
	}
	const leftOut, notMoved = "left out by --include", disruptive + " of the host, which was not moved: disruptive"
	for _, tc := range []struct {
		key      string
		o        parent.Options
		want     report.Creation
		keys     string // what it follows
		untested string
	}{
		{neighLo, parent.Options{}, report.CreationDerived, neighDefault, ""},
		{confLo, parent.Options{}, report.CreationDerived, confDefault, ""},
		{confLo, parent.Options{Include: glob(confLo)}, "", "", leftOut},
		{plain, parent.Options{Include: glob(plain)}, "", "", leftOut},
		{plain, parent.Options{Exclude: glob(only)}, "", "", leftOut},
		{plain, parent.Options{}, report.CreationDefault, "", ""},
		{allowed, parent.Options{}, report.CreationShared, "", ""},
		{allowed, parent.Options{Include: glob(allowed)}, report.CreationShared, "", ""},
		{control, parent.Options{Include: glob(control)}, report.CreationInherited, "", ""},
		{limit, parent.Options{}, report.CreationDerived, limit, ""},
		{small, parent.Options{}, report.CreationDerived, small, ""},
		{units, parent.Options{}, report.CreationDerived, only, ""},
		{clamped, parent.Options{}, report.CreationDerived, clamped, ""},
		{fromOnce, parent.Options{}, report.CreationDerived, once, ""},
		{hidden, parent.Options{}, report.CreationDefault, "", ""},
		{fallback, parent.Options{}, report.CreationDerived, only, ""},
		{disruptive, parent.Options{}, "", "", notMoved},
		{disruptive, parent.Options{AllowOneWay: true}, report.CreationDefault, "", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := machine()
			before := maps.Clone(f.host)
			r := f.run(t, context.Background(), tc.o)
			for _, k := range r.Keys {
				if k.Key != tc.key {
					continue
				}
				is, follows := k.Creation[report.AnyDevconf], strings.Join(k.CreationFrom[report.AnyDevconf].Keys, " ")
				if is != tc.want || follows != tc.keys || (k.CreationUntested == "") != (tc.untested == "") || !strings.Contains(k.CreationUntested, tc.untested) {
					t.Errorf("%s is %q (%s; %q), want %q (%s; %q)", tc.key, is, follows, k.CreationUntested, tc.want, tc.keys, tc.untested)
				}
			}
			listed := slices.Contains(r.Run.CreationNotMoved, report.NotMoved{Key: disruptive, Namespace: report.FromHost, Why: report.NotMovedDisruptive})
			if asked := len(tc.o.Include) == 0; listed != (asked && !tc.o.AllowOneWay) {
				t.Errorf("%s: not moved: %+v", tc.key, r.Run.CreationNotMoved)
			}
			f.asBefore(t, before)
		})
	}
}

func num(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// relation is what a key makes of the value of another one.
type relation struct {
	name string
	of   func(source int) int
}

// aRelation draws one that shows for some value that a source may have, of which the
// first and the largest value are given.
func aRelation(rng *rand.Rand, first, most int) relation {
	for {
		if r := anyRelation(rng, first, most); r.of(0) != r.of(first) || r.of(most) != r.of(first) {
			return r
		}
	}
}

func anyRelation(rng *rand.Rand, first, most int) relation {
	switch rng.IntN(6) {
	case 0:
		return relation{"copy", func(n int) int { return n }}
	case 1:
		at := first + rng.IntN(max((most-first)/2, 1))
		return relation{fmt.Sprintf("over %d", at), func(n int) int { return min(max(n-at, 0), 1) }}
	case 2:
		at := rng.IntN(first + 1)
		return relation{fmt.Sprintf("over %d", at), func(n int) int { return min(max(n-at, 0), 1) }}
	case 3:
		return relation{fmt.Sprintf("at most %d", first), func(n int) int { return min(n, first) }}
	case 4:
		return relation{fmt.Sprintf("at least %d", first), func(n int) int { return max(n, first) }}
	}
	unit := 1 + rng.IntN(max(most/2, 1))
	return relation{fmt.Sprintf("in units of %d", unit), func(n int) int { return n / unit }}
}

// kinship is a machine of random relations, and what is true of its keys: whether
// anything matters to them.
func kinship(rng *rand.Rand) (f *family, depends map[sysctl.Key]string) {
	f, depends = newFamily(1), map[sysctl.Key]string{}
	var hosts []sysctl.Key
	n := 6 + rng.IntN(150)
	key := func(i int) sysctl.Key { return sysctl.Key(fmt.Sprintf("net/x/key%d", i)) }
	shape := map[sysctl.Key]inheritKey{}
	for i := range n {
		k := inheritKey{host: strconv.Itoa(rng.IntN(5000)), most: 1 << 20}
		switch rng.IntN(5) {
		case 0:
			k.host, k.most = strconv.Itoa(rng.IntN(2)), 1
		case 1:
			k.host, k.most = strconv.Itoa(rng.IntN(100)), 255
		}
		if rng.IntN(4) > 0 {
			k.child = strconv.Itoa(rng.IntN(2))
			k.onceEach = rng.IntN(8) == 0
		}
		if i > 0 && rng.IntN(6) == 0 {
			k.resets = key(rng.IntN(i)) // it comes before: what undoes comes after what is undone
		}
		shape[key(i)] = k
		hosts = append(hosts, key(i))
	}
	for i, name := range hosts {
		k := shape[name]
		if k.child == "" || rng.IntN(2) == 0 {
			f.add(name, k)
			continue
		}
		source := hosts[rng.IntN(n)]
		if rng.IntN(3) == 0 {
			source = hosts[i]
		}
		is := shape[source]
		whose := report.FromHost
		if is.child != "" && rng.IntN(3) == 0 {
			whose = report.FromCreator
		}
		r := aRelation(rng, num(is.host), is.most)
		if whose == report.FromCreator {
			r = aRelation(rng, num(is.child), is.most)
		}
		k.birth = func(host, creator, _ values) string {
			if whose == report.FromCreator {
				return strconv.Itoa(r.of(num(creator[source])))
			}
			return strconv.Itoa(r.of(num(host[source])))
		}
		depends[name] = r.name + " from " + string(source) + " of the " + whose
		f.add(name, k)
	}
	return f, depends
}

// TestDefaultIsNeverFalse draws machines, and asks about all of their keys and about some:
// what is said to be a default is one, and answers do not depend on what else was asked
// (but for a copy of another switch, which looks like one of the key's own).
func TestDefaultIsNeverFalse(t *testing.T) {
	defaults, others, lost, differ := 0, 0, 0, 0
	for seed := range uint64(20) {
		answers := map[sysctl.Key]report.Creation{}
		for _, part := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				f, depends := kinship(rng)
				var o parent.Options
				for _, k := range f.names {
					if part && rng.IntN(3) == 0 {
						g, err := sysctl.ParseGlob(string(k))
						if err != nil {
							t.Fatal(err)
						}
						o.Include = append(o.Include, g)
					}
				}
				part = len(o.Include) > 0
				for _, k := range f.run(t, context.Background(), o).Keys {
					name, is := sysctl.Key(k.Key), k.Creation[report.AnyDevconf]
					from, follows := depends[name]
					if part && is != "" && is != answers[name] {
						differ++
						t.Logf("seed %d: %s is %q where all is asked, else %q %+v; it has its value %s", seed, name, answers[name], is, k.CreationFrom, from)
					}
					if is == report.CreationDefault {
						if follows || part {
							t.Errorf("seed %d: %s is %s, but has its value %s (%v)", seed, name, is, from, part)
						}
					}
					if part {
						continue
					}
					answers[name] = is
					switch {
					case is == report.CreationDefault:
						defaults++
					case follows && is != "":
						others++
					case f.keys[name].child != "":
						lost++
						if k.CreationUntested == "" {
							t.Errorf("seed %d: nothing is said of %s", seed, name)
						}
					}
				}
			})
		}
	}
	t.Logf("%d defaults, %d others, %d keys without an answer, %d answers depend on what was asked", defaults, others, lost, differ)
	if defaults < 300 || others < 300 || lost*20 > defaults || differ > 2 {
		t.Error("too few answers")
	}
}
