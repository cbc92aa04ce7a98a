package perturb

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Facts is what else is known about the namespace that will be written in.
type Facts struct {
	// Values is the writer's readable keys.
	Values map[sysctl.Key]string
	// NFLog is the text of /proc/net/netfilter/nf_log, empty where there is none.
	NFLog string
	// Extreme allows Thorough to propose what may cost much memory.
	Extreme bool
	// Loadable is the modules that a write may make the kernel load; empty where
	// that is not to be tried.
	Loadable []string
}

// Direction is the way that numbers and sets are moved first.
type Direction int

// The directions. A leak may follow only one of them.
const (
	Up Direction = iota
	Down
)

// Subject is the key to be written.
type Subject struct {
	Key  sysctl.Key
	Mode fs.FileMode
	// State is the writer's.
	State sysctl.State
	// Observed is each observer's state of the key: their values show nothing.
	Observed []sysctl.State
	Prefer   Direction
	// First is values that somebody asked about: they come before all others.
	First []string
}

// The bounds of what Candidates returns. A write longer than a page is cut or
// refused by most handlers (kernel/sysctl.c, proc_do_large_bitmap).
const (
	MaxCandidates = 24   // a pass of a thorough run each
	MaxLength     = 4000 // bytes
)

// Candidates proposes values for a key, most promising first: distinct, none of
// them the writer's own, those that an observer has last, at most MaxCandidates of
// at most MaxLength bytes, without newline or NUL. There are none for an absent key.
func Candidates(s Subject, f Facts) []string {
	if s.State == sysctl.Absent {
		return nil
	}
	s.First = s.first(f)
	return s.sift(find(s).first(s, f))
}

// first leaves out what would make the kernel load a module where that is not to be
// tried.
func (s Subject) first(f Facts) []string {
	return slices.DeleteFunc(slices.Clone(s.First), func(v string) bool { return WouldLoad(s.Key, v, f) && !slices.Contains(loadable(f), v) })
}

// rule proposes values; repeated, present or impossible ones are sifted out later.
type rule func(Subject, Facts) []string

// shape is how values of a kind of key are chosen: first those that every run tries,
// and more for a thorough one. Without more, that tries all of the first.
type shape struct{ first, more rule }

func find(s Subject) shape {
	if s.writeOnly() {
		return shape{first: trigger}
	}
	if sh, ok := lookup(s.Key); ok {
		return sh
	}
	return byShape(s.State)
}

func (s Subject) writeOnly() bool {
	return s.State.Errno == syscall.EACCES || s.Mode != 0 && s.Mode&0o444 == 0
}

// sift keeps what Candidates promises.
func (s Subject) sift(proposed []string) []string {
	seen, observed := map[string]bool{}, map[string]bool{}
	if s.State.OK() {
		seen[normal(s.State.Value)] = true
	}
	for _, st := range s.Observed {
		if st.OK() {
			observed[normal(st.Value)] = true
		}
	}
	var fresh, shared []string
	for _, c := range slices.Concat(s.First, proposed) {
		if !fits(c) {
			continue
		}
		n := normal(c)
		if seen[n] {
			continue
		}
		seen[n] = true
		if observed[n] {
			shared = append(shared, c)
		} else {
			fresh = append(fresh, c)
		}
	}
	all := append(fresh, shared...)
	return all[:min(len(all), MaxCandidates)]
}

func fits(c string) bool { return len(c) <= MaxLength && !strings.ContainsAny(c, "\n\x00") }

// normal makes values equal that differ only in white space: vectors are read
// with tabs and may be written with spaces.
func normal(v string) string { return strings.Join(strings.Fields(v), " ") }

// trigger is for keys that cannot be read, such as route/flush: all that can be
// done is to write them. IPv6 takes the number for a delay (ipv6_sysctl_rtcache_flush,
// net/ipv6/route.c).
func trigger(Subject, Facts) []string { return []string{"1", "0"} }
